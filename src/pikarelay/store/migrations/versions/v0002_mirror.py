"""Copies of results."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
oldest_code = "0002"

UNDONE = sa.text("state IN ('waiting', 'failed')")
DUE = sa.text("due IS NOT NULL")
ABANDONED = sa.text("job_id IS NULL")


def upgrade() -> None:
    op.create_table(
        "mirror_copies",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="SET NULL")),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("due", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.Column("mirror", sa.Text),
        sa.Column("size", sa.BigInteger),
        sa.Column("media_type", sa.Text),
    )
    op.create_index("ix_mirror_copies_job_id", "mirror_copies", ["job_id"])
    for name, columns, where in (
        ("copies_undone", ["begun", "name"], UNDONE),
        ("copies_by_due", ["due", "name"], DUE),
        ("copies_abandoned", ["name"], ABANDONED),
    ):
        op.create_index(name, "mirror_copies", columns, sqlite_where=where, postgresql_where=where)
