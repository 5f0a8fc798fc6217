"""The vault's keys, what is sealed by them, and readiness."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from pikarelay.store import rows
from pikarelay.store.migrations.state import SchemaState, Step
from pikarelay.store.root_key import RootKey, WrongKey
from pikarelay.store.rows import Row, SealedColumn
from pikarelay.store.transactions.form import Transaction
from pikarelay.store.vault import DataKey, UnknownKey, Unsealable, Vault, new_data_key, rewrapped

T = TypeVar("T")


def data_keys(first: DataKey) -> Transaction[tuple[DataKey, ...]]:
    """Return all data keys. In a new database `first` becomes the only one."""
    found = yield "data_keys", {}
    if not found:
        yield "insert_data_key", rows.data_key_params(first)
        found = yield "data_keys", {}
    return tuple(map(rows.data_key_from, found))


def known_data_keys() -> Transaction[tuple[DataKey, ...]]:
    return tuple(map(rows.data_key_from, (yield "data_keys", {})))


def _data_keys_to_change() -> Transaction[tuple[DataKey, ...]]:
    yield "lock_data_keys", {}
    # In a statement of its own: a key that was made while we waited for the lock is not in that one's answer.
    return (yield from known_data_keys())


def rotate_data_key(root: RootKey, now: datetime) -> Transaction[DataKey]:
    """Make a new data key; or return the newest, when older ones have still sealed something. Raises `WrongKey`."""
    *older, newest = yield from _data_keys_to_change()
    if newest.root_fingerprint != root.fingerprint:
        # Another process has hung them on another root key since this one began.
        raise WrongKey(root.source, given=root.fingerprint, expected=newest.root_fingerprint)
    if older and newest.finished is None:
        return newest
    key = new_data_key(root, newest.number + 1, now)
    yield "insert_data_key", rows.data_key_params(key)
    return key


def finish_data_key(number: int, now: datetime) -> Transaction[None]:
    yield "finish_data_key", {"this_number": number, "finished": rows.to_ms(now)}


def hang_on(new: RootKey, old: RootKey) -> Transaction[int]:
    """Seal all data keys of one root key by another, at once. Returns how many. Raises `WrongKey`, `DataKeyDamaged`."""
    keys = yield from _data_keys_to_change()
    if keys[-1].root_fingerprint != old.fingerprint:
        raise WrongKey(old.source, given=old.fingerprint, expected=keys[-1].root_fingerprint)
    ours = [key for key in keys if key.root_fingerprint == old.fingerprint]
    for key in ours:
        moved = rewrapped(key, old, new)
        yield (
            "rewrap_data_key",
            {
                "this_number": key.number,
                "sealed": moved.sealed,
                "root_fingerprint": moved.root_fingerprint,
            },
        )
    return len(ours)


def begin_anew(root: RootKey, now: datetime) -> Transaction[None]:
    """Seal by a new data key, which hangs on a root key that has opened none of the others. What they sealed stays shut."""
    *_, newest = yield from _data_keys_to_change()
    yield "insert_data_key", rows.data_key_params(new_data_key(root, newest.number + 1, now))


def sealed_after(
    column: SealedColumn, after: Sequence[str | bytes], limit: int
) -> Transaction[Sequence[Row]]:
    """Return the next rows of a column of secrets: primary key, then what is sealed."""
    params = {f"after_{number}": part for number, part in enumerate(after)}
    return (yield f"sealed_{column.table}", {**params, "limit": limit})


def reseal(column: SealedColumn, found: Sequence[Row], vault: Vault) -> Transaction[int]:
    """Seal these secrets by the newest key, those that can be opened and are still what they were. Returns how many."""
    done = 0
    for *key, sealed in found:
        place = (column.table, column.place(*key), column.column)
        try:
            text = vault.unseal(sealed, *place)
        except Unsealable:
            continue
        params = {f"this_{number}": part for number, part in enumerate(key)}
        changed = yield (
            f"reseal_{column.table}",
            {**params, "was": sealed, "resealed": vault.seal(text, *place)},
        )
        done += len(changed)
    return done


def opened(read: Callable[[Row, Vault], T], found: Sequence[Row], vault: Vault) -> Transaction[tuple[T, ...]]:
    """Return what rows with secrets say. The vault learns the data keys that another process has made meanwhile."""
    try:
        return tuple(read(row, vault) for row in found)
    except UnknownKey:
        vault.learn(map(rows.data_key_from, (yield "data_keys", {})))
    return tuple(read(row, vault.after_learning) for row in found)


def probe(needed: str) -> Transaction[SchemaState]:
    """Write something that changes nothing, and return how the schema stands to code that needs this one."""
    found = yield "probe", {}
    current = str(found[0][0]) if found else None
    if current == needed:
        return SchemaState(current, needed)
    steps = yield "migrations", {}
    return SchemaState(current, needed, steps=tuple(Step(*row) for row in steps))


def ping() -> Transaction[None]:
    yield "ping", {}
