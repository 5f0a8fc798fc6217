"""Workers, and what they hold."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam as p
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert


class DatabaseTime(FunctionElement[int]):
    """The database's own clock, in milliseconds since 1970: nodes need not agree on the time to agree on a lease."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(DatabaseTime, "sqlite")
def _sqlite_time(_element: DatabaseTime, _compiler: Any, **_: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(DatabaseTime, "postgresql")
def _postgresql_time(_element: DatabaseTime, _compiler: Any, **_: Any) -> str:
    # Not now(), which is when the transaction began.
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


_now = DatabaseTime()

put_worker = Insert(s.workers, key=(s.workers.c.worker_id,), replace=(s.workers.c.locked,))
renew_worker = (
    sa.update(s.workers)
    .values(until=_now + p("lease", type_=sa.BigInteger))
    .where(s.workers.c.worker_id == p("this_worker"))
)
workers = sa.select(s.workers.c.worker_id, (s.workers.c.until > _now).label("is_in_time"))
forget_worker = sa.delete(s.workers).where(s.workers.c.worker_id == p("worker_id"))
forget_workers = sa.delete(s.workers).where(s.workers.c.until < _now - p("long", type_=sa.BigInteger))

#: How many names are taken by one statement: a worker that is killed leaves hundreds.
NAMES_AT_ONCE = 32
# The text stays the same for any number of names.
_is_one_of = s.holdings.c.name.in_([p(f"name_{n}", type_=sa.Text) for n in range(NAMES_AT_ONCE)])

# Locks those that are there, in one order for everybody, so that two never wait for each other.
lock_holdings = sa.select(*s.holdings.c).where(_is_one_of).order_by(s.holdings.c.name).with_for_update()
# Makes the row, or locks the one that somebody else has just made.
lock_holding = Insert(s.holdings, key=(s.holdings.c.name,), replace=(s.holdings.c.name,))
holding = sa.select(*s.holdings.c).where(s.holdings.c.name == p("name"))
holdings = sa.select(*s.holdings.c)
take_holdings = (
    sa.update(s.holdings)
    .values(owner=p("owner"), epoch=s.holdings.c.epoch + sa.literal_column("1", sa.BigInteger))
    .where(_is_one_of)
)
release_holding = (
    sa.update(s.holdings)
    .values(owner=sa.null())
    .where(s.holdings.c.name == p("this_name"), s.holdings.c.owner == p("this_owner"))
)
release_all = sa.update(s.holdings).values(owner=sa.null()).where(s.holdings.c.owner == p("this_owner"))
# Shared, so that a worker's changes do not wait for each other; whoever takes over waits for all of them.
fence = (
    sa.select(*s.holdings.c)
    .where(_is_one_of, s.holdings.c.owner == p("owner"))
    .order_by(s.holdings.c.name)
    .with_for_update(read=True)
)

account_seats = sa.select(s.accounts.c.caller_id, s.accounts.c.channel, s.accounts.c.discord_token)
job_seats = sa.select(s.jobs.c.job_id, s.jobs.c.channel, s.jobs.c.discord_token).where(s.unfinished)
