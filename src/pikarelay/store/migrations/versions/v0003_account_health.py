"""How accounts fare at Discord."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
oldest_code = "0003"


def upgrade() -> None:
    op.create_table(
        "account_health",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger),
        sa.Column("seen", sa.BigInteger, nullable=False),
    )
