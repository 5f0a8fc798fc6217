"""
The tables, for both engines: what is a column is queried, all else of a job is in its `document`.

Times are whole milliseconds since 1970, UTC. Texts that callers or the bot wrote are inside the document, as JSON
bytes: no engine looks into them, and none has an opinion on their characters. What a job owns goes with it, by
`ON DELETE CASCADE`.

The database itself is built by `pikarelay.store.migrations`; a test holds the two together.
"""

import sqlalchemy as sa

from pikarelay.jobs.job import FINAL, Status

metadata = sa.MetaData()


def one_of(column: sa.Column[str], values: list[str]) -> sa.ColumnElement[bool]:
    """
    Say that a column is one of our own constants, spelt into the SQL.

    An engine uses a partial index only for a query that repeats the index's condition, and a bound parameter is no
    repetition.
    """
    return column.in_([sa.literal_column(f"'{value}'") for value in values])


callers = sa.Table(
    "callers",
    metadata,
    sa.Column("caller_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("subscribed_until", sa.BigInteger),
    sa.Column("has_subscription", sa.Boolean, nullable=False),
    sa.Column("reply_url", sa.Text),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("token_id", sa.Text, primary_key=True),
    # SHA-256 of the token. The token itself is nowhere.
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("caller_id", sa.Text, nullable=False),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("revoked", sa.BigInteger),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("caller_id", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("discord_token", sa.LargeBinary, nullable=False),
    sa.Column("max_jobs", sa.Integer, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
)

# One row for each channel that ever ran a job: what admissions lock, so that they come one after the other.
channels = sa.Table("channels", metadata, sa.Column("channel", sa.Text, primary_key=True))

jobs = sa.Table(
    "jobs",
    metadata,
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
)

unfinished = one_of(jobs.c.status, [status.value for status in Status if status not in FINAL])
final = one_of(jobs.c.status, [status.value for status in Status if status in FINAL])

# A server holds thousands of finished jobs and a handful of unfinished ones. These two stay tiny.
sa.Index(
    "jobs_unfinished_of_channel",
    jobs.c.channel,
    jobs.c.sent,
    sqlite_where=unfinished,
    postgresql_where=unfinished,
)
sa.Index(
    "jobs_unfinished_of_caller",
    jobs.c.caller_id,
    jobs.c.created,
    jobs.c.job_id,
    sqlite_where=unfinished,
    postgresql_where=unfinished,
)
sa.Index("jobs_final_by_age", jobs.c.updated, sqlite_where=final, postgresql_where=final)

# A message of the bot belongs to one job, for ever: the primary key says so.
message_owners = sa.Table(
    "message_owners",
    metadata,
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column(
        "job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False, index=True
    ),
)

# The name that a caller gave a request, and the job which that made: goes with the job, so a job that Discord's 429
# takes back frees its name.
request_keys = sa.Table(
    "request_keys",
    metadata,
    sa.Column("caller_id", sa.Text, primary_key=True),
    sa.Column("request_key", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column(
        "job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False, index=True
    ),
    sa.Column("created", sa.BigInteger, nullable=False, index=True),
)

# Which files jobs refer to: what is on the disk and not here belongs to nobody.
uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("upload_key", sa.Text, primary_key=True),
    sa.Column(
        "job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False, index=True
    ),
)

callbacks = sa.Table(
    "callbacks",
    metadata,
    sa.Column("callback_id", sa.Text, primary_key=True),
    # A job ends once, so it calls back about one thing.
    sa.Column(
        "job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="CASCADE"), nullable=False, unique=True
    ),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    # The number of the last try that was claimed; 0 before the first.
    sa.Column("attempt", sa.Integer, nullable=False),
    # When the next try may be claimed: while one runs, when its lease ends. NULL when there will be no other.
    sa.Column("due", sa.BigInteger),
    # `waiting`, `delivered` or `dead`.
    sa.Column("state", sa.Text, nullable=False),
)
is_waiting = callbacks.c.due.is_not(None)
sa.Index(
    "callbacks_by_due",
    callbacks.c.due,
    callbacks.c.callback_id,
    sqlite_where=is_waiting,
    postgresql_where=is_waiting,
)

callback_attempts = sa.Table(
    "callback_attempts",
    metadata,
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
)

# The keys that seal secrets, each sealed by the root key, which is not in the database.
data_keys = sa.Table(
    "data_keys",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    # Of the root key that sealed it: tells a person which key is wanted.
    sa.Column("root_fingerprint", sa.Text, nullable=False),
)
