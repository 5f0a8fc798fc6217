"""The vault's keys, and readiness."""

from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction
from pikarelay.store.vault import DataKey


def data_keys(first: DataKey) -> Transaction[tuple[DataKey, ...]]:
    """Return all data keys. In a new database `first` becomes the only one."""
    found = yield "data_keys", {}
    if not found:
        yield "insert_data_key", rows.data_key_params(first)
        found = yield "data_keys", {}
    return tuple(map(rows.data_key_from, found))


def ping() -> Transaction[None]:
    yield "ping", {}
