"""Jobs: admitted, changed, withdrawn, looked at and pruned."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from pikarelay.errors import Unauthorized
from pikarelay.jobs.job import Job
from pikarelay.jobs.ownership import channel_name
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.ports import (
    KEY_LIFETIME,
    Change,
    Hold,
    Holds,
    KeyedJob,
    KeyTaken,
    MessageTaken,
    News,
    NotHeld,
    Sightings,
)
from pikarelay.store import rows
from pikarelay.store.rows import Params, Row
from pikarelay.store.rules import AlreadyThere, check_identity
from pikarelay.store.schema import jobs as jobs_table
from pikarelay.store.statements.jobs import MESSAGES_AT_ONCE, OWNERS_AT_ONCE, UPLOADS_AT_ONCE
from pikarelay.store.transactions.callbacks import insert_callback
from pikarelay.store.transactions.form import Transaction, announce
from pikarelay.store.transactions.mirror import insert_copies
from pikarelay.store.transactions.vault import opened
from pikarelay.store.vault import Vault

_COLUMNS = list(jobs_table.c)
_SEALED = _COLUMNS.index(jobs_table.c.discord_token)
_JOB_ID = _COLUMNS.index(jobs_table.c.job_id)
_CHANNEL = _COLUMNS.index(jobs_table.c.channel)
_MESSAGE_ID = _COLUMNS.index(jobs_table.c.message_id)
_SENT = _COLUMNS.index(jobs_table.c.sent)
#: After all presses there will be.
_NEVER = 2**62


def job(job_id: str, vault: Vault) -> Transaction[Job | None]:
    found = yield "job", {"job_id": job_id}
    jobs = yield from opened(rows.job_from, found, vault)
    return jobs[0] if jobs else None


def job_by_nonce(nonce: str, vault: Vault) -> Transaction[Job | None]:
    found = yield "job_by_nonce", {"nonce": nonce}
    jobs = yield from opened(rows.job_from, found, vault)
    return jobs[0] if jobs else None


def job_by_key(caller_id: str, key: str, since: datetime, vault: Vault) -> Transaction[KeyedJob | None]:
    found = yield "job_by_key", {"caller_id": caller_id, "request_key": key, "since": rows.to_ms(since)}
    if not found:
        return None
    *its, digest = found[0]
    (job,) = yield from opened(rows.job_from, [its], vault)
    return KeyedJob(job=job, digest=digest)


def unfinished(owner: str | None, vault: Vault) -> Transaction[tuple[Job, ...]]:
    """Return all, or those on channels that the owner holds."""
    if owner is None:
        found = yield "unfinished", {}
    else:
        found = yield "unfinished_held", {"owner": owner}
    return (yield from opened(rows.job_from, found, vault))


def ghosts(since: datetime, owner: str | None, vault: Vault) -> Transaction[tuple[Job, ...]]:
    lately = {"since": rows.to_ms(since)}
    if owner is None:
        found = yield "ghosts_beside_jobs", lately
    else:
        found = yield "ghosts_beside_jobs_held", {**lately, "owner": owner}
    return (yield from opened(rows.job_from, found, vault))


def newest_jobs(limit: int, vault: Vault) -> Transaction[tuple[Job, ...]]:
    found = yield "newest_jobs", {"limit": limit}
    return (yield from opened(rows.job_from, found, vault))


def executing(caller_id: str) -> Transaction[tuple[str, ...]]:
    found = yield "executing", {"caller_id": caller_id}
    return tuple(job_id for job_id, _channel in found)


def sightings(
    channel: str, message_ids: Sequence[str], ghosts_since: datetime | None, vault: Vault
) -> Transaction[Sightings]:
    """Return what is there, in one statement if `message_ids` are `OWNERS_AT_ONCE` or fewer."""
    some, more = message_ids[:OWNERS_AT_ONCE], message_ids[OWNERS_AT_ONCE:]
    since = _NEVER if ghosts_since is None else rows.to_ms(ghosts_since)
    found: dict[str, list[Row]] = {"open": [], "ghost": [], "owner": []}
    for what, *its in (yield "sightings", {**_places(some), "channel": channel, "since": since}):
        found[what].append(its)
    owners = {row[_MESSAGE_ID]: row[_JOB_ID] for row in found["owner"]}
    for start in range(0, len(more), OWNERS_AT_ONCE):
        others = yield "owners", _places(more[start : start + OWNERS_AT_ONCE])
        owners.update((message_id, job_id) for message_id, job_id in others)
    return Sightings(
        open_jobs=(yield from opened(rows.job_from, sorted(found["open"], key=_by_press), vault)),
        owners=owners,
        ghosts=(yield from opened(rows.job_from, sorted(found["ghost"], key=_by_press), vault)),
    )


def _places(message_ids: Sequence[str]) -> Params:
    """Return the ids as a statement takes them, the last places filled up with what is no message's."""
    places = [*message_ids, *[""] * (OWNERS_AT_ONCE - len(message_ids))]
    return {f"id_{n}": message_id for n, message_id in enumerate(places)}


