"""
Callbacks.

Whoever changes a callback locks its target first: the target's `due` rests on all of its callbacks.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from pikarelay.jobs.breaker import Health, another_chance
from pikarelay.jobs.callbacks import (
    CallbackAttempt,
    CallbackFilter,
    CallbackRecord,
    CallbackState,
    Target,
    Trigger,
)
from pikarelay.services.ports import (
    Callback,
    CallbackDraft,
    CallbackOutcome,
    CallbackSecret,
    DecideOutcome,
    News,
)
from pikarelay.store import rows
from pikarelay.store.rows import Params
from pikarelay.store.rules import DISABLED, AlreadyThere, callback_state, target_due
from pikarelay.store.transactions.form import Transaction, announce
from pikarelay.store.transactions.vault import opened
from pikarelay.store.vault import Vault


def insert_callback(draft: CallbackDraft, caller_id: str) -> Transaction[None]:
    yield "lock_target", rows.target_params(Target(target=draft.target, health=Health()))
    target = rows.target_from((yield "target", {"target": draft.target})[0])
    is_dead = target.health.disabled is not None
    params = rows.callback_params(draft, caller_id, is_dead=is_dead)
    if not (yield "insert_callback", params):
        raise AlreadyThere(f"callback {draft.callback_id} of job {draft.job_id}")
    due = target_due(target, draft.due)
    if due is not None and (target.due is None or due < target.due):
        yield "update_target", _target_change(target, due)


def claim_callbacks(
    now: datetime, lease: timedelta, fresh: int, failing: int
) -> Transaction[tuple[Callback, ...]]:
    due = {"now": rows.to_ms(now)}
    leased = {"leased_until": rows.to_ms(now + lease)}
    claimed: list[Callback] = []
    for queue, limit in (("due_fresh_targets", fresh), ("due_failing_targets", failing)):
        if limit == 0:
            continue
        for (target,) in (yield queue, {**due, "limit": limit}):
            row = yield "claim_callback", {**due, **leased, "this_target": target}
            if row:
                is_failing = queue == "due_failing_targets"
                claimed.append(rows.callback_from(row[0], target_is_failing=is_failing))
                yield (
                    "occupy_target",
                    {**leased, "busy_until": leased["leased_until"], "this_target": target},
                )
            else:
                # What made it due was pruned.
                yield from _reschedule(rows.target_from((yield "target", {"target": target})[0]))
    return tuple(sorted(claimed, key=lambda c: (c.created, c.callback_id)))


def renew_claim(callback_id: str, attempt: int, until: datetime) -> Transaction[bool]:
    found = yield "target_of_callback", {"callback_id": callback_id}
    if not found:
        return False
    this_target, leased = {"this_target": found[0][0]}, {"leased_until": rows.to_ms(until)}
    yield "target_to_change", {"target": found[0][0]}
    renewed = yield "renew_claim", {**leased, "this_callback": callback_id, "this_attempt": attempt}
    if renewed:
        yield "occupy_target", {**leased, "busy_until": leased["leased_until"], **this_target}
    return bool(renewed)


def release_claims(now: datetime) -> Transaction[int]:
    released = 0
    for row in (yield "busy_targets", {"now": rows.to_ms(now)}):
        target = rows.target_from(row)
        # A claim's lease is noted with its target and with its callback, to the millisecond.
        claim = {"this_target": target.target, "busy_until": rows.to_ms_or_none(target.busy_until)}
        released += len((yield "release_claim", claim))
        yield from _reschedule(msgspec.structs.replace(target, busy_until=None))
    return released


def finish_callback(attempt: CallbackAttempt, decide: DecideOutcome) -> Transaction[CallbackOutcome | None]:
    """Log the try, once, and let it decide if nobody has claimed the callback since."""
    callback = {"callback_id": attempt.callback_id}
    found = yield "target_of_callback", callback
    if not found:
        return None  # Pruned while the try ran.
    locked = yield "target_to_change", {"target": found[0][0]}
    standing = yield "callback_to_finish", callback
    if not locked or not standing:
        return None  # Pruned while we waited for the lock.
    target, (current, tries) = rows.target_from(locked[0]), standing[0]
    if not (yield "insert_attempt", rows.attempt_params(attempt)) or current != attempt.attempt:
        return None  # Recorded before; or another try decides.
    outcome = decide(target.health)
    state = callback_state(outcome)
    this = {"this_callback": attempt.callback_id}
    due = rows.to_ms_or_none(outcome.retry_at)
    yield (
        "settle_callback",
        {
            **this,
            "due": due,
            "state": state.value,
            "tries": tries + outcome.is_counted,
            "trigger": Trigger.SCHEDULE.value,
            "error": attempt.error,
        },
    )
    if due is not None:
        yield "plan_next_try", {**this, "this_attempt": attempt.attempt, "next_try": due}
    yield from _put_health(msgspec.structs.replace(target, busy_until=None), outcome.health)
    return outcome


def _put_health(target: Target, health: Health) -> Transaction[None]:
    if health.disabled is not None:
        yield (
            "bury_callbacks",
            {"this_target": target.target, "state": CallbackState.DEAD.value, "error": DISABLED},
        )
    yield from _reschedule(msgspec.structs.replace(target, health=health))


def _reschedule(target: Target) -> Transaction[None]:
    ((first,),) = yield "first_of_target", {"target": target.target}
    due = target_due(target, None if first is None else rows.from_ms(first))
    yield "update_target", _target_change(target, due)


def _target_change(target: Target, due: datetime | None) -> Params:
    params = dict(rows.target_params(msgspec.structs.replace(target, due=due)))
    return {**params, "this_target": params.pop("target")}


def put_health(target: str, health: Health) -> Transaction[bool]:
    found = yield "target_to_change", {"target": target}
    if not found:
        return False
    yield from _put_health(rows.target_from(found[0]), health)
    yield announce(News.CALLBACKS)
    return True


def targets(limit: int, target: str | None) -> Transaction[tuple[Target, ...]]:
    if target is None:
        found = yield "targets", {"limit": limit}
    else:
        found = yield "target", {"target": target}
    return tuple(map(rows.target_from, found))


def callback(job_id: str) -> Transaction[CallbackRecord | None]:
    found = yield "callback", {"job_id": job_id}
    return rows.record_from(found[0]) if found else None


def undelivered(which: CallbackFilter, limit: int) -> Transaction[tuple[CallbackRecord, ...]]:
    return tuple(map(rows.record_from, (yield "undelivered", rows.filter_params(which, limit))))


def replay_callback(job_id: str, now: datetime) -> Transaction[bool]:
    found = yield "callback", {"job_id": job_id}
    return bool((yield from _replay([rows.record_from(row) for row in found], now)))


def replay_dead(which: CallbackFilter, now: datetime, limit: int) -> Transaction[tuple[str, ...]]:
    dead = msgspec.structs.replace(which, state=CallbackState.DEAD)
    found = yield "oldest_undelivered", rows.filter_params(dead, limit)
    return (yield from _replay([rows.record_from(row) for row in found], now))


def _replay(records: Sequence[CallbackRecord], now: datetime) -> Transaction[tuple[str, ...]]:
    replayed: list[str] = []
    # In one order for everybody, so that two never wait for each other.
    for name in sorted({record.target for record in records}):
        locked = yield "target_to_change", {"target": name}
        if not locked:
            continue  # Pruned while we waited for the lock.
        target = rows.target_from(locked[0])
        if target.health.is_held:
            continue
        for record in records:
            if record.target == name:
                yield "replay_callback", rows.replay_params(record, now)
                replayed.append(record.job_id)
        yield from _reschedule(msgspec.structs.replace(target, health=another_chance(target.health)))
    if replayed:
        yield announce(News.CALLBACKS)
    return tuple(replayed)


def next_callback() -> Transaction[datetime | None]:
    ((fresh, failing),) = yield "next_callback", {}
    return min((rows.from_ms(due) for due in (fresh, failing) if due is not None), default=None)


def prune_targets() -> Transaction[int]:
    # Locked first, so that no callback comes to a target between the look for its callbacks and its end.
    found = yield "idle_targets", {}
    for (target,) in found:
        yield "prune_target", {"target": target}
    return len(found)


def rotate_callback_secret(secret: CallbackSecret, old_until: datetime, vault: Vault) -> Transaction[None]:
    caller = secret.caller_id
    yield "forget_ended_secrets", {"caller_id": caller, "now": rows.to_ms(secret.created)}
    yield "end_callback_secrets", {"this_caller": caller, "expires": rows.to_ms(old_until)}
    yield "insert_callback_secret", rows.callback_secret_params(secret, vault)


def remove_callback_secrets(caller_id: str) -> Transaction[int]:
    return len((yield "remove_callback_secrets", {"caller_id": caller_id}))


def callback_secrets(caller_id: str, now: datetime, vault: Vault) -> Transaction[tuple[CallbackSecret, ...]]:
    found = yield "callback_secrets", {"caller_id": caller_id, "now": rows.to_ms(now)}
    return (yield from opened(rows.callback_secret_from, found, vault))


def attempts(job_id: str) -> Transaction[tuple[CallbackAttempt, ...]]:
    return tuple(map(rows.attempt_from, (yield "attempts", {"job_id": job_id})))
