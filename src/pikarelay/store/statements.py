"""
Every statement, one per verb, as SQLAlchemy Core: written once, compiled to each engine's SQL text at start-up.

`STATEMENTS` maps the names that `pikarelay.store.transactions` yields to these. Bound parameters carry the names of
their columns, except in an UPDATE's condition, where Core reserves those names: there they begin with `this_`.

`with_for_update` is spelt out where PostgreSQL needs the row lock. SQLAlchemy leaves it out for SQLite, where a write
transaction is alone anyway.
"""

from typing import Any, NamedTuple

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

#: What is listed of a callback, in the order of `services.ports.CallbackRecord`.
RECORD_COLUMNS = (
    *("callback_id", "job_id", "caller_id", "target", "url", "state", "created", "attempt", "due", "error"),
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
_any_job = sa.select(*s.jobs.c).where(s.jobs.c.job_id == p("job_id"))
_is_shown = sa.not_(s.jobs.c.withdrawn)
job = _any_job.where(_is_shown)
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
    .where(_is_shown)
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
ghosts = (
    sa.select(*s.jobs.c)
    .where(s.jobs.c.channel == p("channel"), s.haunting, s.jobs.c.sent > p("since"))
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
job_to_change = _any_job.with_for_update()
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
# A person says whose the message is.
adopt_message = own_message._replace(replace=(s.message_owners.c.job_id,))
# Nothing was sent, so nothing can come.
_created_job = sa.and_(s.jobs.c.job_id == p("job_id"), s.one_of(s.jobs.c.status, [Status.CREATED.value]))
withdraw_waiting_job = sa.delete(s.jobs).where(
    _created_job, s.one_of(s.jobs.c.phase, [PressPhase.WAITING.value])
)
withdraw_unsent_job = sa.delete(s.jobs).where(
    _created_job, s.one_of(s.jobs.c.phase, [PressPhase.WAITING.value, PressPhase.SENT.value])
)
withdraw_sent_job = (
    sa.update(s.jobs)
    .values(withdrawn=sa.true(), status=sa.literal_column(f"'{Status.FAILED.value}'"))
    .where(
        s.jobs.c.job_id == p("this_job"),
        s.one_of(s.jobs.c.status, [Status.CREATED.value]),
        s.one_of(s.jobs.c.phase, [PressPhase.SENT.value]),
    )
    .returning(s.jobs.c.job_id)
)
free_key = sa.delete(s.request_keys).where(s.request_keys.c.job_id == p("job_id"))
disown_uploads = sa.delete(s.uploads).where(s.uploads.c.job_id == p("job_id"))
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

# Orphans.
insert_orphan = Insert(s.orphans)
orphan = sa.select(*s.orphans.c).where(s.orphans.c.message_id == p("message_id"))
_oldest_orphan_first = (s.orphans.c.seen, s.orphans.c.message_id)
orphans = sa.select(*s.orphans.c).order_by(*_oldest_orphan_first)
orphans_of_channel = (
    sa.select(*s.orphans.c).where(s.orphans.c.channel == p("channel")).order_by(*_oldest_orphan_first)
)
delete_orphan = sa.delete(s.orphans).where(s.orphans.c.message_id == p("message_id"))
prune_orphans = sa.delete(s.orphans).where(s.orphans.c.seen < p("before"))

# Gateway sessions. Few, and changing all the time, so they are written anew together.
gateway_sessions = sa.select(*s.gateway_sessions.c)
forget_gateway_sessions = sa.delete(s.gateway_sessions)
insert_gateway_session = Insert(s.gateway_sessions)

# Callbacks.
insert_callback = Insert(s.callbacks, returning=s.callbacks.c.callback_id)
# Makes the target's row, or locks the one that is there.
lock_target = Insert(
    s.callback_targets, key=(s.callback_targets.c.target,), replace=(s.callback_targets.c.target,)
)
target = sa.select(*s.callback_targets.c).where(s.callback_targets.c.target == p("target"))
target_to_change = target.with_for_update()
targets = (
    sa.select(*s.callback_targets.c)
    .order_by(s.callback_targets.c.failing_since.is_(None), s.callback_targets.c.target)
    .limit(p("limit", type_=sa.Integer))
    .offset(_NO_OFFSET)
)
update_target = (
    sa.update(s.callback_targets)
    .values({column: p(column.name) for column in s.callback_targets.c if column.name != "target"})
    .where(s.callback_targets.c.target == p("this_target"))
)


def _due_targets(queue: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return (
        sa.select(s.callback_targets.c.target)
        .where(queue, s.callback_targets.c.due <= p("now"))
        .order_by(s.callback_targets.c.due, s.callback_targets.c.target)
        .limit(p("limit", type_=sa.Integer))
        .offset(_NO_OFFSET)
        .with_for_update(skip_locked=True)
    )


due_fresh_targets = _due_targets(s.is_fresh)
due_failing_targets = _due_targets(s.is_failing)
# A claim is a lease: `due` moves to its end, so a try whose process died comes up again by itself.
claim_callback = (
    sa.update(s.callbacks)
    .values(due=p("leased_until"), attempt=s.callbacks.c.attempt + sa.literal_column("1"))
    .where(
        s.callbacks.c.callback_id
        == sa.select(s.callbacks.c.callback_id)
        .where(s.callbacks.c.target == p("this_target"), s.callbacks.c.due <= p("now"))
        .order_by(s.callbacks.c.due, s.callbacks.c.callback_id)
        .limit(sa.literal_column("1", sa.Integer))
        .offset(_NO_OFFSET)
        .scalar_subquery()
    )
    .returning(
        s.callbacks.c.callback_id,
        s.callbacks.c.job_id,
        s.callbacks.c.url,
        s.callbacks.c.body,
        s.callbacks.c.attempt,
        s.callbacks.c.created,
        s.callbacks.c.caller_id,
        s.callbacks.c.tries,
        s.callbacks.c.begun,
        s.callbacks.c.trigger,
    )
)
renew_claim = (
    sa.update(s.callbacks)
    .values(due=p("leased_until"))
    .where(
        s.callbacks.c.callback_id == p("this_callback"),
        s.callbacks.c.attempt == p("this_attempt"),
        s.callbacks.c.due.is_not(None),
    )
    .returning(s.callbacks.c.callback_id)
)
occupy_target = (
    sa.update(s.callback_targets)
    .values(due=p("leased_until"), busy_until=p("busy_until"))
    .where(s.callback_targets.c.target == p("this_target"))
)
# The target is locked first, here as by everybody, so this only says which one.
target_of_callback = sa.select(s.callbacks.c.target).where(s.callbacks.c.callback_id == p("callback_id"))
callback_to_finish = (
    sa.select(s.callbacks.c.attempt, s.callbacks.c.tries)
    .where(s.callbacks.c.callback_id == p("callback_id"))
    .with_for_update()
)
insert_attempt = Insert(s.callback_attempts, returning=s.callback_attempts.c.attempt)
plan_next_try = (
    sa.update(s.callback_attempts)
    .values(next_try=p("next_try"))
    .where(
        s.callback_attempts.c.callback_id == p("this_callback"),
        s.callback_attempts.c.attempt == p("this_attempt"),
    )
)
settle_callback = (
    sa.update(s.callbacks)
    .values(due=p("due"), state=p("state"), tries=p("tries"), trigger=p("trigger"), error=p("error"))
    .where(s.callbacks.c.callback_id == p("this_callback"))
)
bury_callbacks = (
    sa.update(s.callbacks)
    .values(due=sa.null(), state=p("state"), error=p("error"))
    .where(s.callbacks.c.target == p("this_target"), s.callbacks.c.due.is_not(None))
)
first_of_target = sa.select(sa.func.min(s.callbacks.c.due)).where(
    s.callbacks.c.target == p("target"), s.callbacks.c.due.is_not(None)
)
_record_columns = tuple(s.callbacks.c[name] for name in RECORD_COLUMNS)
callback = sa.select(*_record_columns).where(s.callbacks.c.job_id == p("job_id"))
_meant = sa.and_(
    s.is_undelivered,
    s.callbacks.c.created >= p("since"),
    s.callbacks.c.created < p("until"),
    # NULL stands for: all.
    s.callbacks.c.caller_id == sa.func.coalesce(p("caller_id", type_=sa.Text), s.callbacks.c.caller_id),
    s.callbacks.c.target == sa.func.coalesce(p("target", type_=sa.Text), s.callbacks.c.target),
    s.callbacks.c.state == sa.func.coalesce(p("state", type_=sa.Text), s.callbacks.c.state),
)
undelivered = (
    sa.select(*_record_columns)
    .where(_meant)
    .order_by(s.callbacks.c.created.desc(), s.callbacks.c.callback_id.desc())
    .limit(p("limit", type_=sa.Integer))
    .offset(_NO_OFFSET)
)
oldest_undelivered = (
    sa.select(*_record_columns)
    .where(_meant)
    .order_by(s.callbacks.c.created, s.callbacks.c.callback_id)
    .limit(p("limit", type_=sa.Integer))
    .offset(_NO_OFFSET)
)
replay_callback = (
    sa.update(s.callbacks)
    .values(due=p("due"), begun=p("begun"), tries=p("tries"), state=p("state"), trigger=p("trigger"))
    .where(s.callbacks.c.callback_id == p("this_callback"))
)
next_fresh = sa.select(sa.func.min(s.callback_targets.c.due)).where(s.is_fresh)
next_failing = sa.select(sa.func.min(s.callback_targets.c.due)).where(s.is_failing)
# Nothing is remembered of a target whose last callback is pruned, unless the operator has switched it off.
prune_targets = (
    sa.delete(s.callback_targets)
    .where(
        s.callback_targets.c.is_held.is_(sa.false()),
        ~sa.exists().where(s.callbacks.c.target == s.callback_targets.c.target),
    )
    .returning(s.callback_targets.c.target)
)
insert_callback_secret = Insert(s.callback_secrets)
end_callback_secrets = (
    sa.update(s.callback_secrets)
    .values(expires=p("expires"))
    .where(s.callback_secrets.c.caller_id == p("this_caller"), s.callback_secrets.c.expires.is_(None))
)
remove_callback_secrets = (
    sa.delete(s.callback_secrets)
    .where(s.callback_secrets.c.caller_id == p("caller_id"))
    .returning(s.callback_secrets.c.secret_id)
)
forget_ended_secrets = sa.delete(s.callback_secrets).where(
    s.callback_secrets.c.caller_id == p("caller_id"), s.callback_secrets.c.expires <= p("now")
)
callback_secrets = (
    sa.select(*s.callback_secrets.c)
    .where(
        s.callback_secrets.c.caller_id == p("caller_id"),
        sa.or_(s.callback_secrets.c.expires.is_(None), s.callback_secrets.c.expires > p("now")),
    )
    .order_by(s.callback_secrets.c.created.desc(), s.callback_secrets.c.secret_id.desc())
)
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
