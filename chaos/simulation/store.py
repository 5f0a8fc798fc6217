"""The store in memory, as slow as a real one, with every commit written into the world's book."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

from chaos.simulation.book import Book
from chaos.simulation.plan import Plan
from pikarelay.jobs.callbacks import CallbackAttempt
from pikarelay.jobs.job import Job
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.ports import (
    Callback,
    CallbackOutcome,
    Change,
    DecideOutcome,
    KeptSession,
    Orphan,
)
from tests.fakes.store import FakeStore


class BookedStore(FakeStore):
    """A `FakeStore` whose writes wait before and after they are committed, so that others come between."""

    def __init__(self, plan: Plan, book: Book) -> None:
        super().__init__()
        self._book = book
        self._longest = plan.store_wait
        self._chance = Random(f"{plan.seed} store")

    async def admit(
        self,
        caller_id: str,
        channels: Sequence[str],
        decide: Callable[[Mapping[str, tuple[str, ...]]], Job],
        key: RequestKey | None = None,
        *,
        answer_until: datetime | None = None,
    ) -> Job:
        await self._wait()
        job = await super().admit(caller_id, channels, decide, key, answer_until=answer_until)
        running = [j for j in self._unfinished() if (j.caller_id, j.channel) == (caller_id, job.channel)]
        self._book.admitted(job, len(running))
        await self._wait()
        return job

    async def change(self, job_id: str, decide: Callable[[Job], Change | None]) -> Job | None:
        await self._wait()
        job = await super().change(job_id, decide)
        if job is not None:
            self._book.committed(job)
        await self._wait()
        return job

    async def withdraw(self, job_id: str, *, was_sent: bool) -> Job | None:
        await self._wait()
        kept = await super().withdraw(job_id, was_sent=was_sent)
        if job_id not in self.jobs:
            self._book.withdrawn.setdefault(job_id, self._book.now)
            self._book.note("store", "{} is withdrawn", job_id)
        await self._wait()
        return kept

    async def keep_orphan(self, orphan: Orphan) -> None:
        await self._wait()
        await super().keep_orphan(orphan)
        self._book.note("store", "keeps {} as an orphan of {}", orphan.message.id, orphan.candidates)
        await self._wait()

    async def keep_sessions(
        self, sessions: Mapping[bytes, KeptSession], forgotten: Collection[bytes] = ()
    ) -> None:
        await self._wait()
        await super().keep_sessions(sessions, forgotten)
        await self._wait()

    async def claim_callbacks(
        self, now: datetime, lease: timedelta, fresh: int, failing: int
    ) -> tuple[Callback, ...]:
        await self._wait()
        claimed = await super().claim_callbacks(now, lease, fresh, failing)
        await self._wait()
        return claimed

    async def finish_callback(
        self, attempt: CallbackAttempt, decide: DecideOutcome
    ) -> CallbackOutcome | None:
        await self._wait()
        outcome = await super().finish_callback(attempt, decide)
        await self._wait()
        return outcome

    async def _wait(self) -> None:
        """Take the time of a disk, or of a step."""
        if self._longest and self._chance.random() < 0.5:
            await asyncio.sleep(self._chance.uniform(0, self._longest))
