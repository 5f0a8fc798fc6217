"""End the jobs that the bot, or Discord, never ended."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.job import Job, PressPhase
from pikarelay.jobs.lifecycle import Failed
from pikarelay.services.board import Board
from pikarelay.services.ports import Clock, Store
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.record_event import EventRecorder

#: How long the jobs of a channel that cannot be read are spared. What is in its history would be lost for nothing: when a
#: server starts after a while, all its jobs may be overdue before the network is there.
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
        #: Channels with overdue jobs that could not be read, and since when.
        self._unread: dict[str, datetime] = {}

    async def expire(self) -> int:
        """Fail what is overdue, and return how many jobs that were."""
        now = self._clock.now()
        overdue: dict[str, list[Job]] = {}
        for job in await self._store.unfinished():
            if self._deadlines.is_overdue(job, now):
                overdue.setdefault(job.channel, []).append(job)
        self._unread = {channel: since for channel, since in self._unread.items() if channel in overdue}
        # Each channel for itself: one whose history takes long keeps no other's jobs waiting.
        return sum(await asyncio.gather(*(self._expire_channel(*its, now) for its in overdue.items())))

    async def _expire_channel(self, channel: str, overdue: Sequence[Job], now: datetime) -> int:
        if await self._history.catch_up(overdue):
            self._unread.setdefault(channel, now)
        else:
            self._unread.pop(channel, None)
        unread_since = self._unread.get(channel)
        is_spared = unread_since is not None and now - unread_since < GRACE
        failed = [
            await self._recorder.decide(job.job_id, self._verdict)
            for job in overdue
            # A press that never left has nothing in the history.
            if job.press.sent is None or not is_spared
        ]
        return sum(job is not None for job in failed)

    def _verdict(self, job: Job) -> Failed | None:
        if job.is_final or not self._deadlines.is_overdue(job, self._clock.now()):
            return None
        if job.press.phase is PressPhase.SENT:
            if self._board.is_being_sent(job.job_id):
                # After a machine's sleep all time is up, and the sender is the one who knows whether anything left.
                return None
            return Failed(error="Outcome of the press is unknown")
        return Failed(error="Pika did not answer in time")
