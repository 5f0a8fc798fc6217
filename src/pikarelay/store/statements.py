"""
Every statement, one per verb, as SQLAlchemy Core: written once, compiled to each engine's SQL text at start-up.

`STATEMENTS` maps the names that `pikarelay.store.transactions` yields to these. Bound parameters carry the names of
their columns, except in an UPDATE's condition, where Core reserves those names: there they begin with `this_`.

`with_for_update` is spelt out where PostgreSQL needs the row lock. SQLAlchemy leaves it out for SQLite, where a write
transaction is alone anyway.
"""

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.jobs.job import PressPhase, Status
from pikarelay.store import schema as s

#: How many message ids one look-up takes; a message of the bot names four others at most.
OWNERS_AT_ONCE = 8

#: How many files one look-up takes.
UPLOADS_AT_ONCE = 64

#: The columns of a job that its life changes. The others are fixed when it is admitted.
MUTABLE = frozenset(
    {"status", "updated", "phase", "sent", "interaction_id", "message_id", "discord_token", "document"}
)

# SQLAlchemy adds an OFFSET for SQLite whenever there is a LIMIT, and would bind its zero.
_NO_OFFSET = sa.literal_column("0", sa.Integer)


class Insert(NamedTuple):
    """
    An INSERT that says what happens on a conflict. The two engines spell it alike; Core has one class for each.

    With no `replace` a conflict on any key inserts nothing and returns no row.
    """

    table: sa.Table
    #: The key whose conflict is expected.
    key: tuple[sa.Column[str], ...] = ()
    #: The columns that a conflicting row takes over from the new one.
    replace: tuple[sa.Column[object] | sa.Column[str] | sa.Column[int], ...] = ()
    returning: sa.Column[str] | sa.Column[int] | None = None


Statement = Insert | sa.Executable

# Callers. The look-up by digest is on the way of each request: one unique index, one row, one primary key.
caller_by_token = (
    sa.select(*s.callers.c)
    .join_from(s.api_tokens, s.callers, s.api_tokens.c.caller_id == s.callers.c.caller_id)
    .where(s.api_tokens.c.digest == p("digest"), s.api_tokens.c.revoked.is_(None))
)
add_caller = Insert(s.callers, returning=s.callers.c.caller_id)
put_caller = Insert(
    s.callers,
    key=(s.callers.c.caller_id,),
    replace=tuple(column for column in s.callers.c if column is not s.callers.c.caller_id),
)
callers = sa.select(*s.callers.c).order_by(s.callers.c.created, s.callers.c.caller_id)
add_api_token = Insert(s.api_tokens, returning=s.api_tokens.c.token_id)
_api_token_columns = (
    s.api_tokens.c.token_id,
    s.api_tokens.c.caller_id,
    s.api_tokens.c.hint,
    s.api_tokens.c.created,
    s.api_tokens.c.revoked,
)
api_tokens = sa.select(*_api_token_columns).order_by(s.api_tokens.c.created, s.api_tokens.c.token_id)
# The condition on `revoked` keeps the time of the first revocation.
revoke_api_token = (
    sa.update(s.api_tokens)
    .values(revoked=p("now"))
    .where(s.api_tokens.c.token_id == p("this_token"), s.api_tokens.c.revoked.is_(None))
    .returning(s.api_tokens.c.token_id)
)

# Accounts.
put_account = Insert(
    s.accounts,
    key=(s.accounts.c.caller_id, s.accounts.c.channel),
    replace=(s.accounts.c.discord_token, s.accounts.c.max_jobs, s.accounts.c.updated),
)
_this_account = sa.and_(s.accounts.c.caller_id == p("caller_id"), s.accounts.c.channel == p("channel"))
account = sa.select(*s.accounts.c).where(_this_account)
accounts_of_caller = (
    sa.select(*s.accounts.c).where(s.accounts.c.caller_id == p("caller_id")).order_by(s.accounts.c.channel)
)
accounts = sa.select(*s.accounts.c).order_by(s.accounts.c.channel, s.accounts.c.caller_id)
delete_account = sa.delete(s.accounts).where(_this_account).returning(s.accounts.c.channel)

# Jobs, read.
_by_age = (s.jobs.c.created, s.jobs.c.job_id)
job = sa.select(*s.jobs.c).where(s.jobs.c.job_id == p("job_id"))
job_by_nonce = sa.select(*s.jobs.c).where(s.jobs.c.nonce == p("nonce"))
job_by_key = (
    sa.select(*s.jobs.c, s.request_keys.c.digest)
    .join_from(s.request_keys, s.jobs, s.request_keys.c.job_id == s.jobs.c.job_id)
    .where(
        s.request_keys.c.caller_id == p("caller_id"),
        s.request_keys.c.request_key == p("request_key"),
        s.request_keys.c.created >= p("since"),
    )
)
unfinished = sa.select(*s.jobs.c).where(s.unfinished).order_by(*_by_age)
# Ids are sortable by time, so the primary key's index has the newest at its end.
newest_jobs = (
    sa.select(*s.jobs.c)
    .order_by(s.jobs.c.job_id.desc())
    .limit(p("limit", type_=sa.Integer))
    .offset(_NO_OFFSET)
)
executing = (
    sa.select(s.jobs.c.job_id, s.jobs.c.channel)
    .where(s.jobs.c.caller_id == p("caller_id"), s.unfinished)
    .order_by(*_by_age)
)
# A waiting press has not left this server, so no message of the bot can be about it.
open_jobs = (
    sa.select(*s.jobs.c)
    .where(
        s.jobs.c.channel == p("channel"),
        s.unfinished,
        s.jobs.c.phase != sa.literal_column(f"'{PressPhase.WAITING.value}'"),
    )
    .order_by(s.jobs.c.sent, s.jobs.c.job_id)
)
# A fixed number of places, the rest filled up: the text stays the same for any number of ids.
owners = sa.select(s.message_owners.c.message_id, s.message_owners.c.job_id).where(
    s.message_owners.c.message_id.in_([p(f"id_{n}", type_=sa.Text) for n in range(OWNERS_AT_ONCE)])
)

