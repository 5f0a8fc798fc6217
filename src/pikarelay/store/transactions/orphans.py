"""Messages that were given to nobody."""

from datetime import datetime

from pikarelay.jobs.ownership import channel_name
from pikarelay.services.ports import Holds, Orphan
from pikarelay.store import rows
from pikarelay.store.transactions.form import Transaction
from pikarelay.store.transactions.ownership import held_of


def prune_orphans(before: datetime) -> Transaction[None]:
    yield "prune_orphans", {"before": rows.to_ms(before)}


def keep_orphan(orphan: Orphan, holds: Holds | None) -> Transaction[None]:
    name = channel_name(orphan.message.channel_id)
    if name not in (yield from held_of([name], holds)):
        # Whoever holds the channel now sees the message as well, and may know whose it is.
        return
    if not (yield "message_owner", {"message_id": orphan.message.id}):
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
