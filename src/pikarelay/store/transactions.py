"""
Each transaction, written once: a generator that yields a statement's name with its parameters and receives its rows.

It knows no driver. A runner opens a transaction, feeds the generator, and commits when it returns; when it raises, the
runner rolls back and passes the exception on. On SQLite write transactions run one at a time; on PostgreSQL they
run side by side, so each locks what it decides about *before* it reads what the decision rests on, in a statement of
its own: a count in the locking statement would still see the time before the lock.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from pikarelay.jobs.job import Account, Caller, Job
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.ports import (
    KEY_LIFETIME,
    ApiToken,
    Callback,
    CallbackAttempt,
    CallbackOutcome,
    Change,
    KeyedJob,
    KeyTaken,
    MessageTaken,
    Sightings,
)
from pikarelay.store import rows
from pikarelay.store.rows import Params, Row
from pikarelay.store.rules import AlreadyThere, callback_state, check_identity
from pikarelay.store.schema import jobs as jobs_table
from pikarelay.store.statements import OWNERS_AT_ONCE, UPLOADS_AT_ONCE
from pikarelay.store.vault import DataKey, Vault

T = TypeVar("T")
Transaction = Generator[tuple[str, Params], Sequence[Row], T]

_SEALED = list(jobs_table.c).index(jobs_table.c.discord_token)

# Callers and their tokens


def caller_by_token(digest: bytes) -> Transaction[Caller | None]:
    found = yield "caller_by_token", {"digest": digest}
    return rows.caller_from(found[0]) if found else None


def add_caller(caller: Caller) -> Transaction[None]:
    if not (yield "add_caller", rows.caller_params(caller)):
        raise AlreadyThere(f"caller {caller.caller_id}")


def put_caller(caller: Caller) -> Transaction[None]:
    yield "put_caller", rows.caller_params(caller)


def callers() -> Transaction[tuple[Caller, ...]]:
    return tuple(map(rows.caller_from, (yield "callers", {})))


def add_api_token(token: ApiToken, digest: bytes) -> Transaction[None]:
    if not (yield "add_api_token", rows.api_token_params(token, digest)):
        raise AlreadyThere(f"API token {token.token_id}")


def api_tokens() -> Transaction[tuple[ApiToken, ...]]:
    return tuple(map(rows.api_token_from, (yield "api_tokens", {})))


def revoke_api_token(token_id: str, now: datetime) -> Transaction[bool]:
    revoked = yield "revoke_api_token", {"this_token": token_id, "now": rows.to_ms(now)}
    return bool(revoked)


# Accounts


def put_account(account: Account, vault: Vault) -> Transaction[None]:
    yield "put_account", rows.account_params(account, vault)


def account(caller_id: str, channel: str, vault: Vault) -> Transaction[Account | None]:
    found = yield "account", {"caller_id": caller_id, "channel": channel}
    return rows.account_from(found[0], vault) if found else None


def accounts(caller_id: str | None, vault: Vault) -> Transaction[tuple[Account, ...]]:
    if caller_id is None:
        found = yield "accounts", {}
    else:
        found = yield "accounts_of_caller", {"caller_id": caller_id}
    return tuple(rows.account_from(row, vault) for row in found)


def delete_account(caller_id: str, channel: str) -> Transaction[bool]:
    deleted = yield "delete_account", {"caller_id": caller_id, "channel": channel}
    return bool(deleted)


# Jobs, read


def job(job_id: str, vault: Vault) -> Transaction[Job | None]:
    found = yield "job", {"job_id": job_id}
    return rows.job_from(found[0], vault) if found else None


def job_by_nonce(nonce: str, vault: Vault) -> Transaction[Job | None]:
    found = yield "job_by_nonce", {"nonce": nonce}
    return rows.job_from(found[0], vault) if found else None


def job_by_key(caller_id: str, key: str, since: datetime, vault: Vault) -> Transaction[KeyedJob | None]:
    found = yield "job_by_key", {"caller_id": caller_id, "request_key": key, "since": rows.to_ms(since)}
    if not found:
        return None
    *its, digest = found[0]
    return KeyedJob(job=rows.job_from(its, vault), digest=digest)


def unfinished(vault: Vault) -> Transaction[tuple[Job, ...]]:
    found = yield "unfinished", {}
    return tuple(rows.job_from(row, vault) for row in found)


def newest_jobs(limit: int, vault: Vault) -> Transaction[tuple[Job, ...]]:
    found = yield "newest_jobs", {"limit": limit}
    return tuple(rows.job_from(row, vault) for row in found)


def executing(caller_id: str) -> Transaction[tuple[str, ...]]:
    found = yield "executing", {"caller_id": caller_id}
    return tuple(job_id for job_id, _channel in found)


def sightings(channel: str, message_ids: Sequence[str], vault: Vault) -> Transaction[Sightings]:
    owners: dict[str, str] = {}
    for start in range(0, len(message_ids), OWNERS_AT_ONCE):
        some = message_ids[start : start + OWNERS_AT_ONCE]
        places = [*some, *[some[0]] * (OWNERS_AT_ONCE - len(some))]
        found = yield "owners", {f"id_{n}": message_id for n, message_id in enumerate(places)}
        owners.update((message_id, job_id) for message_id, job_id in found)
    found = yield "open_jobs", {"channel": channel}
    return Sightings(open_jobs=tuple(rows.job_from(row, vault) for row in found), owners=owners)


# Jobs, written


def admit(
    caller_id: str,
    channels: Sequence[str],
    decide: Callable[[Mapping[str, tuple[str, ...]]], Job],
    key: RequestKey | None,
    vault: Vault,
) -> Transaction[Job]:
    # In one order for everybody, so that two admissions never wait for each other.
    for channel in sorted(set(channels)):
        yield "lock_channel", {"channel": channel}
    found = yield "executing", {"caller_id": caller_id}
    admitted = decide(
        {channel: tuple(job_id for job_id, its in found if its == channel) for channel in channels}
    )
    if not (yield "insert_job", rows.job_params(admitted, rows.sealed_token(admitted, vault))):
        raise AlreadyThere(f"job {admitted.job_id} with nonce {admitted.press.nonce}")
    for upload in admitted.uploads:
        yield "insert_upload", {"upload_key": upload.key, "job_id": admitted.job_id}
    if key is not None:
        yield from _use_key(admitted, key)
    return admitted


def _use_key(job: Job, key: RequestKey) -> Transaction[None]:
    used = {"caller_id": job.caller_id, "request_key": key.text}
    yield "forget_key", {**used, "before": rows.to_ms(job.created - KEY_LIFETIME)}
    if not (yield "insert_key", {**used, **rows.key_params(job, key)}):
        raise KeyTaken


def change(job_id: str, decide: Callable[[Job], Change | None], vault: Vault) -> Transaction[Job | None]:
    found = yield "job_to_change", {"job_id": job_id}
    if not found:
        return None
    before = rows.job_from(found[0], vault)
    decided = decide(before)
    if decided is None:
        return None
    after = decided.job
    check_identity(before, after)
    yield "update_job", _updated(before, found[0], after, vault)
    if decided.message_id is not None:
        owner = yield "own_message", {"message_id": decided.message_id, "job_id": job_id}
        if owner[0][0] != job_id:
            raise MessageTaken
    if decided.callback is not None and not (
        yield "insert_callback", rows.callback_params(decided.callback, due=after.updated)
    ):
        raise AlreadyThere(f"callback {decided.callback.callback_id} of job {job_id}")
    return after


def _updated(before: Job, row: Row, after: Job, vault: Vault) -> Params:
    same_token = before.discord_token == after.discord_token
    sealed = row[_SEALED] if same_token else rows.sealed_token(after, vault)
    return {**rows.job_params(after, sealed), "this_job": after.job_id}


def withdraw(job_id: str) -> Transaction[None]:
    yield "withdraw_job", {"job_id": job_id}


def prune(before: datetime, limit: int) -> Transaction[int]:
    """Delete up to `limit` jobs."""
    return len((yield "prune_jobs", {"before": rows.to_ms(before), "limit": limit}))


def prune_keys(before: datetime) -> Transaction[int]:
    return len((yield "prune_keys", {"before": rows.to_ms(before)}))


def known_uploads(keys: Sequence[str]) -> Transaction[frozenset[str]]:
    known: set[str] = set()
    for start in range(0, len(keys), UPLOADS_AT_ONCE):
        some = keys[start : start + UPLOADS_AT_ONCE]
        places = [*some, *[some[0]] * (UPLOADS_AT_ONCE - len(some))]
        found = yield "known_uploads", {f"key_{n}": key for n, key in enumerate(places)}
        known.update(key for (key,) in found)
    return frozenset(known)


# Callbacks


def claim_callbacks(now: datetime, lease: timedelta, limit: int) -> Transaction[tuple[Callback, ...]]:
    claimed = yield (
        "claim_callbacks",
        {"now": rows.to_ms(now), "leased_until": rows.to_ms(now + lease), "limit": limit},
    )
    # Neither engine promises an order for what an UPDATE returns.
    return tuple(sorted(map(rows.callback_from, claimed), key=lambda c: (c.created, c.callback_id)))


def finish_callback(attempt: CallbackAttempt, outcome: CallbackOutcome) -> Transaction[None]:
    """Log the try, once, and let it decide about the callback if nobody has claimed that since."""
    state = callback_state(outcome)
    if not (yield "callback_to_finish", {"callback_id": attempt.callback_id}):
        return  # Pruned while the try ran.
    if not (yield "insert_attempt", rows.attempt_params(attempt)):
        return  # Recorded before.
    yield (
        "settle_callback",
        {
            "this_callback": attempt.callback_id,
            "this_attempt": attempt.attempt,
            "due": None if outcome.retry_at is None else rows.to_ms(outcome.retry_at),
            "state": state,
        },
    )


def next_callback() -> Transaction[datetime | None]:
    found = yield "next_callback", {}
    due = found[0][0]
    return None if due is None else rows.from_ms(due)


def attempts(job_id: str) -> Transaction[tuple[CallbackAttempt, ...]]:
    return tuple(map(rows.attempt_from, (yield "attempts", {"job_id": job_id})))


# The vault's keys, and readiness


def data_keys(first: DataKey) -> Transaction[tuple[DataKey, ...]]:
    """Return all data keys. In a new database `first` becomes the only one."""
    found = yield "data_keys", {}
    if not found:
        yield "insert_data_key", rows.data_key_params(first)
        found = yield "data_keys", {}
    return tuple(map(rows.data_key_from, found))


def ping() -> Transaction[None]:
    yield "ping", {}