def _by_press(row: Row) -> tuple[int, str]:
    """Return the key by which rows of jobs are in the order of their presses."""
    return row[_SENT] or 0, row[_JOB_ID]


def closed_messages(message_ids: Sequence[str]) -> Transaction[frozenset[str]]:
    closed: set[str] = set()
    for start in range(0, len(message_ids), MESSAGES_AT_ONCE):
        some = message_ids[start : start + MESSAGES_AT_ONCE]
        places = [*some, *[some[0]] * (MESSAGES_AT_ONCE - len(some))]
        found = yield "closed_messages", {f"id_{n}": message_id for n, message_id in enumerate(places)}
        closed.update(message_id for (message_id,) in found)
    return frozenset(closed)


def admit(
    caller_id: str,
    channels: Sequence[str],
    decide: Callable[[Mapping[str, tuple[str, ...]]], Job],
    key: RequestKey | None,
    answer_until: datetime | None,
    vault: Vault,
    *,
    locks_all: bool,
) -> Transaction[Job | None]:
    """
    Let `decide` choose among the channels, and admit the job.

    There may be thousands of channels, so only the chosen one is locked, and looked at again then. None: somebody else has filled it
    meanwhile, and nothing is written. With `locks_all` that cannot be.
    """
    locks_first = locks_all or len(set(channels)) <= 1
    if locks_first:
        # In one order for everybody, so that two admissions never wait for each other.
        for channel in sorted(set(channels)):
            yield "lock_channel", {"channel": channel}
    found = yield "executing_of_kept_caller", {"caller_id": caller_id}
    if not found:
        # Removed since it was let in.
        raise Unauthorized
    executing = _by_channel(channels, found)
    # Whatever it refuses for was so in one moment, that of the statement.
    admitted = decide(executing)
    if not locks_first:
        channel = admitted.channel
        yield "lock_channel", {"channel": channel}
        now = yield "executing_on", {"caller_id": caller_id, "channel": channel}
        # One that is no fuller than it was would be chosen again.
        if len(now) > len(executing.get(channel, ())):
            return None
    if not (yield "insert_job", rows.job_params(admitted, rows.sealed_token(admitted, vault))):
        raise AlreadyThere(f"job {admitted.job_id} with nonce {admitted.press.nonce}")
    for upload in admitted.uploads:
        yield "insert_upload", {"upload_key": upload.key, "job_id": admitted.job_id}
    if key is not None:
        yield from _use_key(admitted, key)
    if answer_until is not None:
        until = rows.to_ms(answer_until)
        yield "insert_answer", {"job_id": admitted.job_id, "until": until, "state": "open", "refusal": None}
    yield announce(News.ADMITTED, admitted.job_id, admitted.channel)
    return admitted


def _by_channel(channels: Sequence[str], found: Sequence[Row]) -> Mapping[str, tuple[str, ...]]:
    by_channel: dict[str, list[str]] = {channel: [] for channel in channels}
    for job_id, channel in found:
        if channel in by_channel:
            by_channel[channel].append(job_id)
    return {channel: tuple(job_ids) for channel, job_ids in by_channel.items()}


def job_once_admitted(job_id: str, channel: str, vault: Vault) -> Transaction[Job | None]:
    """Return the job whose admission nobody confirmed. Its COMMIT may still be under way, and has the channel's lock until it is over."""
    yield "lock_channel", {"channel": channel}
    return (yield from job(job_id, vault))


