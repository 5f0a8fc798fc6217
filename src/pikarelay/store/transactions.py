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
from pikarelay.jobs.job import Account, Caller, Job
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.ports import (
    KEY_LIFETIME,
    ApiToken,
    Callback,
    CallbackDraft,
    CallbackOutcome,
    CallbackSecret,
    Change,
    DecideOutcome,
    KeptSession,
    KeyedJob,
    KeyTaken,
    MessageTaken,
    Orphan,
    Sightings,
)
from pikarelay.store import rows
from pikarelay.store.rows import Params, Row
from pikarelay.store.rules import DISABLED, AlreadyThere, callback_state, check_identity, target_due
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
    return KeyedJob(job=rows.job_from(tuple(its), vault), digest=digest)


def unfinished(vault: Vault) -> Transaction[tuple[Job, ...]]:
    found = yield "unfinished", {}
    return tuple(rows.job_from(row, vault) for row in found)


def newest_jobs(limit: int, vault: Vault) -> Transaction[tuple[Job, ...]]:
    found = yield "newest_jobs", {"limit": limit}
    return tuple(rows.job_from(row, vault) for row in found)


def executing(caller_id: str) -> Transaction[tuple[str, ...]]:
    found = yield "executing", {"caller_id": caller_id}
    return tuple(job_id for job_id, _channel in found)


def sightings(
    channel: str, message_ids: Sequence[str], ghosts_since: datetime | None, vault: Vault
) -> Transaction[Sightings]:
    owners: dict[str, str] = {}
    for start in range(0, len(message_ids), OWNERS_AT_ONCE):
        some = message_ids[start : start + OWNERS_AT_ONCE]
        places = [*some, *[some[0]] * (OWNERS_AT_ONCE - len(some))]
        found = yield "owners", {f"id_{n}": message_id for n, message_id in enumerate(places)}
        owners.update((message_id, job_id) for message_id, job_id in found)
    found = yield "open_jobs", {"channel": channel}
    ghosts: Sequence[Row] = ()
    if ghosts_since is not None:
        ghosts = yield "ghosts", {"channel": channel, "since": rows.to_ms(ghosts_since)}
    return Sightings(
        open_jobs=tuple(rows.job_from(row, vault) for row in found),
        owners=owners,
        ghosts=tuple(rows.job_from(row, vault) for row in ghosts),
    )


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
        yield from _own_message(decided.message_id, job_id, adopts=decided.adopts)
    if decided.orphan is not None:
        yield "insert_orphan", rows.orphan_params(decided.orphan)
    if decided.callback is not None:
        yield from _insert_callback(decided.callback, after.caller_id)
    return after


def _own_message(message_id: str, job_id: str, *, adopts: bool) -> Transaction[None]:
    its = {"message_id": message_id, "job_id": job_id}
    if adopts:
        yield "adopt_message", its
        yield "delete_orphan", {"message_id": message_id}
        return
    owner = yield "own_message", its
    if owner[0][0] != job_id:
        raise MessageTaken


def _updated(before: Job, row: Row, after: Job, vault: Vault) -> Params:
    same_token = before.discord_token == after.discord_token
    sealed = row[_SEALED] if same_token else rows.sealed_token(after, vault)
    return {**rows.job_params(after, sealed), "this_job": after.job_id}


def withdraw(job_id: str, *, was_sent: bool) -> Transaction[None]:
    yield "withdraw_waiting_job" if was_sent else "withdraw_unsent_job", {"job_id": job_id}
    if was_sent and (yield "withdraw_sent_job", {"this_job": job_id}):
        yield "free_key", {"job_id": job_id}
        yield "disown_uploads", {"job_id": job_id}


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


def prune_orphans(before: datetime) -> Transaction[None]:
    yield "prune_orphans", {"before": rows.to_ms(before)}


# Orphans, and Gateway sessions


def keep_orphan(orphan: Orphan) -> Transaction[None]:
    yield "insert_orphan", rows.orphan_params(orphan)


def orphan(message_id: str) -> Transaction[Orphan | None]:
    found = yield "orphan", {"message_id": message_id}
    return rows.orphan_from(found[0]) if found else None


def orphans(channel: str | None) -> Transaction[tuple[Orphan, ...]]:
    if channel is None:
        found = yield "orphans", {}
    else:
        found = yield "orphans_of_channel", {"channel": channel}
    return tuple(map(rows.orphan_from, found))


def keep_sessions(sessions: Mapping[bytes, KeptSession], vault: Vault) -> Transaction[None]:
    yield "forget_gateway_sessions", {}
    for digest, session in sessions.items():
        yield "insert_gateway_session", rows.session_params(digest, session, vault)


def kept_sessions(vault: Vault) -> Transaction[dict[bytes, KeptSession]]:
    return dict(rows.session_from(row, vault) for row in (yield "gateway_sessions", {}))


# Callbacks
#
# Whoever changes a callback locks its target first: the target's `due` rests on all of its callbacks.


def _insert_callback(draft: CallbackDraft, caller_id: str) -> Transaction[None]:
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


def finish_callback(attempt: CallbackAttempt, decide: DecideOutcome) -> Transaction[CallbackOutcome | None]:
    """Log the try, once, and let it decide if nobody has claimed the callback since."""
    callback = {"callback_id": attempt.callback_id}
    found = yield "target_of_callback", callback
    if not found:
        return None  # Pruned while the try ran.
    target = rows.target_from((yield "target_to_change", {"target": found[0][0]})[0])
    ((current, tries),) = yield "callback_to_finish", callback
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
        target = rows.target_from((yield "target_to_change", {"target": name})[0])
        if target.health.is_held:
            continue
        for record in records:
            if record.target == name:
                yield "replay_callback", rows.replay_params(record, now)
                replayed.append(record.job_id)
        yield from _reschedule(msgspec.structs.replace(target, health=another_chance(target.health)))
    return tuple(replayed)


def next_callback() -> Transaction[datetime | None]:
    ((fresh,),) = yield "next_fresh", {}
    ((failing,),) = yield "next_failing", {}
    return min((rows.from_ms(due) for due in (fresh, failing) if due is not None), default=None)


def prune_targets() -> Transaction[int]:
    return len((yield "prune_targets", {}))


def rotate_callback_secret(secret: CallbackSecret, old_until: datetime, vault: Vault) -> Transaction[None]:
    caller = secret.caller_id
    yield "forget_ended_secrets", {"caller_id": caller, "now": rows.to_ms(secret.created)}
    yield "end_callback_secrets", {"this_caller": caller, "expires": rows.to_ms(old_until)}
    yield "insert_callback_secret", rows.callback_secret_params(secret, vault)


def remove_callback_secrets(caller_id: str) -> Transaction[int]:
    return len((yield "remove_callback_secrets", {"caller_id": caller_id}))


def callback_secrets(caller_id: str, now: datetime, vault: Vault) -> Transaction[tuple[CallbackSecret, ...]]:
    found = yield "callback_secrets", {"caller_id": caller_id, "now": rows.to_ms(now)}
    return tuple(rows.callback_secret_from(row, vault) for row in found)


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
