"""When data keys were made, and when the last secret was sealed by them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
oldest_code = "0004"


def upgrade() -> None:
    op.add_column("data_keys", sa.Column("created", sa.BigInteger))
    op.add_column("data_keys", sa.Column("finished", sa.BigInteger))