def _use_key(job: Job, key: RequestKey) -> Transaction[None]:
    used = {"caller_id": job.caller_id, "request_key": key.text}
    yield "forget_key", {**used, "before": rows.to_ms(job.created - KEY_LIFETIME)}
    if not (yield "insert_key", {**used, **rows.key_params(job, key)}):
        raise KeyTaken


def change(
    job_id: str, decide: Callable[[Job], Change | None], vault: Vault, holds: Holds | None = None
) -> Transaction[Job | None]:
    row = yield from _row_to_change(job_id, holds)
    if row is None:
        return None
    (before,) = yield from opened(rows.job_from, [row], vault)
    decided = decide(before)
    if decided is None:
        return None
    after = decided.job
    check_identity(before, after)
    yield "update_job", _updated(before, row, after, vault)
    if decided.message_id is not None:
        yield from _own_message(decided.message_id, job_id, adopts=decided.adopts)
    if decided.orphan is not None:
        yield "insert_orphan", rows.orphan_params(decided.orphan)
    if decided.callback is not None:
        yield from insert_callback(decided.callback, after.caller_id)
    if decided.copies is not None:
        yield from insert_copies(decided.copies, job_id)
    if before.status is not after.status:
        leaves_work = decided.callback is not None or decided.copies is not None
        news = News.ENDED if after.is_final else News.CHANGED
        yield announce(news, job_id, after.channel, leaves_work=leaves_work)
    return after


def _row_to_change(job_id: str, holds: Holds | None) -> Transaction[Row | None]:
    """Lock a job, and that its channel is held as `holds` believes. Raises `NotHeld`."""
    if holds is None:
        found = yield "job_to_change", {"job_id": job_id}
        return found[0] if found else None
    found = yield "held_job_to_change", {"job_id": job_id}
    if found:
        *row, owner, epoch = found[0]
        name = channel_name(row[_CHANNEL])
        if holds.hold(name) != Hold(owner, epoch):
            raise NotHeld(name)
        return row
    # There is no such job, or nobody has held its channel yet.
    found = yield "job_to_change", {"job_id": job_id}
    if found:
        raise NotHeld(channel_name(found[0][_CHANNEL]))
    return None


def _own_message(message_id: str, job_id: str, *, adopts: bool) -> Transaction[None]:
    its = {"message_id": message_id, "job_id": job_id}
    owner = yield "own_message", its
    if owner[0][0] != job_id:
        if not adopts or not (yield "late_orphan", {"message_id": message_id}):
            raise MessageTaken
        yield "adopt_message", its
    if adopts:
        yield "delete_orphan", {"message_id": message_id}


def _updated(before: Job, row: Row, after: Job, vault: Vault) -> Params:
    same_token = before.discord_token == after.discord_token
    sealed = row[_SEALED] if same_token else rows.sealed_token(after, vault)
    return {**rows.job_params(after, sealed), "this_job": after.job_id}


def withdraw(job_id: str, vault: Vault, *, was_sent: bool) -> Transaction[Job | None]:
    yield "withdraw_waiting_job" if was_sent else "withdraw_unsent_job", {"job_id": job_id}
    if was_sent and (yield "withdraw_sent_job", {"this_job": job_id}):
        yield "free_key", {"job_id": job_id}
        yield "disown_uploads", {"job_id": job_id}
    return (yield from job(job_id, vault))


def check_held(job_id: str, holds: Holds) -> Transaction[None]:
    """Lock a job, and that its channel is held as `holds` believes. Raises `NotHeld`."""
    yield from _row_to_change(job_id, holds)


def prune(before: datetime, limit: int) -> Transaction[int]:
    """Delete up to `limit` jobs."""
    return len((yield "prune_jobs", {"before": rows.to_ms(before), "limit": limit}))


def final_jobs(caller_id: str, after: str, limit: int) -> Transaction[tuple[str, ...]]:
    found = yield "final_jobs", {"caller_id": caller_id, "after": after, "limit": limit}
    return tuple(row[0] for row in found)


def delete_jobs(job_ids: Sequence[str]) -> Transaction[None]:
    for job_id in job_ids:
        yield "delete_final_job", {"job_id": job_id}


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
