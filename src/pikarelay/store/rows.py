"""
Between rows and values: two functions per table, side by side. Nothing of a value may be lost on the way.

A row is a sequence in the order of the table's columns; parameters are a mapping by column name. A job's document
holds, as JSON, whatever of the job is not a column.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pikarelay.jobs.breaker import Health
from pikarelay.jobs.callbacks import (
    CallbackAttempt,
    CallbackFilter,
    CallbackRecord,
    CallbackState,
    Target,
    Trigger,
)
from pikarelay.jobs.job import (
    Account,
    Attachment,
    Button,
    Caller,
    Job,
    Press,
    PressPhase,
    Status,
    Upload,
    Verb,
)
from pikarelay.jobs.messages import BotMessage
from pikarelay.jobs.requests import RequestKey
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import (
    ApiToken,
    Callback,
    CallbackDraft,
    CallbackSecret,
    KeptSession,
    Orphan,
    OrphanReason,
)
from pikarelay.store.rules import DISABLED
from pikarelay.store.vault import DataKey, Vault

Row = Sequence[Any]
Params = Mapping[str, object]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
#: Later than any time that is stored.
_FAR_OFF = 2**62


def to_ms(moment: datetime) -> int:
    """Return whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    # Not `fromtimestamp`, whose float is a microsecond off for far dates; and multiplying one is half the work of
    # making a `timedelta`.
    return _EPOCH + milliseconds * _MILLISECOND


