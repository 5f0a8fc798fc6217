"""Messages that were given to nobody."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.services.ports import OrphanReason
from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

insert_orphan = Insert(s.orphans)
orphan = sa.select(*s.orphans.c).where(s.orphans.c.message_id == p("message_id"))
_oldest_orphan_first = (s.orphans.c.seen, s.orphans.c.message_id)
orphans = sa.select(*s.orphans.c).order_by(*_oldest_orphan_first)
orphans_of_channel = (
    sa.select(*s.orphans.c).where(s.orphans.c.channel == p("channel")).order_by(*_oldest_orphan_first)
)
# One that came late is its ended job's, which it changes nothing of.
late_orphan = sa.select(s.orphans.c.message_id).where(
    s.orphans.c.message_id == p("message_id"), s.one_of(s.orphans.c.reason, [OrphanReason.LATE.value])
)
message_owner = sa.select(s.message_owners.c.job_id).where(s.message_owners.c.message_id == p("message_id"))
delete_orphan = sa.delete(s.orphans).where(s.orphans.c.message_id == p("message_id"))
prune_orphans = sa.delete(s.orphans).where(s.orphans.c.seen < p("before"))
