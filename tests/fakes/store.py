"""
The store in memory: the same port, the same rules, none of the durability.

Every method lets other tasks run once before it begins, as the real ones do, and then does all of its work without a
pause: that makes it a transaction. The suite in `tests/store` holds it to what the SQL stores do.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from pikarelay.jobs.job import Account, Caller, Job, PressPhase, Status
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
from pikarelay.store.rules import AlreadyThere, callback_state, check_identity


class KeptCallback(msgspec.Struct, kw_only=True):
    """A callback as it stands. `state` is `waiting`, `delivered` or `dead`; `due` is None unless it waits."""

    callback: Callback
    due: datetime | None
    state: str = "waiting"
    log: dict[int, CallbackAttempt] = {}


class FakeStore:
    """A `Store` whose tables are dictionaries. Tests may look into them."""

    def __init__(self) -> None:
        self.kept_callers: dict[str, Caller] = {}
        self.kept_tokens: dict[str, tuple[ApiToken, bytes]] = {}
        self.kept_accounts: dict[tuple[str, str], Account] = {}
        self.jobs: dict[str, Job] = {}
        #: Message id to job id.
        self.owners: dict[str, str] = {}
        #: By caller and key: the job's id, the request's digest, and when it was.
        self.keys: dict[tuple[str, str], tuple[str, bytes, datetime]] = {}
        #: By the id of the job they are about.
        self.callbacks: dict[str, KeptCallback] = {}

    async def caller_by_token(self, digest: bytes) -> Caller | None:
        await asyncio.sleep(0)
        for token, its in self.kept_tokens.values():
            if its == digest and token.revoked is None:
                return self.kept_callers.get(token.caller_id)
        return None

    async def add_caller(self, caller: Caller) -> None:
        await asyncio.sleep(0)
        _add(self.kept_callers, caller.caller_id, caller)

    async def put_caller(self, caller: Caller) -> None:
        await asyncio.sleep(0)
        self.kept_callers[caller.caller_id] = caller

    async def callers(self) -> tuple[Caller, ...]:
        await asyncio.sleep(0)
        return tuple(sorted(self.kept_callers.values(), key=lambda c: (c.created, c.caller_id)))

    async def add_api_token(self, token: ApiToken, digest: bytes) -> None:
        await asyncio.sleep(0)
        if any(its == digest for _, its in self.kept_tokens.values()):
            raise AlreadyThere(token.token_id)
        _add(self.kept_tokens, token.token_id, (token, digest))

    async def api_tokens(self) -> tuple[ApiToken, ...]:
        await asyncio.sleep(0)
        tokens = (token for token, _ in self.kept_tokens.values())
        return tuple(sorted(tokens, key=lambda t: (t.created, t.token_id)))

    async def revoke_api_token(self, token_id: str, now: datetime) -> bool:
        await asyncio.sleep(0)
        if token_id not in self.kept_tokens:
            return False
        token, digest = self.kept_tokens[token_id]
        if token.revoked is not None:
            return False
        self.kept_tokens[token_id] = (msgspec.structs.replace(token, revoked=now), digest)
        return True

    async def put_account(self, account: Account) -> None:
        await asyncio.sleep(0)
        self.kept_accounts[account.caller_id, account.channel] = account

    async def account(self, caller_id: str, channel: str) -> Account | None:
        await asyncio.sleep(0)
        return self.kept_accounts.get((caller_id, channel))

    async def accounts(self, caller_id: str | None = None) -> tuple[Account, ...]:
        await asyncio.sleep(0)
        wanted = (a for a in self.kept_accounts.values() if caller_id in {None, a.caller_id})
        return tuple(sorted(wanted, key=lambda a: (a.channel, a.caller_id)))

    async def delete_account(self, caller_id: str, channel: str) -> bool:
        await asyncio.sleep(0)
        return self.kept_accounts.pop((caller_id, channel), None) is not None

    async def job(self, job_id: str) -> Job | None:
        await asyncio.sleep(0)
        return self.jobs.get(job_id)

    async def executing(self, caller_id: str) -> tuple[str, ...]:
        await asyncio.sleep(0)
        return tuple(job.job_id for job in self._unfinished() if job.caller_id == caller_id)

    async def admit(
        self,
        caller_id: str,
        channels: Sequence[str],
        decide: Callable[[Mapping[str, tuple[str, ...]]], Job],
        key: RequestKey | None = None,
    ) -> Job:
        await asyncio.sleep(0)
        executing = [job for job in self._unfinished() if job.caller_id == caller_id]
        admitted = decide({c: tuple(j.job_id for j in executing if j.channel == c) for c in channels})
        if any(job.press.nonce == admitted.press.nonce for job in self.jobs.values()):
            raise AlreadyThere(admitted.press.nonce)
        if key is not None:
            used = self.keys.get((caller_id, key.text))
            if used is not None and used[2] >= admitted.created - KEY_LIFETIME:
                raise KeyTaken
        _add(self.jobs, admitted.job_id, admitted)
        if key is not None:
            self.keys[caller_id, key.text] = (admitted.job_id, key.digest, admitted.created)
        return admitted

    async def change(self, job_id: str, decide: Callable[[Job], Change | None]) -> Job | None:
        await asyncio.sleep(0)
        before = self.jobs.get(job_id)
        decided = None if before is None else decide(before)
        if before is None or decided is None:
            return None
        check_identity(before, decided.job)
        if decided.message_id is not None and self.owners.get(decided.message_id, job_id) != job_id:
            raise MessageTaken
        if decided.callback is not None:
            draft = decided.callback
            callback = Callback(
                callback_id=draft.callback_id,
                job_id=draft.job_id,
                url=draft.url,
                body=draft.body,
                attempt=0,
                created=decided.job.updated,
            )
            _add(self.callbacks, job_id, KeptCallback(callback=callback, due=callback.created))
        if decided.message_id is not None:
            self.owners[decided.message_id] = job_id
        self.jobs[job_id] = decided.job
        return decided.job

    async def withdraw(self, job_id: str) -> None:
        await asyncio.sleep(0)
        job = self.jobs.get(job_id)
        if job is None or job.status is not Status.CREATED:
            return
        if job.press.phase in {PressPhase.WAITING, PressPhase.SENT}:
            self._forget(job_id)

    async def sightings(self, channel: str, message_ids: Sequence[str]) -> Sightings:
        await asyncio.sleep(0)
        left = [
            job
            for job in self._unfinished()
            if job.channel == channel and job.press.phase is not PressPhase.WAITING
        ]
        # A press that has left has a time; the other half of the key is only for the type checker's peace.
        left.sort(key=lambda job: (job.press.sent or job.created, job.job_id))
        owners = {m: self.owners[m] for m in message_ids if m in self.owners}
        return Sightings(open_jobs=tuple(left), owners=owners)

    async def job_by_key(self, caller_id: str, key: str, since: datetime) -> KeyedJob | None:
        await asyncio.sleep(0)
        job_id, digest, created = self.keys.get((caller_id, key), ("", b"", since))
        if job_id not in self.jobs or created < since:
            return None
        return KeyedJob(job=self.jobs[job_id], digest=digest)

    async def job_by_nonce(self, nonce: str) -> Job | None:
        await asyncio.sleep(0)
        return next((job for job in self.jobs.values() if job.press.nonce == nonce), None)

    async def unfinished(self) -> tuple[Job, ...]:
        await asyncio.sleep(0)
        return tuple(self._unfinished())

    async def newest_jobs(self, limit: int) -> tuple[Job, ...]:
        await asyncio.sleep(0)
        newest = sorted(self.jobs.values(), key=lambda job: job.job_id, reverse=True)
        return tuple(newest[:limit])

    async def claim_callbacks(self, now: datetime, lease: timedelta, limit: int) -> tuple[Callback, ...]:
        await asyncio.sleep(0)
        due = [(kept.due, kept.callback.callback_id, kept) for kept in self.callbacks.values() if kept.due]
        claimed = [kept for when, _, kept in sorted(due, key=lambda d: d[:2]) if when <= now][:limit]
        for kept in claimed:
            kept.callback = msgspec.structs.replace(kept.callback, attempt=kept.callback.attempt + 1)
            kept.due = now + lease
        return tuple(sorted((kept.callback for kept in claimed), key=lambda c: (c.created, c.callback_id)))

    async def finish_callback(self, attempt: CallbackAttempt, outcome: CallbackOutcome) -> None:
        await asyncio.sleep(0)
        state = callback_state(outcome)
        for kept in self.callbacks.values():
            if kept.callback.callback_id == attempt.callback_id and attempt.attempt not in kept.log:
                kept.log = {**kept.log, attempt.attempt: attempt}
                if kept.callback.attempt == attempt.attempt:
                    kept.due = outcome.retry_at
                    kept.state = state

    async def next_callback(self) -> datetime | None:
        await asyncio.sleep(0)
        return min((kept.due for kept in self.callbacks.values() if kept.due is not None), default=None)

    async def attempts(self, job_id: str) -> tuple[CallbackAttempt, ...]:
        await asyncio.sleep(0)
        kept = self.callbacks.get(job_id)
        return () if kept is None else tuple(kept.log[number] for number in sorted(kept.log))

    async def prune(self, before: datetime) -> int:
        await asyncio.sleep(0)
        old = [job.job_id for job in self.jobs.values() if job.is_final and job.updated < before]
        for job_id in old:
            self._forget(job_id)
        return len(old)

    async def prune_keys(self, before: datetime) -> int:
        await asyncio.sleep(0)
        old = [place for place, (_, _, created) in self.keys.items() if created < before]
        for place in old:
            del self.keys[place]
        return len(old)

    async def known_uploads(self, keys: Sequence[str]) -> frozenset[str]:
        await asyncio.sleep(0)
        return frozenset(upload.key for job in self.jobs.values() for upload in job.uploads) & set(keys)

    async def ping(self) -> None:
        await asyncio.sleep(0)

    def _unfinished(self) -> list[Job]:
        unfinished = (job for job in self.jobs.values() if not job.is_final)
        return sorted(unfinished, key=lambda job: (job.created, job.job_id))

    def _forget(self, job_id: str) -> None:
        del self.jobs[job_id]
        self.callbacks.pop(job_id, None)
        self.keys = {place: used for place, used in self.keys.items() if used[0] != job_id}
        self.owners = {m: owner for m, owner in self.owners.items() if owner != job_id}


def _add(table: dict[str, Any], key: str, value: object) -> None:
    if key in table:
        raise AlreadyThere(key)
    table[key] = value