# Jobs, written.
# Makes the channel's row, or locks the one that is there: writing a column over with itself is what locks it.
lock_channel = Insert(s.channels, key=(s.channels.c.channel,), replace=(s.channels.c.channel,))
insert_job = Insert(s.jobs, returning=s.jobs.c.job_id)
insert_upload = Insert(s.uploads)
# A key whose time is over makes room for its next use.
forget_key = sa.delete(s.request_keys).where(
    s.request_keys.c.caller_id == p("caller_id"),
    s.request_keys.c.request_key == p("request_key"),
    s.request_keys.c.created < p("before"),
)
insert_key = Insert(s.request_keys, returning=s.request_keys.c.request_key)
job_to_change = job.with_for_update()
# Only what can change: SQLite rewrites an index whenever a column of it is named here, changed or not.
update_job = (
    sa.update(s.jobs)
    .values({column: p(column.name) for column in s.jobs.c if column.name in MUTABLE})
    .where(s.jobs.c.job_id == p("this_job"))
)
# Answers with the owner, whether it is a new one or was there before.
own_message = Insert(
    s.message_owners,
    key=(s.message_owners.c.message_id,),
    replace=(s.message_owners.c.message_id,),
    returning=s.message_owners.c.job_id,
)
withdraw_job = sa.delete(s.jobs).where(
    s.jobs.c.job_id == p("job_id"),
    s.one_of(s.jobs.c.status, [Status.CREATED.value]),
    s.one_of(s.jobs.c.phase, [PressPhase.WAITING.value, PressPhase.SENT.value]),
)
# In portions, so that a large clean-up keeps nobody waiting long.
prune_jobs = (
    sa.delete(s.jobs)
    .where(
        s.jobs.c.job_id.in_(
            sa.select(s.jobs.c.job_id)
            .where(s.final, s.jobs.c.updated < p("before"))
            .order_by(s.jobs.c.updated)
            .limit(p("limit", type_=sa.Integer))
            .offset(_NO_OFFSET)
        )
    )
    .returning(s.jobs.c.job_id)
)
prune_keys = (
    sa.delete(s.request_keys)
    .where(s.request_keys.c.created < p("before"))
    .returning(s.request_keys.c.request_key)
)
known_uploads = sa.select(s.uploads.c.upload_key).where(
    s.uploads.c.upload_key.in_([p(f"key_{n}", type_=sa.Text) for n in range(UPLOADS_AT_ONCE)])
)

# Callbacks.
insert_callback = Insert(s.callbacks, returning=s.callbacks.c.callback_id)
# A claim is a lease: `due` moves to its end, so a try whose process died comes up again by itself.
claim_callbacks = (
    sa.update(s.callbacks)
    .values(due=p("leased_until"), attempt=s.callbacks.c.attempt + sa.literal_column("1"))
    .where(
        s.callbacks.c.callback_id.in_(
            sa.select(s.callbacks.c.callback_id)
            .where(s.is_waiting, s.callbacks.c.due <= p("now"))
            .order_by(s.callbacks.c.due, s.callbacks.c.callback_id)
            .limit(p("limit", type_=sa.Integer))
            .offset(_NO_OFFSET)
            .with_for_update(skip_locked=True)
        )
    )
    .returning(
        s.callbacks.c.callback_id,
        s.callbacks.c.job_id,
        s.callbacks.c.url,
        s.callbacks.c.body,
        s.callbacks.c.attempt,
        s.callbacks.c.created,
    )
)
callback_to_finish = (
    sa.select(s.callbacks.c.attempt).where(s.callbacks.c.callback_id == p("callback_id")).with_for_update()
)
insert_attempt = Insert(s.callback_attempts, returning=s.callback_attempts.c.attempt)
# Guarded by the try's number: whoever took the callback over after a lease ran out decides about it alone.
settle_callback = (
    sa.update(s.callbacks)
    .values(due=p("due"), state=p("state"))
    .where(s.callbacks.c.callback_id == p("this_callback"), s.callbacks.c.attempt == p("this_attempt"))
)
next_callback = sa.select(sa.func.min(s.callbacks.c.due)).where(s.is_waiting)
attempts = (
    sa.select(*s.callback_attempts.c)
    .join_from(
        s.callback_attempts,
        s.callbacks,
        s.callback_attempts.c.callback_id == s.callbacks.c.callback_id,
    )
    .where(s.callbacks.c.job_id == p("job_id"))
    .order_by(s.callback_attempts.c.attempt)
)

# The vault, and the readiness check.
insert_data_key = Insert(s.data_keys)
data_keys = sa.select(*s.data_keys.c).order_by(s.data_keys.c.number)
ping: sa.Select[tuple[int]] = sa.select(sa.literal_column("1", sa.Integer))

STATEMENTS: dict[str, Statement] = {
    name: value
    for name, value in list(globals().items())
    if not name.startswith("_") and isinstance(value, Insert | sa.Executable)
}
