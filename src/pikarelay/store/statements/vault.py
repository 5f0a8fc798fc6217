"""The vault's keys, the secrets they seal, and the readiness check."""

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import NO_OFFSET, Insert

insert_data_key = Insert(s.data_keys, returning=s.data_keys.c.number)
data_keys = sa.select(*s.data_keys.c).order_by(s.data_keys.c.number)
# Who makes a key, and who hangs all of them on another root key, wait for each other here.
lock_data_keys = sa.select(s.data_keys.c.number).order_by(s.data_keys.c.number).with_for_update()
rewrap_data_key = (
    sa.update(s.data_keys)
    .values(sealed=p("sealed"), root_fingerprint=p("root_fingerprint"))
    .where(s.data_keys.c.number == p("this_number"))
)
finish_data_key = (
    sa.update(s.data_keys)
    .values(finished=p("finished"))
    .where(s.data_keys.c.number == p("this_number"), s.data_keys.c.finished.is_(None))
)


def _sealed_after(column: "sa.Column[bytes]") -> sa.Select[tuple[object, ...]]:
    """Return the query for a table's next secrets, in the order of its primary key."""
    keys = tuple(column.table.primary_key)
    after = (p(f"after_{number}", type_=key.type) for number, key in enumerate(keys))
    return (
        sa.select(*keys, column)
        .where(sa.tuple_(*keys) > sa.tuple_(*after))
        .order_by(*keys)
        .limit(p("limit", type_=sa.Integer))
        .offset(NO_OFFSET)
    )


def _reseal(column: "sa.Column[bytes]") -> sa.Update:
    """Return the update of one secret that is still as it was read."""
    keys = (key == p(f"this_{number}", type_=key.type) for number, key in enumerate(column.table.primary_key))
    return (
        sa.update(column.table)
        .values({column: p("resealed", type_=column.type)})
        .where(*keys, column == p("was", type_=column.type))
        .returning(sa.literal_column("1", sa.Integer))
    )


sealed_accounts = _sealed_after(s.accounts.c.discord_token)
sealed_callback_secrets = _sealed_after(s.callback_secrets.c.secret)
sealed_gateway_sessions = _sealed_after(s.gateway_sessions.c.session)
sealed_jobs = _sealed_after(s.jobs.c.discord_token)
reseal_accounts = _reseal(s.accounts.c.discord_token)
reseal_callback_secrets = _reseal(s.callback_secrets.c.secret)
reseal_gateway_sessions = _reseal(s.gateway_sessions.c.session)
reseal_jobs = _reseal(s.jobs.c.discord_token)

ping: sa.Select[tuple[int]] = sa.select(sa.literal_column("1", sa.Integer))

_version = sa.table("alembic_version", sa.column("version_num", sa.String))
migrations = sa.select(*s.migrations.c)
# The row keeps its value, and is written and synced all the same.
probe = sa.update(_version).values(version_num=_version.c.version_num).returning(_version.c.version_num)
