"""
The answers that POSTs owe, where a press may be refused on one node while its POST waits on another.

The store decides which came first, the answer or the refusal. For a node that dies in between, what it owes is bounded in time.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from pikarelay.errors import DiscordRateLimited, Unavailable
from pikarelay.jobs.job import Job
from pikarelay.services.board import Board
from pikarelay.services.ports import Clock, Giving, Refusal, Store
from pikarelay.services.waiting import wait

_log = structlog.get_logger(__name__)

#: How much longer than its wait for the bot a POST may take: to be read by a slow client, or on a slow store.
GRACE = timedelta(seconds=20)
#: How often whoever waits looks, for word of a change may be lost.
_LOOK_AGAIN = timedelta(seconds=0.2)
#: Between tries to store a refusal.
_REFUSE_AGAIN = (timedelta(seconds=0.2), timedelta(seconds=1), timedelta(seconds=3))


class SharedAnswers:
    """Implements `Answers`."""

    def __init__(self, store: Store, board: Board, clock: Clock) -> None:
        self._store = store
        self._board = board
        self._clock = clock
        self._closing: set[asyncio.Task[None]] = set()
        #: Set when an answer of this node has left.
        self._left: dict[str, asyncio.Event] = {}

    def owed_until(self, answer_wait: timedelta) -> datetime | None:
        return self._clock.now() + answer_wait + GRACE

    async def wait(self, job: Job, holds: Callable[[Job], bool], at_most: timedelta) -> Job:
        with self._board.watch_as_post(job) as watch:
            # It may have been pressed, and answered, before anybody watched.
            now = await self._store.job(job.job_id)
            if now is not None:
                watch.show(now)
                job = await watch.until(holds, at_most, self._clock)
                if holds(job):
                    # Who refuses withdraws only what nothing is known of yet.
                    return job
            return await self._give(job)

    async def _give(self, job: Job) -> Job:
        """Return the job to answer with. While somebody is about to refuse it, wait for what comes of that."""
        if (refusal := await self._decided(job.job_id)) is not None:
            raise refused_as(refusal)
        return await self._store.job(job.job_id) or job

    async def _decided(self, job_id: str) -> Refusal | None:
        """Return the refusal of the job, or None when it has none, and can have none any more."""
        while True:
            standing = await self._store.give_answer(job_id, self._clock.now())
            if isinstance(standing, Refusal):
                return standing
            if standing is Giving.MAY:
                return None
            await self._clock.sleep(_LOOK_AGAIN)

    async def give(self, job_id: str) -> None:
        await self._decided(job_id)

    def close(self, job_id: str) -> None:
        task = asyncio.create_task(self._close(job_id))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def left(self, job_id: str) -> None:
        event = self._left.setdefault(job_id, asyncio.Event())
        try:
            while (until := await self._store.owed_until(job_id)) is not None:
                rest = until - self._clock.now()
                if rest <= timedelta():
                    return
                await wait(event, min(rest, _LOOK_AGAIN), self._clock)
        finally:
            self._left.pop(job_id, None)

    async def claim(self, job_id: str) -> "SharedClaim | None":
        if not await self._store.claim_refusal(job_id, self._clock.now()):
            return None
        return SharedClaim(self._store, self._clock, job_id)

    async def stop(self) -> None:
        """Let answers that have left be noted."""
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def start(self) -> None:
        """Do nothing: there is nothing to note yet."""

    async def _close(self, job_id: str) -> None:
        try:
            await self._store.close_answer(job_id)
        except Unavailable:
            # It ends by itself, in a while.
            _log.warning("answer.not_closed", job_id=job_id)
        if (event := self._left.get(job_id)) is not None:
            event.set()


class SharedClaim:
    """A claim on a POST of whichever node. Should this one die with it, the POST answers with the job in the end."""

    def __init__(self, store: Store, clock: Clock, job_id: str) -> None:
        self._store = store
        self._clock = clock
        self._job_id = job_id

    async def spare(self) -> None:
        await self._store.spare(self._job_id)

    async def refuse(self, refusal: DiscordRateLimited) -> Job | None:
        told = Refusal(details=refusal.details, retry_after=refusal.retry_after)
        for pause in _REFUSE_AGAIN:
            try:
                return await self._store.refuse(self._job_id, told, was_sent=refusal.was_sent)
            except Unavailable:
                # The POST waits for this.
                await self._clock.sleep(pause)
        return await self._store.refuse(self._job_id, told, was_sent=refusal.was_sent)


def refused_as(refusal: Refusal) -> DiscordRateLimited:
    """Return Discord's 429 as it was stored."""
    return DiscordRateLimited(refusal.details, refusal.retry_after)
