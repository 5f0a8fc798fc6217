"""Messages that were given to nobody."""

from datetime import datetime

from pikarelay.services.ports import (
    Orphan,
)
from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction


def prune_orphans(before: datetime) -> Transaction[None]:
    yield "prune_orphans", {"before": rows.to_ms(before)}


def keep_orphan(orphan: Orphan) -> Transaction[None]:
    yield "insert_orphan", rows.orphan_params(orphan)


def orphan(message_id: str) -> Transaction[Orphan | None]:
    found = yield "orphan", {"message_id": message_id}
    return rows.orphan_from(found[0]) if found else None


def orphans(channel: str | None) -> Transaction[tuple[Orphan, ...]]:
    if channel is None:
        found = yield "orphans", {}
    else:
        found = yield "orphans_of_channel", {"channel": channel}
    return tuple(map(rows.orphan_from, found))
