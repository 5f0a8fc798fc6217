"""The vault's keys, what is sealed by them, and readiness."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pikarelay.store import rows
from pikarelay.store.rows import Row
from pikarelay.store.transactions.form import Transaction
from pikarelay.store.vault import DataKey, UnknownKey, Vault

T = TypeVar("T")


def data_keys(first: DataKey) -> Transaction[tuple[DataKey, ...]]:
    """Return all data keys. In a new database `first` becomes the only one."""
    found = yield "data_keys", {}
    if not found:
        yield "insert_data_key", rows.data_key_params(first)
        found = yield "data_keys", {}
    return tuple(map(rows.data_key_from, found))


def opened(read: Callable[[Row, Vault], T], found: Sequence[Row], vault: Vault) -> Transaction[tuple[T, ...]]:
    """Return what rows with secrets say. The vault learns the data keys that another process has made meanwhile."""
    try:
        return tuple(read(row, vault) for row in found)
    except UnknownKey:
        vault.learn(map(rows.data_key_from, (yield "data_keys", {})))
    return tuple(read(row, vault.after_learning) for row in found)


def probe() -> Transaction[str | None]:
    """Return the schema that the database has."""
    found = yield "probe", {}
    return str(found[0][0]) if found else None


def ping() -> Transaction[None]:
    yield "ping", {}
