"""Gateway sessions. Few, and changing all the time, so they are written anew together."""

import sqlalchemy as sa

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

gateway_sessions = sa.select(*s.gateway_sessions.c)
forget_gateway_sessions = sa.delete(s.gateway_sessions)
insert_gateway_session = Insert(s.gateway_sessions)
