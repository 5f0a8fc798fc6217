"""How accounts fare. A row each, few, and read only when a person asks."""

import sqlalchemy as sa

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

p = sa.bindparam

keep_account_health = Insert(
    s.account_health,
    key=(s.account_health.c.digest,),
    replace=(
        s.account_health.c.state,
        s.account_health.c.reason,
        s.account_health.c.until,
        s.account_health.c.seen,
    ),
)
#: How many are written by one statement.
HEALTHS_AT_ONCE = 32
keep_account_healths = keep_account_health._replace(rows=HEALTHS_AT_ONCE)
forget_account_health = sa.delete(s.account_health).where(s.account_health.c.digest == p("this_digest"))
prune_account_health = sa.delete(s.account_health).where(s.account_health.c.seen < p("before"))
account_health = sa.select(*s.account_health.c).where(s.account_health.c.seen >= p("since"))