def to_ms_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _from_ms_or_none(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


# Callers and their tokens


def caller_params(caller: Caller) -> Params:
    return {
        "caller_id": caller.caller_id,
        "name": caller.name,
        "created": to_ms(caller.created),
        "subscribed_until": to_ms_or_none(caller.subscribed_until),
        "has_subscription": caller.has_subscription,
        "reply_url": caller.reply_url,
    }


def caller_from(row: Row) -> Caller:
    caller_id, name, created, subscribed_until, has_subscription, reply_url = row
    return Caller(
        caller_id=caller_id,
        name=name,
        created=from_ms(created),
        subscribed_until=_from_ms_or_none(subscribed_until),
        has_subscription=bool(has_subscription),
        reply_url=reply_url,
    )


def api_token_params(token: ApiToken, digest: bytes) -> Params:
    return {
        "token_id": token.token_id,
        "digest": digest,
        "caller_id": token.caller_id,
        "hint": token.hint,
        "created": to_ms(token.created),
        "revoked": to_ms_or_none(token.revoked),
    }


def api_token_from(row: Row) -> ApiToken:
    token_id, caller_id, hint, created, revoked = row
    return ApiToken(
        token_id=token_id,
        caller_id=caller_id,
        hint=hint,
        created=from_ms(created),
        revoked=_from_ms_or_none(revoked),
    )


# Accounts


def _account_row(caller_id: str, channel: str) -> str:
    # The length keeps `a` on `b/c` apart from `a/b` on `c`.
    return f"{len(caller_id)}/{caller_id}/{channel}"


def account_params(account: Account, vault: Vault) -> Params:
    row = _account_row(account.caller_id, account.channel)
    return {
        "caller_id": account.caller_id,
        "channel": account.channel,
        "discord_token": vault.seal(account.discord_token.reveal(), "accounts", row, "discord_token"),
        "max_jobs": account.max_jobs,
        "updated": to_ms(account.updated),
    }


def account_from(row: Row, vault: Vault) -> Account:
    caller_id, channel, sealed, max_jobs, updated = row
    place = _account_row(caller_id, channel)
    return Account(
        caller_id=caller_id,
        channel=channel,
        discord_token=Secret(vault.unseal(sealed, "accounts", place, "discord_token")),
        max_jobs=max_jobs,
        updated=from_ms(updated),
    )


# Jobs


class JobDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The fields of a job that no query asks about. Those of its press begin with `press_`."""

    prompt: str | None = None
    message: str | None = None
    message_image: Upload | None = None
    font: str | None = None
    image: Upload | None = None
    button: str | None = None
    parent_job_id: str | None = None
    max_jobs: int
    reply_url: str | None = None
    reply_ref: str | None = None
    message_flags: int = 0
    content: str | None = None
    timestamp: str | None = None
    buttons: tuple[Button, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    embeds: tuple[dict[str, Any], ...] = ()
    error: str | None = None
    error_details: str | None = None
    press_parent_message_id: str | None = None
    press_parent_message_flags: int = 0
    press_custom_id: str | None = None
    press_component_type: int = 2
    press_application_id: str | None = None
    press_bot_id: str | None = None
    press_user_id: str | None = None
    press_floor_id: str | None = None
    press_weak: bool = False


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(JobDocument).decode
# A look-up in a table takes a fifth of the time of an enumeration's own.
_STATUSES = {status.value: status for status in Status}
_VERBS = {verb.value: verb for verb in Verb}
_PHASES = {phase.value: phase for phase in PressPhase}


def sealed_token(job: Job, vault: Vault) -> bytes:
    return vault.seal(job.discord_token.reveal(), "jobs", job.job_id, "discord_token")


def job_params(job: Job, sealed: bytes) -> Params:
    """Take the token sealed, so that a change which leaves it alone need not seal it again."""
    press = job.press
    document = JobDocument(
        prompt=job.prompt,
        message=job.message,
        message_image=job.message_image,
        font=job.font,
        image=job.image,
        button=job.button,
        parent_job_id=job.parent_job_id,
        max_jobs=job.max_jobs,
        reply_url=job.reply_url,
        reply_ref=job.reply_ref,
        message_flags=job.message_flags,
        content=job.content,
        timestamp=job.timestamp,
        buttons=job.buttons,
        attachments=job.attachments,
        embeds=job.embeds,
        error=job.error,
        error_details=job.error_details,
        press_parent_message_id=press.parent_message_id,
        press_parent_message_flags=press.parent_message_flags,
        press_custom_id=press.custom_id,
        press_component_type=press.component_type,
        press_application_id=press.application_id,
        press_bot_id=press.bot_id,
        press_user_id=press.user_id,
        press_floor_id=press.floor_id,
        press_weak=press.weak,
    )
    return {
        "job_id": job.job_id,
        "caller_id": job.caller_id,
        "channel": job.channel,
        "verb": job.verb.value,
        "status": job.status.value,
        "created": to_ms(job.created),
        "updated": to_ms(job.updated),
        "nonce": press.nonce,
        "phase": press.phase.value,
        "sent": to_ms_or_none(press.sent),
        "interaction_id": press.interaction_id,
        "message_id": job.message_id,
        "discord_token": sealed,
        "document": _encode(document),
        "withdrawn": job.is_withdrawn,
    }


def job_from(row: Row, vault: Vault) -> Job:
    (
        job_id,
        caller_id,
        channel,
        verb,
        status,
        created,
        updated,
        nonce,
        phase,
        sent,
        interaction_id,
        message_id,
        sealed,
        document,
        withdrawn,
    ) = row
    rest = _decode(document)
    return Job(
        job_id=job_id,
        caller_id=caller_id,
        verb=_VERBS[verb],
        status=_STATUSES[status],
        created=from_ms(created),
        updated=from_ms(updated),
        prompt=rest.prompt,
        message=rest.message,
        message_image=rest.message_image,
        font=rest.font,
        image=rest.image,
        button=rest.button,
        parent_job_id=rest.parent_job_id,
        discord_token=Secret(vault.unseal(sealed, "jobs", job_id, "discord_token")),
        channel=channel,
        max_jobs=rest.max_jobs,
        reply_url=rest.reply_url,
        reply_ref=rest.reply_ref,
        press=Press(
            phase=_PHASES[phase],
            nonce=nonce,
            parent_message_id=rest.press_parent_message_id,
            parent_message_flags=rest.press_parent_message_flags,
            custom_id=rest.press_custom_id,
            component_type=rest.press_component_type,
            application_id=rest.press_application_id,
            bot_id=rest.press_bot_id,
            user_id=rest.press_user_id,
            floor_id=rest.press_floor_id,
            sent=None if sent is None else from_ms(sent),
            interaction_id=interaction_id,
            weak=rest.press_weak,
        ),
        message_id=message_id,
        message_flags=rest.message_flags,
        content=rest.content,
        timestamp=rest.timestamp,
        buttons=rest.buttons,
        attachments=rest.attachments,
        embeds=rest.embeds,
        error=rest.error,
        error_details=rest.error_details,
        is_withdrawn=bool(withdrawn),
    )


def key_params(job: Job, key: RequestKey) -> Params:
    return {"digest": key.digest, "job_id": job.job_id, "created": to_ms(job.created)}


# Orphans

_decode_candidates = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_message = msgspec.json.Decoder(BotMessage).decode


def orphan_params(orphan: Orphan) -> Params:
    return {
        "message_id": orphan.message.id,
        "channel": orphan.message.channel_id,
        "user_id": orphan.user_id,
        "seen": to_ms(orphan.seen),
        "kind": orphan.message.kind.value,
        "reason": orphan.reason.value,
        "candidates": _encode(orphan.candidates),
        "message": _encode(orphan.message),
    }


def orphan_from(row: Row) -> Orphan:
    _message_id, _channel, user_id, seen, _kind, reason, candidates, message = row
    return Orphan(
        message=_decode_message(message),
        user_id=user_id,
        seen=from_ms(seen),
        reason=OrphanReason(reason),
        candidates=_decode_candidates(candidates),
    )


# Gateway sessions

_decode_session = msgspec.json.Decoder(KeptSession).decode


def session_params(digest: bytes, session: KeptSession, vault: Vault) -> Params:
    text = _encode(session).decode()
    return {"digest": digest, "session": vault.seal(text, "gateway_sessions", digest.hex(), "session")}


def session_from(row: Row, vault: Vault) -> tuple[bytes, KeptSession]:
    digest, sealed = row
    return digest, _decode_session(vault.unseal(sealed, "gateway_sessions", digest.hex(), "session"))


# Callbacks


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
        due=_from_ms_or_none(due),
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
        next_try=_from_ms_or_none(next_try),
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
        due=_from_ms_or_none(due),
        busy_until=_from_ms_or_none(busy_until),
        health=Health(
            failures=failures,
            pauses=pauses,
            paused_until=_from_ms_or_none(paused_until),
            failing_since=_from_ms_or_none(failing_since),
            exhausted=exhausted,
            disabled=_from_ms_or_none(disabled),
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
        secret=Secret(vault.unseal(sealed, "callback_secrets", secret_id, "secret")),
        created=from_ms(created),
        expires=_from_ms_or_none(expires),
    )


# The vault's keys


def data_key_params(key: DataKey) -> Params:
    return {"number": key.number, "sealed": key.sealed, "root_fingerprint": key.root_fingerprint}


def data_key_from(row: Row) -> DataKey:
    number, sealed, root_fingerprint = row
    return DataKey(number, sealed, root_fingerprint)
