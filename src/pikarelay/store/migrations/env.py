"""Run by Alembic for each command: applies the scripts on the connection that `migrations` opened, and writes down what each says."""

from typing import Any

import sqlalchemy as sa
from alembic import context

from pikarelay import __version__
from pikarelay.store.schema import metadata

connection = context.config.attributes["connection"]

#: As every version knows it, whatever is added to it later.
_MIGRATIONS = sa.table("migrations", *map(sa.column, ("revision", "oldest_code", "made_by")))


def _remember(*, step: Any, **_more: Any) -> None:
    """Write down the oldest code that may work on what a script leaves. One that does not say fails here, with everything."""
    oldest_code = step.up_revision.module.oldest_code
    if sa.inspect(connection).has_table(_MIGRATIONS.name):
        its = {"revision": step.up_revision_id, "oldest_code": oldest_code, "made_by": __version__}
        connection.execute(sa.insert(_MIGRATIONS).values(its))


context.configure(
    connection=connection,
    target_metadata=metadata,
    on_version_apply=_remember,  # type: ignore[arg-type]  # it is declared by position, and called by name
)
with context.begin_transaction():
    context.run_migrations()
