"""
Between rows and values: two functions per table, side by side. Nothing of a value may be lost on the way.

A row is a sequence in the order of the table's columns; parameters are a mapping by column name. A job's document
holds, as JSON, whatever of the job is not a column.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

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
from pikarelay.jobs.requests import RequestKey
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import ApiToken, Callback, CallbackAttempt, CallbackDraft
from pikarelay.store.vault import DataKey, Vault

Row = Sequence[Any]
Params = Mapping[str, object]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_ms(moment: datetime) -> int:
    """Return whole milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    # Not `fromtimestamp`, whose float is a microsecond off for far dates; and multiplying one is half the work of
    # making a `timedelta`.
    return _EPOCH + milliseconds * _MILLISECOND


def _to_ms_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def _from_ms_or_none(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


# Callers and their tokens


def caller_params(caller: Caller) -> Params:
    return {
        "caller_id": caller.caller_id,
        "name": caller.name,
        "created": to_ms(caller.created),
        "subscribed_until": _to_ms_or_none(caller.subscribed_until),
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
        "revoked": _to_ms_or_none(token.revoked),
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
        "sent": _to_ms_or_none(press.sent),
        "interaction_id": press.interaction_id,
        "message_id": job.message_id,
        "discord_token": sealed,
        "document": _encode(document),
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
    )


def key_params(job: Job, key: RequestKey) -> Params:
    return {"digest": key.digest, "job_id": job.job_id, "created": to_ms(job.created)}


# Callbacks


def callback_params(draft: CallbackDraft, due: datetime) -> Params:
    return {
        "callback_id": draft.callback_id,
        "job_id": draft.job_id,
        "url": draft.url,
        "body": draft.body,
        "created": to_ms(due),
        "attempt": 0,
        "due": to_ms(due),
        "state": "waiting",
    }


def callback_from(row: Row) -> Callback:
    callback_id, job_id, url, body, attempt, created = row
    return Callback(
        callback_id=callback_id,
        job_id=job_id,
        url=url,
        body=body,
        attempt=attempt,
        created=from_ms(created),
    )


def attempt_params(attempt: CallbackAttempt) -> Params:
    return {
        "callback_id": attempt.callback_id,
        "attempt": attempt.attempt,
        "started": to_ms(attempt.started),
        "duration_ms": attempt.duration_ms,
        "status": attempt.status,
        "error": attempt.error,
        "address": attempt.address,
    }


def attempt_from(row: Row) -> CallbackAttempt:
    callback_id, attempt, started, duration_ms, status, error, address = row
    return CallbackAttempt(
        callback_id=callback_id,
        attempt=attempt,
        started=from_ms(started),
        duration_ms=duration_ms,
        status=status,
        error=error,
        address=address,
    )


# The vault's keys


def data_key_params(key: DataKey) -> Params:
    return {"number": key.number, "sealed": key.sealed, "root_fingerprint": key.root_fingerprint}


def data_key_from(row: Row) -> DataKey:
    number, sealed, root_fingerprint = row
    return DataKey(number, sealed, root_fingerprint)
