"""
Hears of admitted jobs, which may come from other nodes, and queues the presses of those that are this worker's.

Word of one may be lost with the connection that it would have come by, so the store is asked every few seconds as well.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from pikarelay.errors import Unavailable
from pikarelay.jobs.job import Job, PressPhase
from pikarelay.services.ports import Announcement, Clock, News, Store
from pikarelay.services.submit_job import PressQueue
from pikarelay.services.waiting import wait
from pikarelay.workers.background import BackgroundTasks
from pikarelay.workers.loop import Loop

_LOOK_AGAIN = timedelta(seconds=5)


class PressHearer:
    """Between the store's announcements and the presser."""

    def __init__(
        self,
        store: Store,
        presses: PressQueue,
        clock: Clock,
        keeps_channel: Callable[[str], bool],
        keeps_seat: Callable[[Job], bool],
        on_stranger: Callable[[str], None],
    ) -> None:
        """`store` is as this worker sees it. `on_stranger` is told the channel of a job that is not this worker's."""
        self._store = store
        self._presses = presses
        self._clock = clock
        self._keeps_channel = keeps_channel
        self._keeps_seat = keeps_seat
        self._on_stranger = on_stranger
        self._background = BackgroundTasks("press_hearer")
        self._missed = asyncio.Event()
        self._loop = Loop("press_hearer", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        await self._background.stop()

    def hear(self, announcement: Announcement) -> None:
        if announcement.news is News.MISSED:
            self._missed.set()
        elif announcement.news is News.ADMITTED:
            if not self._keeps_channel(announcement.channel):
                self._on_stranger(announcement.channel)
                return
            self._background.start(self._look_up(announcement.job_id))

    async def _look_up(self, job_id: str) -> None:
        try:
            job = await self._store.job(job_id)
        except Unavailable:
            self._missed.set()
            return
        if job is None or job.press.phase is not PressPhase.WAITING or job.is_final:
            return
        if self._keeps_seat(job):
            self._presses.put(job)
        else:
            # The channel is ours, and its token one that is nobody's yet.
            self._on_stranger(job.channel)

    async def _once(self) -> None:
        await wait(self._missed, _LOOK_AGAIN, self._clock)
        self._missed.clear()
        try:
            unfinished = await self._store.unfinished()
        except Unavailable:
            return
        for job in unfinished:
            if job.press.phase is PressPhase.WAITING:
                self._presses.put(job)
