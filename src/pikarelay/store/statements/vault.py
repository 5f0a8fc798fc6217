"""The vault's keys, and the readiness check."""

import sqlalchemy as sa

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

insert_data_key = Insert(s.data_keys)
data_keys = sa.select(*s.data_keys.c).order_by(s.data_keys.c.number)
ping: sa.Select[tuple[int]] = sa.select(sa.literal_column("1", sa.Integer))
