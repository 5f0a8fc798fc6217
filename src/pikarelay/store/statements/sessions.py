"""Gateway sessions."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

gateway_sessions = sa.select(*s.gateway_sessions.c)
put_gateway_session = Insert(
    s.gateway_sessions, key=(s.gateway_sessions.c.digest,), replace=(s.gateway_sessions.c.session,)
)
forget_gateway_session = sa.delete(s.gateway_sessions).where(s.gateway_sessions.c.digest == p("digest"))
