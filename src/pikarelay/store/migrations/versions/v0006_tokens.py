"""What API tokens are good for, until when, and when they were last used; and one caller of a name."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
oldest_code = "0006"


def upgrade() -> None:
    op.add_column("api_tokens", sa.Column("scopes", sa.Text, nullable=False, server_default="administer use"))
    op.add_column("api_tokens", sa.Column("expires", sa.BigInteger))
    op.add_column("api_tokens", sa.Column("last_used", sa.BigInteger))
    # Nothing kept two callers from one name before. The younger one gets its id behind it.
    op.execute(
        "UPDATE callers SET name = name || ' ' || caller_id WHERE EXISTS (SELECT 1 FROM callers AS older"
        " WHERE older.name = callers.name AND older.caller_id < callers.caller_id)"
    )
    op.create_index("callers_by_name", "callers", ["name"], unique=True)
