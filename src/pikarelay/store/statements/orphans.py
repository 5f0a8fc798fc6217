"""Messages that were given to nobody."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

insert_orphan = Insert(s.orphans)
orphan = sa.select(*s.orphans.c).where(s.orphans.c.message_id == p("message_id"))
_oldest_orphan_first = (s.orphans.c.seen, s.orphans.c.message_id)
orphans = sa.select(*s.orphans.c).order_by(*_oldest_orphan_first)
orphans_of_channel = (
    sa.select(*s.orphans.c).where(s.orphans.c.channel == p("channel")).order_by(*_oldest_orphan_first)
)
delete_orphan = sa.delete(s.orphans).where(s.orphans.c.message_id == p("message_id"))
prune_orphans = sa.delete(s.orphans).where(s.orphans.c.seen < p("before"))
