"""The vault's keys, and the places where secrets are kept."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pikarelay.store.rows.callers import account_place
from pikarelay.store.rows.columns import Params, Row, from_ms_or_none, to_ms_or_none
from pikarelay.store.vault import DataKey


def data_key_params(key: DataKey) -> Params:
    return {
        "number": key.number,
        "sealed": key.sealed,
        "root_fingerprint": key.root_fingerprint,
        "created": to_ms_or_none(key.created),
        "finished": to_ms_or_none(key.finished),
    }


def data_key_from(row: Row) -> DataKey:
    number, sealed, root_fingerprint, created, finished = row
    return DataKey(number, sealed, root_fingerprint, from_ms_or_none(created), from_ms_or_none(finished))


class SealedColumn(NamedTuple):
    """A column of secrets."""

    table: str
    column: str
    #: Before the first primary key.
    start: Sequence[str | bytes]
    #: What a secret is bound to beside table, column and key: the row, by its primary key.
    place: Callable[..., str]


#: All columns of secrets. A test compares them with what the schema has.
SEALED_COLUMNS = (
    SealedColumn("accounts", "discord_token", ("", ""), account_place),
    SealedColumn("callback_secrets", "secret", ("",), str),
    SealedColumn("gateway_sessions", "session", (b"",), bytes.hex),
    SealedColumn("jobs", "discord_token", ("",), str),
)
