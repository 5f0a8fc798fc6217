"""
What the database has been through, and the oldest code that may work on it since.

Code from before starts on its own schema alone, so all scripts up to here name themselves.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
oldest_code = "0007"


def upgrade() -> None:
    op.create_table(
        "migrations",
        sa.Column("revision", sa.Text, primary_key=True),
        sa.Column("oldest_code", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
    )
