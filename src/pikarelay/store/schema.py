"""
The tables, for both engines: what is a column is queried, all else of a job is in its `document`.

Times are whole milliseconds since 1970, UTC. Texts that callers or the bot wrote are inside the document, as JSON
bytes: no engine looks into them, and none has an opinion on their characters. What a job owns goes with it, by
`ON DELETE CASCADE`.

The database itself is built by `pikarelay.store.migrations`; a test holds the two together.
"""

import sqlalchemy as sa

from pikarelay.jobs.deadlines import OPEN_PHASES
from pikarelay.jobs.job import FINAL, Status

metadata = sa.MetaData()

# What the database has been through. Versions that are older than a step read here whether they may still work on it, so
# neither name nor columns ever change.
migrations = sa.Table(
    "migrations",
    metadata,
    sa.Column("revision", sa.Text, primary_key=True),
    sa.Column("oldest_code", sa.Text, nullable=False),
    # A version of the program.
    sa.Column("made_by", sa.Text, nullable=False),
)


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
# A caller is named by people; two of one name they could not tell apart.
sa.Index("callers_by_name", callers.c.name, unique=True)

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
    # Words with spaces between them.
    sa.Column("scopes", sa.Text, nullable=False, server_default="administer use"),
    sa.Column("expires", sa.BigInteger),
    sa.Column("last_used", sa.BigInteger),
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
    # A failed job that callers must not see: only what comes of its press is looked for.
    sa.Column("withdrawn", sa.Boolean, nullable=False),
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

#: Of these the bot may still say something.
haunting = sa.and_(
    one_of(jobs.c.status, [Status.FAILED.value, Status.CANCELLED.value]),
    one_of(jobs.c.phase, [phase.value for phase in OPEN_PHASES]),
)
# Looked at with each message of the bot, and hardly ever anything in it.
sa.Index("jobs_haunting", jobs.c.channel, jobs.c.sent, sqlite_where=haunting, postgresql_where=haunting)

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
    sa.Column("caller_id", sa.Text, nullable=False),
    # The origin of the address.
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    # When its schedule began, and how many tries of that are used up. Both start anew with a replay.
    sa.Column("begun", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    # The number of the last try that was claimed; 0 before the first.
    sa.Column("attempt", sa.Integer, nullable=False),
    # Of the next try: `schedule` or `manual`.
    sa.Column("trigger", sa.Text, nullable=False),
    # When the next try may be claimed: while one runs, when its lease ends. NULL when there will be no other.
    sa.Column("due", sa.BigInteger),
    # `waiting`, `delivered` or `dead`.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
)
is_undelivered = one_of(callbacks.c.state, ["waiting", "dead"])
sa.Index("callbacks_of_target", callbacks.c.target, callbacks.c.due, callbacks.c.callback_id)
# A server holds thousands of delivered callbacks and a handful of others.
sa.Index(
    "callbacks_undelivered",
    callbacks.c.created,
    callbacks.c.callback_id,
    sqlite_where=is_undelivered,
    postgresql_where=is_undelivered,
)

# One row for each origin that callbacks go to. It is the queue: `due` says when one of the target's callbacks can be tried,
# so a target that is paused, disabled or being tried is not even looked at.
callback_targets = sa.Table(
    "callback_targets",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    # NULL when nothing waits for it, or it is disabled.
    sa.Column("due", sa.BigInteger),
    # The lease of the try under way.
    sa.Column("busy_until", sa.BigInteger),
    # From here on: `pikarelay.jobs.breaker.Health`.
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("pauses", sa.Integer, nullable=False),
    sa.Column("paused_until", sa.BigInteger),
    sa.Column("failing_since", sa.BigInteger),
    sa.Column("exhausted", sa.Integer, nullable=False),
    sa.Column("disabled", sa.BigInteger),
    sa.Column("is_held", sa.Boolean, nullable=False),
)
# Two queues, so that targets that fail, however many, cannot take the places of those that do not.
is_fresh = sa.and_(callback_targets.c.due.is_not(None), callback_targets.c.failing_since.is_(None))
is_failing = sa.and_(callback_targets.c.due.is_not(None), callback_targets.c.failing_since.is_not(None))
sa.Index(
    "targets_fresh_by_due",
    callback_targets.c.due,
    callback_targets.c.target,
    sqlite_where=is_fresh,
    postgresql_where=is_fresh,
)
sa.Index(
    "targets_failing_by_due",
    callback_targets.c.due,
    callback_targets.c.target,
    sqlite_where=is_failing,
    postgresql_where=is_failing,
)

