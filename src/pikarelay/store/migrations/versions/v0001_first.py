"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
oldest_code = "0001"

UNFINISHED = sa.text("status IN ('created', 'started', 'progress')")
FINAL = sa.text("status IN ('completed', 'moderated', 'failed', 'cancelled')")
HAUNTING = sa.text("status IN ('failed', 'cancelled') AND phase IN ('sent', 'accepted', 'bound')")
UNDELIVERED = sa.text("state IN ('waiting', 'dead')")
FRESH = sa.text("due IS NOT NULL AND failing_since IS NULL")
FAILING = sa.text("due IS NOT NULL AND failing_since IS NOT NULL")


def upgrade() -> None:
    _create_callers()
    _create_jobs()
    _create_callbacks()
    _create_orphans()
    op.create_table(
        "data_keys",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("root_fingerprint", sa.Text, nullable=False),
    )


def _create_callers() -> None:
    op.create_table(
        "callers",
        sa.Column("caller_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("subscribed_until", sa.BigInteger),
        sa.Column("has_subscription", sa.Boolean, nullable=False),
        sa.Column("reply_url", sa.Text),
    )
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("revoked", sa.BigInteger),
    )
    op.create_table(
        "accounts",
        sa.Column("caller_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("discord_token", sa.LargeBinary, nullable=False),
        sa.Column("max_jobs", sa.Integer, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
    )


def _create_jobs() -> None:
    op.create_table("channels", sa.Column("channel", sa.Text, primary_key=True))
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("verb", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.Column("nonce", sa.Text, nullable=False, unique=True),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("sent", sa.BigInteger),
        sa.Column("interaction_id", sa.Text),
        sa.Column("message_id", sa.Text),
        sa.Column("discord_token", sa.LargeBinary, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
    )
    _create_index("jobs_unfinished_of_channel", "jobs", ["channel", "sent"], UNFINISHED)
    _create_index("jobs_unfinished_of_caller", "jobs", ["caller_id", "created", "job_id"], UNFINISHED)
    _create_index("jobs_final_by_age", "jobs", ["updated"], FINAL)
    _create_index("jobs_haunting", "jobs", ["channel", "sent"], HAUNTING)
    op.create_table(
        "message_owners",
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False),
    )
    op.create_index("ix_message_owners_job_id", "message_owners", ["job_id"])
    op.create_table(
        "request_keys",
        sa.Column("caller_id", sa.Text, primary_key=True),
        sa.Column("request_key", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_request_keys_job_id", "request_keys", ["job_id"])
    op.create_index("ix_request_keys_created", "request_keys", ["created"])
    op.create_table(
        "uploads",
        sa.Column("upload_key", sa.Text, primary_key=True),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False),
    )
    op.create_index("ix_uploads_job_id", "uploads", ["job_id"])


def _create_orphans() -> None:
    op.create_table(
        "orphans",
        sa.Column("message_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("candidates", sa.LargeBinary, nullable=False),
        sa.Column("message", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_orphans_channel", "orphans", ["channel"])
    op.create_table(
        "gateway_sessions",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("session", sa.LargeBinary, nullable=False),
    )


def _create_callbacks() -> None:
    op.create_table(
        "callbacks",
        sa.Column("callback_id", sa.Text, primary_key=True),
        sa.Column(
            "job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False, unique=True
        ),
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("due", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
    )
    op.create_index("callbacks_of_target", "callbacks", ["target", "due", "callback_id"])
    _create_index("callbacks_undelivered", "callbacks", ["created", "callback_id"], UNDELIVERED)
    op.create_table(
        "callback_targets",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("due", sa.BigInteger),
        sa.Column("busy_until", sa.BigInteger),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("pauses", sa.Integer, nullable=False),
        sa.Column("paused_until", sa.BigInteger),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("exhausted", sa.Integer, nullable=False),
        sa.Column("disabled", sa.BigInteger),
        sa.Column("is_held", sa.Boolean, nullable=False),
    )
    _create_index("targets_fresh_by_due", "callback_targets", ["due", "target"], FRESH)
    _create_index("targets_failing_by_due", "callback_targets", ["due", "target"], FAILING)
    op.create_table(
        "callback_secrets",
        sa.Column("secret_id", sa.Text, primary_key=True),
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger),
    )
    op.create_index("ix_callback_secrets_caller_id", "callback_secrets", ["caller_id"])
    op.create_table(
        "callback_attempts",
        sa.Column(
            "callback_id",
            sa.Text,
            sa.ForeignKey("callbacks.callback_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
        sa.Column("address", sa.Text),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("next_try", sa.BigInteger),
    )


def _create_index(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
