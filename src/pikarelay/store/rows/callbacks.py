"""Callbacks, their tries, their targets, and what they are signed with."""

from datetime import datetime

from pikarelay.jobs.breaker import Health
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
    CallbackSecret,
)
from pikarelay.store.rows.columns import Params, Row, from_ms, from_ms_or_none, to_ms, to_ms_or_none
from pikarelay.store.rules import DISABLED
from pikarelay.store.vault import Vault

#: Later than any time that is stored.
_FAR_OFF = 2**62


def callback_params(draft: CallbackDraft, caller_id: str, *, is_dead: bool) -> Params:
    """Take whether its target is disabled, so that it is dead from the start."""
    return {
        "callback_id": draft.callback_id,
        "job_id": draft.job_id,
        "caller_id": caller_id,
        "target": draft.target,
        "url": draft.url,
        "body": draft.body,
        "created": to_ms(draft.due),
        "begun": to_ms(draft.due),
        "tries": 0,
        "attempt": 0,
        "trigger": Trigger.SCHEDULE.value,
        "due": None if is_dead else to_ms(draft.due),
        "state": (CallbackState.DEAD if is_dead else CallbackState.WAITING).value,
        "error": DISABLED if is_dead else None,
    }


def callback_from(row: Row, *, target_is_failing: bool = False) -> Callback:
    callback_id, job_id, url, body, attempt, created, caller_id, tries, begun, trigger = row
    return Callback(
        callback_id=callback_id,
        job_id=job_id,
        url=url,
        body=body,
        attempt=attempt,
        created=from_ms(created),
        caller_id=caller_id,
        tries=tries,
        begun=from_ms(begun),
        trigger=Trigger(trigger),
        target_is_failing=target_is_failing,
    )


def record_from(row: Row) -> CallbackRecord:
    callback_id, job_id, caller_id, target, url, state, created, attempt, due, error = row
    return CallbackRecord(
        callback_id=callback_id,
        job_id=job_id,
        caller_id=caller_id,
        target=target,
        url=url,
        state=CallbackState(state),
        created=from_ms(created),
        attempt=attempt,
        due=from_ms_or_none(due),
        error=error,
    )


def replay_params(record: CallbackRecord, now: datetime) -> Params:
    return {
        "this_callback": record.callback_id,
        "due": to_ms(now),
        "begun": to_ms(now),
        "tries": 0,
        "state": CallbackState.WAITING.value,
        "trigger": Trigger.MANUAL.value,
    }


def filter_params(which: CallbackFilter, limit: int) -> Params:
    return {
        "caller_id": which.caller_id,
        "target": which.target,
        "state": None if which.state is None else which.state.value,
        "since": 0 if which.since is None else to_ms(which.since),
        "until": _FAR_OFF if which.until is None else to_ms(which.until),
        "limit": limit,
    }


def attempt_params(attempt: CallbackAttempt) -> Params:
    return {
        "callback_id": attempt.callback_id,
        "attempt": attempt.attempt,
        "started": to_ms(attempt.started),
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "error": attempt.error,
        "address": attempt.address,
        "trigger": attempt.trigger.value,
        "answer": attempt.answer,
        "next_try": to_ms_or_none(attempt.next_try),
    }


def attempt_from(row: Row) -> CallbackAttempt:
    callback_id, attempt, started, duration_ms, status, error, address, trigger, answer, next_try = row
    return CallbackAttempt(
        callback_id=callback_id,
        attempt=attempt,
        started=from_ms(started),
        duration_ms=duration_ms,
        status=status,
        error=error,
        address=address,
        trigger=Trigger(trigger),
        answer=answer,
        next_try=from_ms_or_none(next_try),
    )


def target_params(target: Target) -> Params:
    health = target.health
    return {
        "target": target.target,
        "due": to_ms_or_none(target.due),
        "busy_until": to_ms_or_none(target.busy_until),
        "failures": health.failures,
        "pauses": health.pauses,
        "paused_until": to_ms_or_none(health.paused_until),
        "failing_since": to_ms_or_none(health.failing_since),
        "exhausted": health.exhausted,
        "disabled": to_ms_or_none(health.disabled),
        "is_held": health.is_held,
    }


def target_from(row: Row) -> Target:
    target, due, busy_until, failures, pauses, paused_until, failing_since, exhausted, disabled, is_held = row
    return Target(
        target=target,
        due=from_ms_or_none(due),
        busy_until=from_ms_or_none(busy_until),
        health=Health(
            failures=failures,
            pauses=pauses,
            paused_until=from_ms_or_none(paused_until),
            failing_since=from_ms_or_none(failing_since),
            exhausted=exhausted,
            disabled=from_ms_or_none(disabled),
            is_held=bool(is_held),
        ),
    )


def callback_secret_params(kept: CallbackSecret, vault: Vault) -> Params:
    return {
        "secret_id": kept.secret_id,
        "caller_id": kept.caller_id,
        "secret": vault.seal(kept.secret.reveal(), "callback_secrets", kept.secret_id, "secret"),
        "created": to_ms(kept.created),
        "expires": to_ms_or_none(kept.expires),
    }


def callback_secret_from(row: Row, vault: Vault) -> CallbackSecret:
    secret_id, caller_id, sealed, created, expires = row
    return CallbackSecret(
        secret_id=secret_id,
        caller_id=caller_id,
        secret=vault.secret(sealed, "callback_secrets", secret_id, "secret"),
        created=from_ms(created),
        expires=from_ms_or_none(expires),
    )
