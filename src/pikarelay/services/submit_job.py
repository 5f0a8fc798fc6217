"""
Take a job in: admit it, hand its press over, and wait a little for the bot.

The row is committed before anything leaves for Discord, and the answer waits for the bot's first message, because the
contract's answer quotes it. When the bot takes longer the answer is `started` without a message, never an error.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from pikarelay.jobs.job import Caller, Job, PressPhase, Status
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.answers import Answers
from pikarelay.services.ports import Store

#: Where a press stands that Discord has not taken, as far as anybody knows.
_NOT_ACCEPTED = frozenset({PressPhase.WAITING, PressPhase.SENT, PressPhase.REFUSED})


class PressQueue(Protocol):
    """Where admitted jobs wait for their press."""

    def put(self, job: Job) -> None:
        """Queue the job's press behind those of its channel."""
        ...


class HeardOf:
    """The queue of a node whose store announces admitted jobs: whoever has their channel hears of them."""

    def put(self, job: Job) -> None:
        """Do nothing."""


class Submitted(msgspec.Struct, frozen=True):
    """What a POST answers with."""

    job: Job
    #: 200, or 502 when Discord did not accept the press.
    code: int
    #: Whether another request has made the job, which this one only repeats.
    is_repeat: bool = False


class Submission:
    """What every submitting verb has in common."""

    def __init__(self, store: Store, answers: Answers, presses: PressQueue, answer_wait: timedelta) -> None:
        self._store = store
        self._answers = answers
        self._presses = presses
        self._answer_wait = answer_wait

    async def submit(
        self,
        caller: Caller,
        channels: Sequence[str],
        decide: Callable[[Mapping[str, tuple[str, ...]]], Job],
        key: RequestKey | None = None,
    ) -> Submitted:
        """
        Admit the job that `decide` returns, and wait for the bot's first message or an ending, at most ten seconds.

        Raises what `decide` raises, `KeyTaken`, and `DiscordRateLimited` when Discord answered 429; then no job remains. After a
        return, call `Answers.close` once the answer has left: no callback of the job goes out before.
        """
        until = self._answers.owed_until(self._answer_wait)
        job = await self._admit(
            self._store.admit(caller.caller_id, channels, decide, key, answer_until=until)
        )
        try:
            self._presses.put(job)
            job = await self._answers.wait(job, _is_answerable, self._answer_wait)
        except BaseException:
            self._answers.close(job.job_id)
            raise
        return Submitted(job, 502 if _was_not_accepted(job) else 200)

    async def _admit(self, admission: Coroutine[None, None, Job]) -> Job:
        """Wait for the admission. One that nobody waits for any more may be written all the same, and then is pressed."""
        admitting = asyncio.ensure_future(admission)
        try:
            return await asyncio.shield(admitting)
        except asyncio.CancelledError:
            admitting.add_done_callback(self._press_unasked)
            raise

    def _press_unasked(self, admitted: asyncio.Future[Job]) -> None:
        if not admitted.cancelled() and admitted.exception() is None:
            self._presses.put(admitted.result())


def _is_answerable(job: Job) -> bool:
    return job.status is not Status.CREATED


def _was_not_accepted(job: Job) -> bool:
    return job.status is Status.FAILED and job.press.phase in _NOT_ACCEPTED
