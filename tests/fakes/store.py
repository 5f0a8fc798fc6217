"""
The store in memory: the same port, the same rules, none of the durability.

Every method lets other tasks run once before it begins, as the real ones do, and then does all of its work without a
pause: that makes it a transaction. The suite in `tests/store` holds it to what the SQL stores do.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from pikarelay.errors import Unauthorized
from pikarelay.jobs.breaker import Health, another_chance
from pikarelay.jobs.callbacks import (
    CallbackAttempt,
    CallbackFilter,
    CallbackRecord,
    CallbackState,
    Target,
    Trigger,
)
from pikarelay.jobs.deadlines import OPEN_PHASES
from pikarelay.jobs.health import AccountHealth
from pikarelay.jobs.job import Account, Job, PressPhase, Status
from pikarelay.jobs.ownership import EVERYTHING, session_name_of
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.ports import (
    KEY_LIFETIME,
    Announcement,
    Callback,
    CallbackDraft,
    CallbackOutcome,
    CallbackSecret,
    Change,
    Condition,
    DecideOutcome,
    Figures,
    Giving,
    Hear,
    KeptSession,
    KeyedJob,
    KeyTaken,
    MessageTaken,
    News,
    Orphan,
    OrphanReason,
    Refusal,
    Sightings,
)
from pikarelay.store.rules import DISABLED, AlreadyThere, callback_state, check_identity, target_due
from tests.fakes.callers import FakeCallers
from tests.fakes.copies import FakeCopies


class KeptCallback(msgspec.Struct, kw_only=True):
    """A callback as it stands; `due` is None unless it waits."""

    callback: Callback
    target: str
    due: datetime | None
    state: CallbackState = CallbackState.WAITING
    error: str | None = None
    log: dict[int, CallbackAttempt] = {}


class OwedAnswer(msgspec.Struct, kw_only=True):
    """An answer that a POST owes, as it stands."""

    until: datetime
    state: str = "open"
    refusal: Refusal | None = None


class FakeStore(FakeCallers, FakeCopies):
    """A `Store` whose tables are dictionaries. Tests may look into them."""

    def __init__(self) -> None:
        super().__init__()
        self.kept_accounts: dict[tuple[str, str], Account] = {}
        self.jobs: dict[str, Job] = {}
        #: Those that Discord's 429 took back.
        self.withdrawn: dict[str, Job] = {}
        #: By message id.
        self.kept_orphans: dict[str, Orphan] = {}
        #: By the token's digest.
        self.sessions: dict[bytes, KeptSession] = {}
        #: By the token's digest: how its account fares, and when that was seen.
        self.kept_health: dict[bytes, tuple[AccountHealth, datetime]] = {}
        #: Message id to job id.
        self.owners: dict[str, str] = {}
        #: By caller and key: the job's id, the request's digest, and when it was.
        self.keys: dict[tuple[str, str], tuple[str, bytes, datetime]] = {}
        #: By the id of the job they are about.
        self.callbacks: dict[str, KeptCallback] = {}
        self.kept_targets: dict[str, Target] = {}
        self.secrets: list[CallbackSecret] = []
        self.condition = Condition(has_schema=True, has_key=True)
        #: By job.
        self.owed: dict[str, OwedAnswer] = {}
        self.hearers: list[Hear] = []
        #: Everything that was told, in order.
        self.told: list[Announcement] = []

    async def put_account(self, account: Account) -> None:
        await asyncio.sleep(0)
        if account.caller_id not in self.kept_callers:
            raise Unauthorized
        self.kept_accounts[account.caller_id, account.channel] = account
        self.tell(News.ACCOUNTS, channel=account.channel)

    async def account(self, caller_id: str, channel: str) -> Account | None:
        await asyncio.sleep(0)
        return self.kept_accounts.get((caller_id, channel))

    async def accounts(self, caller_id: str | None = None) -> tuple[Account, ...]:
        await asyncio.sleep(0)
        wanted = (a for a in self.kept_accounts.values() if caller_id in {None, a.caller_id})
        return tuple(sorted(wanted, key=lambda a: (a.channel, a.caller_id)))

    async def delete_account(self, caller_id: str, channel: str) -> bool:
        await asyncio.sleep(0)
        self.tell(News.ACCOUNTS, channel=channel)
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
        *,
        answer_until: datetime | None = None,
    ) -> Job:
        await asyncio.sleep(0)
        if caller_id not in self.kept_callers:
            raise Unauthorized
        executing = [job for job in self._unfinished() if job.caller_id == caller_id]
        admitted = decide({c: tuple(j.job_id for j in executing if j.channel == c) for c in channels})
        if any(job.press.nonce == admitted.press.nonce for job in self._all()):
            raise AlreadyThere(admitted.press.nonce)
        if key is not None:
            used = self.keys.get((caller_id, key.text))
            if used is not None and used[2] >= admitted.created - KEY_LIFETIME:
                raise KeyTaken
        _add(self.jobs, admitted.job_id, admitted)
        if key is not None:
            self.keys[caller_id, key.text] = (admitted.job_id, key.digest, admitted.created)
        if answer_until is not None:
            self.owed[admitted.job_id] = OwedAnswer(until=answer_until)
        self.tell(News.ADMITTED, admitted.job_id, admitted.channel)
        return admitted

    async def change(self, job_id: str, decide: Callable[[Job], Change | None]) -> Job | None:
        await asyncio.sleep(0)
        before = self.jobs.get(job_id) or self.withdrawn.get(job_id)
        decided = None if before is None else decide(before)
        if before is None or decided is None:
            return None
        check_identity(before, decided.job)
        owner = self.owners.get(decided.message_id or "", job_id)
        orphan = self.kept_orphans.get(decided.message_id or "")
        was_late = orphan is not None and orphan.reason is OrphanReason.LATE
        if owner != job_id and not (decided.adopts and was_late):
            raise MessageTaken
        if decided.callback is not None:
            self._add_callback(decided.callback, decided.job)
        if decided.copies is not None:
            self._plan(decided.copies, job_id)
        if decided.message_id is not None:
            self.owners[decided.message_id] = job_id
            if decided.adopts:
                self.kept_orphans.pop(decided.message_id, None)
        if decided.orphan is not None:
            self.kept_orphans.setdefault(decided.orphan.message.id, decided.orphan)
        (self.withdrawn if before.is_withdrawn else self.jobs)[job_id] = decided.job
        if decided.job.status is not before.status:
            news = News.ENDED if decided.job.is_final else News.CHANGED
            self.tell(news, job_id, decided.job.channel)
        return decided.job

    async def withdraw(self, job_id: str, *, was_sent: bool) -> Job | None:
        await asyncio.sleep(0)
        self._withdraw(job_id, was_sent=was_sent)
        return self.jobs.get(job_id)

    def _withdraw(self, job_id: str, *, was_sent: bool) -> None:
        job = self.jobs.get(job_id)
        if job is None or job.status is not Status.CREATED:
            return
        if job.press.phase in {PressPhase.WAITING, PressPhase.SENT}:
            self._forget(job_id)
        if was_sent and job.press.phase is PressPhase.SENT:
            self.withdrawn[job_id] = msgspec.structs.replace(job, status=Status.FAILED, is_withdrawn=True)

    async def claim_refusal(self, job_id: str, now: datetime) -> bool:
        await asyncio.sleep(0)
        owed = self.owed.get(job_id)
        if owed is None or owed.state != "open" or owed.until <= now:
            return False
        owed.state = "refusing"
        return True

    async def spare(self, job_id: str) -> None:
        await asyncio.sleep(0)
        owed = self.owed.get(job_id)
        if owed is not None and owed.state == "refusing":
            owed.state = "open"
            self.tell(News.CHANGED, job_id)

    async def refuse(self, job_id: str, refusal: Refusal, now: datetime, *, was_sent: bool) -> Job | None:
        await asyncio.sleep(0)
        owed = self.owed.get(job_id)
        if owed is None or owed.state != "refusing" or owed.until <= now:
            return self.jobs.get(job_id)
        self._withdraw(job_id, was_sent=was_sent)
        kept = self.jobs.get(job_id)
        owed.state, owed.refusal = ("refused", refusal) if kept is None else ("open", None)
        self.tell(News.CHANGED, job_id)
        return kept

    async def refusal(self, job_id: str) -> Refusal | None:
        await asyncio.sleep(0)
        owed = self.owed.get(job_id)
        return None if owed is None else owed.refusal

    async def give_answer(self, job_id: str, now: datetime) -> Giving | Refusal:
        await asyncio.sleep(0)
        owed = self.owed.get(job_id)
        if owed is None:
            return Giving.MAY
        if owed.refusal is not None:
            return owed.refusal
        if owed.state == "refusing" and owed.until > now:
            return Giving.MUST_WAIT
        owed.state = "given"
        return Giving.MAY

    async def close_answer(self, job_id: str) -> None:
        await asyncio.sleep(0)
        if (owed := self.owed.get(job_id)) is not None and owed.state != "refusing":
            del self.owed[job_id]

    async def owed_until(self, job_id: str) -> datetime | None:
        await asyncio.sleep(0)
        owed = self.owed.get(job_id)
        return None if owed is None else owed.until

    def subscribe(self, hear: Hear) -> None:
        self.hearers.append(hear)

    def tell(self, news: News, job_id: str = "", channel: str = "") -> None:
        announcement = Announcement(news=news, job_id=job_id, channel=channel)
        self.told.append(announcement)
        for hear in self.hearers:
            hear(announcement)

    async def sightings(
        self, channel: str, message_ids: Sequence[str], *, ghosts_since: datetime | None = None
    ) -> Sightings:
        await asyncio.sleep(0)
        left = [
            job
            for job in self._unfinished()
            if job.channel == channel and job.press.phase is not PressPhase.WAITING
        ]
        # A press that has left has a time; the other half of the key is only for the type checker's peace.
        left.sort(key=lambda job: (job.press.sent or job.created, job.job_id))
        owners = {m: self.owners[m] for m in message_ids if m in self.owners}
        ghosts = () if ghosts_since is None else self._ghosts({channel}, ghosts_since)
        return Sightings(open_jobs=tuple(left), owners=owners, ghosts=ghosts)

    async def closed_messages(self, message_ids: Sequence[str]) -> frozenset[str]:
        await asyncio.sleep(0)
        closed = {job.job_id for job in self._all() if job.status in {Status.COMPLETED, Status.MODERATED}}
        return frozenset(m for m in message_ids if self.owners.get(m) in closed)

    async def job_by_key(self, caller_id: str, key: str, since: datetime) -> KeyedJob | None:
        await asyncio.sleep(0)
        job_id, digest, created = self.keys.get((caller_id, key), ("", b"", since))
        if job_id not in self.jobs or created < since:
            return None
        return KeyedJob(job=self.jobs[job_id], digest=digest)

    async def job_by_nonce(self, nonce: str) -> Job | None:
        await asyncio.sleep(0)
        return next((job for job in self._all() if job.press.nonce == nonce), None)

    async def keep_orphan(self, orphan: Orphan) -> None:
        await asyncio.sleep(0)
        if orphan.message.id not in self.owners:
            self.kept_orphans.setdefault(orphan.message.id, orphan)

    async def orphan(self, message_id: str) -> Orphan | None:
        await asyncio.sleep(0)
        return self.kept_orphans.get(message_id)

    async def orphans(self, channel: str | None = None) -> tuple[Orphan, ...]:
        await asyncio.sleep(0)
        wanted = (o for o in self.kept_orphans.values() if channel in {None, o.message.channel_id})
        return tuple(sorted(wanted, key=lambda o: (o.seen, o.message.id)))

    async def keep_sessions(
        self, sessions: Mapping[bytes, KeptSession], forgotten: Collection[bytes] = ()
    ) -> None:
        await asyncio.sleep(0)
        self.sessions = {d: s for d, s in self.sessions.items() if d not in forgotten} | dict(sessions)

    async def kept_sessions(self, names: Container[str] = EVERYTHING) -> dict[bytes, KeptSession]:
        await asyncio.sleep(0)
        return {digest: its for digest, its in self.sessions.items() if session_name_of(digest) in names}

    async def keep_health(
        self, found: Mapping[bytes, AccountHealth], gone: Collection[bytes], now: datetime
    ) -> None:
        await asyncio.sleep(0)
        self.kept_health.update({digest: (health, now) for digest, health in found.items()})
        for digest in gone:
            self.kept_health.pop(digest, None)
        recent = now - timedelta(days=1)
        self.kept_health = {digest: its for digest, its in self.kept_health.items() if its[1] >= recent}

    async def health(self, seen_since: datetime) -> dict[bytes, AccountHealth]:
        await asyncio.sleep(0)
        return {digest: health for digest, (health, seen) in self.kept_health.items() if seen >= seen_since}

    async def unfinished(self) -> tuple[Job, ...]:
        await asyncio.sleep(0)
        return tuple(self._unfinished())

    async def ghosts(self, since: datetime) -> tuple[Job, ...]:
        await asyncio.sleep(0)
        return self._ghosts({job.channel for job in self._unfinished()}, since)

    async def newest_jobs(self, limit: int) -> tuple[Job, ...]:
        await asyncio.sleep(0)
        newest = sorted(self.jobs.values(), key=lambda job: job.job_id, reverse=True)
        return tuple(newest[:limit])

    async def claim_callbacks(
        self, now: datetime, lease: timedelta, fresh: int, failing: int
    ) -> tuple[Callback, ...]:
        await asyncio.sleep(0)
        claimed = [
            self._claim(target, now, lease)
            for is_failing, limit in ((False, fresh), (True, failing))
            for target in self._due_targets(now, is_failing=is_failing)[:limit]
        ]
        return tuple(sorted(claimed, key=lambda c: (c.created, c.callback_id)))

    def _due_targets(self, now: datetime, *, is_failing: bool) -> list[Target]:
        due = [(t.due, t.target, t) for t in self.kept_targets.values() if t.due is not None and t.due <= now]
        return [t for _, _, t in sorted(due, key=lambda d: d[:2]) if t.health.is_failing == is_failing]

    def _claim(self, target: Target, now: datetime, lease: timedelta) -> Callback:
        waiting = [(kept.due, kept.callback.callback_id, kept) for kept in self._waiting_for(target.target)]
        kept = min(waiting, key=lambda w: w[:2])[2]
        kept.callback = replace(
            kept.callback, attempt=kept.callback.attempt + 1, target_is_failing=target.health.is_failing
        )
        kept.due = now + lease
        self.kept_targets[target.target] = replace(target, due=now + lease, busy_until=now + lease)
        return kept.callback

    async def renew_claim(self, callback_id: str, attempt: int, until: datetime) -> bool:
        await asyncio.sleep(0)
        kept = next((k for k in self.callbacks.values() if k.callback.callback_id == callback_id), None)
        if kept is None or kept.callback.attempt != attempt or kept.due is None:
            return False
        kept.due = until
        target = self.kept_targets[kept.target]
        self.kept_targets[kept.target] = replace(target, due=until, busy_until=until)
        return True

    async def release_claims(self, now: datetime) -> int:
        await asyncio.sleep(0)
        released = 0
        for target in list(self.kept_targets.values()):
            if target.busy_until is None or target.busy_until <= now:
                continue
            for kept in self._waiting_for(target.target):
                if kept.due == target.busy_until:
                    kept.due, released = kept.callback.created, released + 1
            self._put_health(replace(target, busy_until=None), target.health)
        return released

    async def finish_callback(
        self, attempt: CallbackAttempt, decide: DecideOutcome
    ) -> CallbackOutcome | None:
        await asyncio.sleep(0)
        kept = next(
            (k for k in self.callbacks.values() if k.callback.callback_id == attempt.callback_id), None
        )
        if kept is None or attempt.attempt in kept.log:
            return None
        if kept.callback.attempt != attempt.attempt:
            kept.log = {**kept.log, attempt.attempt: attempt}
            return None
        target = self.kept_targets[kept.target]
        outcome = decide(target.health)
        kept.state = callback_state(outcome)
        kept.log = {**kept.log, attempt.attempt: replace(attempt, next_try=outcome.retry_at)}
        kept.due, kept.error = outcome.retry_at, attempt.error
        kept.callback = replace(
            kept.callback, tries=kept.callback.tries + outcome.is_counted, trigger=Trigger.SCHEDULE
        )
        self._put_health(replace(target, busy_until=None), outcome.health)
        return outcome

    async def next_callback(self) -> datetime | None:
        await asyncio.sleep(0)
        return min((t.due for t in self.kept_targets.values() if t.due is not None), default=None)

    async def callback(self, job_id: str) -> CallbackRecord | None:
        await asyncio.sleep(0)
        kept = self.callbacks.get(job_id)
        return None if kept is None else self._record(kept)

    async def undelivered(self, which: CallbackFilter, limit: int) -> tuple[CallbackRecord, ...]:
        await asyncio.sleep(0)
        return tuple(reversed(self._meant(which)))[:limit]

    async def replay_callback(self, job_id: str, now: datetime) -> bool:
        await asyncio.sleep(0)
        return job_id in self.callbacks and bool(self._replay([job_id], now))

    async def replay_dead(self, which: CallbackFilter, now: datetime, limit: int) -> tuple[str, ...]:
        await asyncio.sleep(0)
        dead = self._meant(replace(which, state=CallbackState.DEAD))[:limit]
        return self._replay([record.job_id for record in sorted(dead, key=lambda r: r.target)], now)

    async def targets(self, limit: int, target: str | None = None) -> tuple[Target, ...]:
        await asyncio.sleep(0)
        found = [t for t in self.kept_targets.values() if target in {None, t.target}]
        return tuple(sorted(found, key=lambda t: (not t.health.is_failing, t.target)))[:limit]

    async def put_health(self, target: str, health: Health) -> bool:
        await asyncio.sleep(0)
        if target not in self.kept_targets:
            return False
        self._put_health(self.kept_targets[target], health)
        self.tell(News.CALLBACKS)
        return True

    async def rotate_callback_secret(self, secret: CallbackSecret, old_until: datetime) -> None:
        await asyncio.sleep(0)
        mine = [s for s in self.secrets if s.caller_id == secret.caller_id]
        live = [s for s in mine if s.expires is None or s.expires > secret.created]
        ending = [replace(s, expires=s.expires or old_until) for s in live]
        self.secrets = [s for s in self.secrets if s.caller_id != secret.caller_id] + [*ending, secret]

    async def remove_callback_secrets(self, caller_id: str) -> int:
        await asyncio.sleep(0)
        before = len(self.secrets)
        self.secrets = [s for s in self.secrets if s.caller_id != caller_id]
        return before - len(self.secrets)

    async def callback_secrets(self, caller_id: str, now: datetime) -> tuple[CallbackSecret, ...]:
        await asyncio.sleep(0)
        mine = (
            s for s in self.secrets if s.caller_id == caller_id and (s.expires is None or s.expires > now)
        )
        return tuple(sorted(mine, key=lambda s: (s.created, s.secret_id), reverse=True))

    def _add_callback(self, draft: CallbackDraft, job: Job) -> None:
        target = self.kept_targets.setdefault(draft.target, Target(target=draft.target, health=Health()))
        is_dead = target.health.disabled is not None
        callback = Callback(
            callback_id=draft.callback_id,
            job_id=draft.job_id,
            url=draft.url,
            body=draft.body,
            attempt=0,
            created=draft.due,
            caller_id=job.caller_id,
            begun=draft.due,
        )
        kept = KeptCallback(
            callback=callback,
            target=draft.target,
            due=None if is_dead else draft.due,
            state=CallbackState.DEAD if is_dead else CallbackState.WAITING,
            error=DISABLED if is_dead else None,
        )
        _add(self.callbacks, job.job_id, kept)
        self._put_health(target, target.health)

    def _put_health(self, target: Target, health: Health) -> None:
        if health.disabled is not None:
            for kept in self._waiting_for(target.target):
                kept.due, kept.state, kept.error = None, CallbackState.DEAD, DISABLED
        changed = replace(target, health=health)
        first = min((kept.due for kept in self._waiting_for(target.target) if kept.due), default=None)
        self.kept_targets[target.target] = replace(changed, due=target_due(changed, first))

    def _waiting_for(self, target: str) -> list[KeptCallback]:
        return [kept for kept in self.callbacks.values() if kept.target == target and kept.due is not None]

    def _replay(self, job_ids: list[str], now: datetime) -> tuple[str, ...]:
        replayed = []
        for job_id in job_ids:
            kept = self.callbacks[job_id]
            target = self.kept_targets[kept.target]
            if target.health.is_held:
                continue
            kept.due, kept.state = now, CallbackState.WAITING
            kept.callback = replace(kept.callback, begun=now, tries=0, trigger=Trigger.MANUAL)
            self._put_health(target, another_chance(target.health))
            replayed.append(job_id)
        if replayed:
            self.tell(News.CALLBACKS)
        return tuple(replayed)

    def _record(self, kept: KeptCallback) -> CallbackRecord:
        its = kept.callback
        return CallbackRecord(
            callback_id=its.callback_id,
            job_id=its.job_id,
            caller_id=its.caller_id,
            target=kept.target,
            url=its.url,
            state=kept.state,
            created=its.created,
            attempt=its.attempt,
            due=kept.due,
            error=kept.error,
        )

    def _meant(self, which: CallbackFilter) -> list[CallbackRecord]:
        """Return what is meant of the undelivered, oldest first."""
        meant = [
            record
            for record in map(self._record, self.callbacks.values())
            if record.state is not CallbackState.DELIVERED
            and which.caller_id in {None, record.caller_id}
            and which.target in {None, record.target}
            and which.state in {None, record.state}
            and (which.since is None or record.created >= which.since)
            and (which.until is None or record.created < which.until)
        ]
        return sorted(meant, key=lambda r: (r.created, r.callback_id))

    async def attempts(self, job_id: str) -> tuple[CallbackAttempt, ...]:
        await asyncio.sleep(0)
        kept = self.callbacks.get(job_id)
        return () if kept is None else tuple(kept.log[number] for number in sorted(kept.log))

    async def prune(self, before: datetime) -> int:
        await asyncio.sleep(0)
        old = [job.job_id for job in self._all() if job.is_final and job.updated < before]
        for job_id in old:
            self._forget(job_id)
        self.kept_orphans = {m: orphan for m, orphan in self.kept_orphans.items() if orphan.seen >= before}
        return len(old)

    async def remove_caller(self, caller_id: str) -> bool:
        if await self.executing(caller_id):
            return False
        self.kept_tokens = {i: kept for i, kept in self.kept_tokens.items() if kept[0].caller_id != caller_id}
        self.kept_accounts = {
            p: kept for p, kept in self.kept_accounts.items() if kept.caller_id != caller_id
        }
        self.secrets = [kept for kept in self.secrets if kept.caller_id != caller_id]
        self.kept_callers.pop(caller_id, None)
        return True

    async def final_jobs(self, caller_id: str, after: str, limit: int) -> tuple[str, ...]:
        await asyncio.sleep(0)
        its = (job.job_id for job in self._all() if job.is_final and job.caller_id == caller_id)
        return tuple(sorted(job_id for job_id in its if job_id > after)[:limit])

    async def delete_jobs(self, job_ids: Sequence[str]) -> None:
        await asyncio.sleep(0)
        for job in list(self._all()):
            if job.is_final and job.job_id in job_ids:
                self._forget(job.job_id)

    async def prune_keys(self, before: datetime) -> int:
        await asyncio.sleep(0)
        old = [place for place, (_, _, created) in self.keys.items() if created < before]
        for place in old:
            del self.keys[place]
        self.owed = {job_id: owed for job_id, owed in self.owed.items() if owed.until >= before}
        return len(old)

    async def probe(self) -> Condition:
        await asyncio.sleep(0)
        return self.condition

    async def figures(self, now: datetime) -> Figures:
        await asyncio.sleep(0)
        unfinished = [job for job in self.jobs.values() if not job.is_final]
        kept = self.callbacks.values()
        words = {name: _health_word(target.health, now) for name, target in self.kept_targets.items()}
        return Figures(
            jobs=Counter(job.status.value for job in unfinished),
            presses_waiting=sum(job.press.phase is PressPhase.WAITING for job in unfinished),
            callbacks=Counter(k.state.value for k in kept if k.state is not CallbackState.DELIVERED),
            targets=Counter(words.values()),
            oldest_due=min(
                (k.due for k in kept if k.due and words[k.target] in {"healthy", "failing"}), default=None
            ),
        )

    async def known_uploads(self, keys: Sequence[str]) -> frozenset[str]:
        await asyncio.sleep(0)
        return frozenset(upload.key for job in self.jobs.values() for upload in job.uploads) & set(keys)

    def _all(self) -> list[Job]:
        return [*self.jobs.values(), *self.withdrawn.values()]

    def _ghosts(self, channels: set[str], since: datetime) -> tuple[Job, ...]:
        sent = [
            (job.press.sent, job.job_id, job)
            for job in self._all()
            if job.channel in channels
            and job.status in {Status.FAILED, Status.CANCELLED}
            and job.press.phase in OPEN_PHASES
            and job.press.sent is not None
            and job.press.sent > since
        ]
        return tuple(job for _, _, job in sorted(sent, key=lambda each: each[:2]))

    async def ping(self) -> None:
        await asyncio.sleep(0)

    def _unfinished(self) -> list[Job]:
        unfinished = (job for job in self.jobs.values() if not job.is_final)
        return sorted(unfinished, key=lambda job: (job.created, job.job_id))

    def _forget(self, job_id: str) -> None:
        self.jobs.pop(job_id, None)
        self.withdrawn.pop(job_id, None)
        self._abandon(job_id)
        if (kept := self.callbacks.pop(job_id, None)) is not None:
            target = self.kept_targets[kept.target]
            self._put_health(target, target.health)
            is_known = any(other.target == kept.target for other in self.callbacks.values())
            if not is_known and not target.health.is_held:
                del self.kept_targets[kept.target]
        self.keys = {place: used for place, used in self.keys.items() if used[0] != job_id}
        self.owners = {m: owner for m, owner in self.owners.items() if owner != job_id}


def _add(table: dict[str, Any], key: str, value: object) -> None:
    if key in table:
        raise AlreadyThere(key)
    table[key] = value


def _health_word(health: Health, now: datetime) -> str:
    if health.disabled is not None:
        return "disabled"
    if health.paused_until is not None and health.paused_until > now:
        return "paused"
    return "failing" if health.is_failing else "healthy"
