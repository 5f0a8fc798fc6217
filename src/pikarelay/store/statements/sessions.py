"""Gateway sessions."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

gateway_sessions = sa.select(*s.gateway_sessions.c)
#: How many are read by one statement: a worker that is killed leaves hundreds.
READ_AT_ONCE = 64
gateway_sessions_of = gateway_sessions.where(
    s.gateway_sessions.c.digest.in_([p(f"digest_{n}", type_=sa.LargeBinary) for n in range(READ_AT_ONCE)])
)
put_gateway_session = Insert(
    s.gateway_sessions, key=(s.gateway_sessions.c.digest,), replace=(s.gateway_sessions.c.session,)
)
#: How many are written by one statement: a worker has thousands, and writes them every few seconds.
SESSIONS_AT_ONCE = 32
put_gateway_sessions = put_gateway_session._replace(rows=SESSIONS_AT_ONCE)
forget_gateway_session = sa.delete(s.gateway_sessions).where(s.gateway_sessions.c.digest == p("digest"))
