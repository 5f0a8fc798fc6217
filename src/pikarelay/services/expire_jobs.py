"""End the jobs that the bot, or Discord, never ended."""

from datetime import datetime, timedelta

import msgspec

from pikarelay.jobs.job import Job, PressPhase
from pikarelay.jobs.lifecycle import Failed
from pikarelay.services.ports import Clock, Store
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.record_event import EventRecorder


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job may take."""

    #: From the press to the bot's first message, a hidden acknowledgement included.
    first_message: timedelta
    #: From the press to the end; for a press that waits, from the admission to the press.
    whole_job: timedelta


class JobExpirer:
    """Looks for overdue jobs, reads their channels once more, and fails those for which nothing was found."""

    def __init__(
        self,
        store: Store,
        history: HistoryReader,
        recorder: EventRecorder,
        clock: Clock,
        deadlines: Deadlines,
    ) -> None:
        self._store = store
        self._history = history
        self._recorder = recorder
        self._clock = clock
        self._deadlines = deadlines

    async def expire(self) -> int:
        """Fail what is overdue, and return how many jobs that were."""
        now = self._clock.now()
        overdue = [job for job in await self._store.unfinished() if self._is_overdue(job, now)]
        if not overdue:
            return 0
        await self._history.catch_up(overdue)
        failed = [await self._recorder.decide(job.job_id, self._verdict) for job in overdue]
        return sum(job is not None for job in failed)

    def _verdict(self, job: Job) -> Failed | None:
        if job.is_final or not self._is_overdue(job, self._clock.now()):
            return None
        if job.press.phase is PressPhase.SENT:
            return Failed(error="Outcome of the press is unknown")
        return Failed(error="Pika did not answer in time")

    def _is_overdue(self, job: Job, now: datetime) -> bool:
        since = job.press.sent or job.created
        if job.press.is_unbound:
            return now - since >= self._deadlines.first_message
        return now - since >= self._deadlines.whole_job