# What callbacks are signed with. The newest of a caller has no end; the one before it has a day.
callback_secrets = sa.Table(
    "callback_secrets",
    metadata,
    sa.Column("secret_id", sa.Text, primary_key=True),
    sa.Column("caller_id", sa.Text, nullable=False, index=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger),
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
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("answer", sa.Text),
    sa.Column("next_try", sa.BigInteger),
)

# Copies of results, made or to be made. One outlives its job, without it, until its file is removed from the mirror.
mirror_copies = sa.Table(
    "mirror_copies",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.job_id", ondelete="SET NULL"), index=True),
    # Which of the job's attachments.
    sa.Column("number", sa.Integer, nullable=False),
    # `waiting`, `done` or `failed`.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("begun", sa.BigInteger, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    # When the next try may be claimed: while one runs, when its lease ends. NULL when there will be no other.
    sa.Column("due", sa.BigInteger),
    sa.Column("error", sa.Text),
    # From here on: `pikarelay.jobs.mirror.KeptCopy`, of one that is done.
    sa.Column("mirror", sa.Text),
    sa.Column("size", sa.BigInteger),
    sa.Column("media_type", sa.Text),
)
# A server holds thousands of copies and a handful that are not made, or whose job is gone.
copy_is_undone = one_of(mirror_copies.c.state, ["waiting", "failed"])
sa.Index(
    "copies_undone",
    mirror_copies.c.begun,
    mirror_copies.c.name,
    sqlite_where=copy_is_undone,
    postgresql_where=copy_is_undone,
)
copy_is_due = mirror_copies.c.due.is_not(None)
sa.Index(
    "copies_by_due",
    mirror_copies.c.due,
    mirror_copies.c.name,
    sqlite_where=copy_is_due,
    postgresql_where=copy_is_due,
)
copy_is_abandoned = mirror_copies.c.job_id.is_(None)
sa.Index(
    "copies_abandoned",
    mirror_copies.c.name,
    sqlite_where=copy_is_abandoned,
    postgresql_where=copy_is_abandoned,
)

# Messages of the bot that brought something and were given to no caller.
orphans = sa.Table(
    "orphans",
    metadata,
    sa.Column("message_id", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, nullable=False, index=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("seen", sa.BigInteger, nullable=False),
    # What the bot says with it, and why it is nobody's.
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    # Job ids, as a JSON array.
    sa.Column("candidates", sa.LargeBinary, nullable=False),
    sa.Column("message", sa.LargeBinary, nullable=False),
)

# What each token's Gateway session can be resumed with. Useless without the token, and sealed all the same.
gateway_sessions = sa.Table(
    "gateway_sessions",
    metadata,
    # SHA-256 of the token.
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("session", sa.LargeBinary, nullable=False),
)

# How each token's account fares, as the server that looks after it saw it last.
account_health = sa.Table(
    "account_health",
    metadata,
    # SHA-256 of the token.
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("until", sa.BigInteger),
    sa.Column("seen", sa.BigInteger, nullable=False),
)

# The keys that seal secrets, each sealed by the root key, which is not in the database.
data_keys = sa.Table(
    "data_keys",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    # Of the root key that sealed it: tells a person which key is wanted.
    sa.Column("root_fingerprint", sa.Text, nullable=False),
    # NULL for the first one.
    sa.Column("created", sa.BigInteger),
    # When the last secret was sealed by it that an older key had sealed. NULL until then.
    sa.Column("finished", sa.BigInteger),
)

# Workers that are alive, or were. `until` is when the lease of one runs out; `locked`, since when it holds the lock that it loses
# with its connection, where the engine has such.
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("worker_id", sa.Text, primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("locked", sa.BigInteger),
)

# Channels and Gateway sessions, and the worker that holds each. A row stays for ever, for its epoch must never repeat.
holdings = sa.Table(
    "holdings",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)

# POSTs whose answer has not left. No foreign key: the job may be withdrawn, and its POST must learn why.
owed_answers = sa.Table(
    "owed_answers",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("until", sa.BigInteger, nullable=False),
    # `open`, `refusing`, `refused` or `given`.
    sa.Column("state", sa.Text, nullable=False),
    # As JSON, when it was refused.
    sa.Column("refusal", sa.LargeBinary),
)

# Uploaded files, where nodes share no disk. Which job has one says `uploads`.
stored_files = sa.Table(
    "stored_files",
    metadata,
    sa.Column("upload_key", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("finished", sa.BigInteger, nullable=False, index=True),
)

file_pieces = sa.Table(
    "file_pieces",
    metadata,
    sa.Column(
        "upload_key",
        sa.Text,
        sa.ForeignKey("stored_files.upload_key", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("piece", sa.LargeBinary, nullable=False),
)
