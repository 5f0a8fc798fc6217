"""End the jobs that the bot, or Discord, never ended."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.job import Job, PressPhase
from pikarelay.jobs.lifecycle import Failed
from pikarelay.jobs.reconciliation import Reading
from pikarelay.services.board import Board
from pikarelay.services.ports import Clock, Store
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.record_event import EventRecorder

#: How long a job is spared whose channel cannot be read for what the accounts are. A person may be about to mend it.
GRACE = timedelta(minutes=1)


class JobExpirer:
    """Looks for overdue jobs, reads their channels once more, and fails those for which nothing was found."""

    def __init__(
        self,
        store: Store,
        history: HistoryReader,
        recorder: EventRecorder,
        board: Board,
        clock: Clock,
        deadlines: Deadlines,
    ) -> None:
        self._store = store
        self._history = history
        self._recorder = recorder
        self._board = board
        self._clock = clock
        self._deadlines = deadlines
        #: Overdue jobs whose channels could not be read, and since when that may be for their accounts.
        self._unread: dict[str, datetime] = {}

    async def expire(self) -> int:
        """Fail what is overdue, and return how many jobs that were."""
        now = self._clock.now()
        overdue: dict[str, list[Job]] = {}
        for job in await self._store.unfinished():
            if self._deadlines.is_overdue(job, now):
                overdue.setdefault(job.channel, []).append(job)
        known = {job.job_id for jobs in overdue.values() for job in jobs}
        self._unread = {job_id: since for job_id, since in self._unread.items() if job_id in known}
        # Each channel for itself: one whose history takes long keeps no other's jobs waiting.
        return sum(await asyncio.gather(*(self._expire_channel(*its, now) for its in overdue.items())))

    async def _expire_channel(self, channel: str, overdue: Sequence[Job], now: datetime) -> int:
        unread = [job for job in overdue if _has_left(job) and not self._was_read(job, now)]
        if unread and self._is_time_to_read(channel, unread, now):
            await self._history.catch_up(unread)
        failed = [
            await self._recorder.decide(job.job_id, self._verdict)
            for job in overdue
            if not self._is_spared(job, now)
        ]
        return sum(job is not None for job in failed)

    def _is_time_to_read(self, channel: str, unread: Sequence[Job], now: datetime) -> bool:
        reading = self._reading(channel, now)
        if reading is None:
            return True
        has_time = reading.is_away and all(self._is_within_reach(job, now) for job in unread)
        # Those that fail within the minute cannot wait for as long as a channel that could not be read mostly is left.
        return now >= (reading.next if has_time else reading.soonest)

    def _is_spared(self, job: Job, now: datetime) -> bool:
        """
        Whether the history may have something for the job, and has not been read since its time was up.

        What is in it would be lost for nothing: when a server starts after a while, all its jobs may be overdue before the
        network is there.
        """
        if not _has_left(job) or self._was_read(job, now):
            return False
        reading = self._reading(job.channel, now)
        if reading is not None and not reading.failures:
            # Read a moment ago, and soon again.
            return True
        if reading is not None and reading.is_away and self._is_within_reach(job, now):
            self._unread[job.job_id] = now
            return True
        return now - self._unread.setdefault(job.job_id, now) < GRACE

    def _is_within_reach(self, job: Job, now: datetime) -> bool:
        sent = job.press.sent
        return sent is not None and now - sent < self._deadlines.whole_job

    def _was_read(self, job: Job, now: datetime) -> bool:
        """Whether all that the bot said in the job's time has been read."""
        reading = self._reading(job.channel, now)
        return reading is not None and reading.covers(job, self._deadlines.allowed(job))

    def _reading(self, channel: str, now: datetime) -> Reading | None:
        reading = self._history.readings.get(channel)
        # One from the future was made before somebody set the clock back, and says nothing about now.
        return None if reading is not None and reading.tried > max(now, self._clock.now()) else reading

    def _verdict(self, job: Job) -> Failed | None:
        if job.is_final or not self._deadlines.is_overdue(job, self._clock.now()):
            return None
        if job.press.phase is PressPhase.SENT:
            if self._board.is_being_sent(job.job_id):
                # After a machine's sleep all time is up, and the sender is the one who knows whether anything left.
                return None
            return Failed(error="Outcome of the press is unknown")
        return Failed(error="Pika did not answer in time")


def _has_left(job: Job) -> bool:
    # A press that never left has nothing in the history.
    return job.press.floor_id is not None and job.press.user_id is not None
