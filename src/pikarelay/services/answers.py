"""
The answers that POSTs owe: what a press becomes may be decided while its POST waits, or just after it has answered.

A press that Discord refuses with 429 takes its job back, unless the POST has answered with that job; and a job's callback waits
until its POST's answer has left. `LocalAnswers` is for a process that does both; `pikarelay.services.shared_answers`, for nodes
that share a store.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from pikarelay.errors import DiscordRateLimited, Unavailable
from pikarelay.jobs.job import Job
from pikarelay.services.board import Board, Watch
from pikarelay.services.ports import Clock, Store

#: Between tries to store a refusal.
_REFUSE_AGAIN = (timedelta(seconds=0.2), timedelta(seconds=1), timedelta(seconds=3))


class Claim(Protocol):
    """A POST that will not answer before one of these was called."""

    async def spare(self) -> None:
        """Let it answer after all."""
        ...

    async def refuse(self, refusal: DiscordRateLimited) -> Job | None:
        """
        Withdraw the job, and let the POST answer with the refusal.

        Returns the job where it could not be withdrawn, or it was too late for that. Raises `Unavailable` where nothing could be
        decided. In each of these cases the POST answers with the job.
        """
        ...


class Answers(Protocol):
    """One for all services of a node."""

    def owed_until(self, answer_wait: timedelta) -> datetime | None:
        """Return until when a POST that begins now may owe its answer; None when that needs not be stored."""
        ...

    async def wait(self, job: Job, holds: Callable[[Job], bool], at_most: timedelta) -> Job:
        """
        Wait as the POST of a job that was just admitted. Call it in the same step in which its press was queued.

        Returns the job to answer with, which from then on nobody can refuse. Raises `DiscordRateLimited` when somebody did.
        """
        ...

    async def give(self, job_id: str) -> None:
        """
        Wait until the job can be answered with, by one who did not make it: until no refusal of it is under way.

        From then on nobody can refuse it. It may have been refused meanwhile, and is gone then.
        """
        ...

    def close(self, job_id: str) -> None:
        """Note that the answer has left, or that nobody is there to get one. Returns at once."""
        ...

    async def left(self, job_id: str) -> None:
        """Return when the answer to the job's POST has left; at once when none is owed."""
        ...

    async def claim(self, job_id: str) -> Claim | None:
        """Hold the job's answer back. None when it was given already, or nobody waits."""
        ...


class LocalAnswers:
    """Of POSTs and presses in one process: all in memory, for nobody waits any more when it ends."""

    def __init__(self, store: Store, board: Board, clock: Clock) -> None:
        self._store = store
        self._board = board
        self._clock = clock
        #: By job: set when its refusal is no longer under way.
        self._refusing: dict[str, asyncio.Event] = {}

    def owed_until(self, answer_wait: timedelta) -> datetime | None:
        """Return None."""
        del answer_wait
        return None

    async def wait(self, job: Job, holds: Callable[[Job], bool], at_most: timedelta) -> Job:
        with self._board.refusable(job) as watch:
            return await watch.until(holds, at_most, self._clock)

    async def give(self, job_id: str) -> None:
        # None begins after this: only a POST that waits can be refused, and whoever repeats that one waits for it.
        if (decided := self._refusing.get(job_id)) is not None:
            await decided.wait()

    def close(self, job_id: str) -> None:
        self._board.close_answer(job_id)

    async def left(self, job_id: str) -> None:
        await self._board.answered(job_id)

    async def claim(self, job_id: str) -> "LocalClaim | None":
        waiting = self._board.claim_refusal(job_id)
        if waiting is None:
            return None
        self._refusing[job_id] = asyncio.Event()
        return LocalClaim(self._store, self._clock, job_id, waiting, self._decided)

    def _decided(self, job_id: str) -> None:
        self._refusing.pop(job_id).set()


class LocalClaim:
    """A claim on a POST of this process."""

    def __init__(
        self, store: Store, clock: Clock, job_id: str, waiting: Watch, decided: Callable[[str], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._job_id = job_id
        self._waiting = waiting
        self._decided = decided

    async def spare(self) -> None:
        self._waiting.release(None)
        self._decided(self._job_id)

    async def refuse(self, refusal: DiscordRateLimited) -> Job | None:
        try:
            kept = await until_decided(
                lambda: self._store.withdraw(self._job_id, was_sent=refusal.was_sent), self._clock
            )
        except Unavailable:
            # Nothing was written.
            self._waiting.release(None)
            raise
        except BaseException:
            # Of a write that was begun it is not known whether it was done.
            self._waiting.refuse(refusal)
            raise
        else:
            if kept is None:
                self._waiting.refuse(refusal)
            else:
                # The 429 was proved wrong before we acted on it.
                self._waiting.release(kept)
        finally:
            self._decided(self._job_id)
        return kept


async def until_decided(decide: Callable[[], Awaitable[Job | None]], clock: Clock) -> Job | None:
    """Return what the store decides on a refusal, which a POST waits for. Raises `Unavailable` after some tries."""
    for pause in _REFUSE_AGAIN:
        try:
            return await decide()
        except Unavailable:
            await clock.sleep(pause)
    return await decide()
