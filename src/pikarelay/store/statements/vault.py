"""The vault's keys, and the readiness check."""

import sqlalchemy as sa

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import Insert

insert_data_key = Insert(s.data_keys)
data_keys = sa.select(*s.data_keys.c).order_by(s.data_keys.c.number)
ping: sa.Select[tuple[int]] = sa.select(sa.literal_column("1", sa.Integer))

_version = sa.table("alembic_version", sa.column("version_num", sa.String))
# The row keeps its value, and is written and synced all the same.
probe = sa.update(_version).values(version_num=_version.c.version_num).returning(_version.c.version_num)
