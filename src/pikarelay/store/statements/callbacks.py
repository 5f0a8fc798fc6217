"""Callbacks, their tries, their targets, and what they are signed with."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.store import schema as s
from pikarelay.store.statements.insert import NO_OFFSET, Insert

#: What is listed of a callback, in the order of `services.ports.CallbackRecord`.
RECORD_COLUMNS = (
    *("callback_id", "job_id", "caller_id", "target", "url", "state", "created", "attempt", "due", "error"),
)

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
    .offset(NO_OFFSET)
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
        .offset(NO_OFFSET)
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
        .offset(NO_OFFSET)
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
busy_targets = (
    sa.select(*s.callback_targets.c)
    .where(s.callback_targets.c.busy_until > p("now"))
    .order_by(s.callback_targets.c.target)
    .with_for_update()
)
# Due since it first became so: its turn is where it was.
release_claim = (
    sa.update(s.callbacks)
    .values(due=s.callbacks.c.created)
    .where(s.callbacks.c.target == p("this_target"), s.callbacks.c.due == p("busy_until"))
    .returning(s.callbacks.c.callback_id)
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
    .offset(NO_OFFSET)
)
oldest_undelivered = (
    sa.select(*_record_columns)
    .where(_meant)
    .order_by(s.callbacks.c.created, s.callbacks.c.callback_id)
    .limit(p("limit", type_=sa.Integer))
    .offset(NO_OFFSET)
)
replay_callback = (
    sa.update(s.callbacks)
    .values(due=p("due"), begun=p("begun"), tries=p("tries"), state=p("state"), trigger=p("trigger"))
    .where(s.callbacks.c.callback_id == p("this_callback"))
)
# One statement for both, each of which has an index of its own.
next_callback = sa.select(
    *(
        sa.select(sa.func.min(s.callback_targets.c.due)).where(queue).scalar_subquery()
        for queue in (s.is_fresh, s.is_failing)
    )
)
# Nothing is remembered of a target whose last callback is pruned, unless the operator has switched it off.
_is_idle = sa.and_(
    s.callback_targets.c.is_held.is_(sa.false()),
    ~sa.exists().where(s.callbacks.c.target == s.callback_targets.c.target),
)
idle_targets = sa.select(s.callback_targets.c.target).where(_is_idle).with_for_update(skip_locked=True)
prune_target = sa.delete(s.callback_targets).where(s.callback_targets.c.target == p("target"), _is_idle)
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
