"""What several nodes tell each other: who is alive, who holds what, which answers are owed, and files."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
oldest_code = "0005"


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.Text, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("locked", sa.BigInteger),
    )
    op.create_table(
        "holdings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "owed_answers",
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("refusal", sa.LargeBinary),
    )
    op.create_table(
        "stored_files",
        sa.Column("upload_key", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_stored_files_finished", "stored_files", ["finished"])
    op.create_table(
        "file_pieces",
        sa.Column(
            "upload_key",
            sa.Text,
            sa.ForeignKey("stored_files.upload_key", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("piece", sa.LargeBinary, nullable=False),
    )
