"""Run by Alembic for each command: applies the scripts on the connection that `migrations` opened."""

import sqlalchemy as sa
from alembic import context

from pikarelay.store.schema import metadata

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    # Nodes that start together migrate one after the other. SQLite's transaction is exclusive by itself.
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(7_452_171)"))
context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
