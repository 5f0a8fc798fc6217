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
from pikarelay.services.answers import until_decided
from pikarelay.services.board import Board
from pikarelay.services.ports import Clock, Giving, NotHeld, Refusal, Store
from pikarelay.services.waiting import wait

_log = structlog.get_logger(__name__)

#: How much longer than its wait for the bot a POST may take: to be read by a slow client, or on a slow store.
GRACE = timedelta(seconds=20)
#: How often whoever waits looks, for word of a change may be lost.
_LOOK_AGAIN = timedelta(seconds=0.2)
#: By so much the clocks of two nodes may differ.
_SKEW = timedelta(seconds=2)


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
        # Whatever the store does meanwhile: the job is there, and who is told otherwise asks for another.
        at_last = self._clock.now() + at_most + GRACE + _SKEW
        with self._board.watch_as_post(job) as watch:
            # It may have been pressed, and answered, before anybody watched.
            now = await self._known(job)
            if now is not None:
                watch.show(now)
                job = await watch.until(holds, at_most, self._clock)
                if holds(job):
                    # Who refuses withdraws only what nothing is known of yet.
                    return job
            if (refusal := await self._decided(job.job_id, at_last)) is not None:
                raise refused_as(refusal)
            return await self._known(job) or job

    async def _known(self, job: Job) -> Job | None:
        """Return the job as it is now, or as it was when the store does not say; None when it is gone."""
        try:
            return await self._store.job(job.job_id)
        except Unavailable:
            return job

    async def _decided(self, job_id: str, at_last: datetime | None = None) -> Refusal | None:
        """
        Return the refusal of the job, or None when it has none, and can have none any more.

        A store that is away is asked again until `at_last`, when no refusal can come any more; without it, raises `Unavailable`.
        """
        while True:
            try:
                standing = await self._store.give_answer(job_id, self._clock.now())
            except Unavailable:
                if at_last is None:
                    raise
                if self._clock.now() >= at_last:
                    return None
                standing = Giving.MUST_WAIT
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
        try:
            return await until_decided(
                lambda: self._store.refuse(self._job_id, told, self._clock.now(), was_sent=refusal.was_sent),
                self._clock,
            )
        except NotHeld:
            # Another worker may have pressed it since.
            await self.spare()
            return await self._store.job(self._job_id)


def refused_as(refusal: Refusal) -> DiscordRateLimited:
    """Return Discord's 429 as it was stored."""
    return DiscordRateLimited(refusal.details, refusal.retry_after)
