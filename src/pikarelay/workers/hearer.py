"""
Hears what the store announces, and wakes those of this node whom it concerns. They look in the store.

An announcement may be lost with the connection that it would have come by, so whoever waits is looked after every second as well.
"""

from datetime import timedelta

import structlog

from pikarelay.errors import Unavailable
from pikarelay.services.board import Board
from pikarelay.services.ports import Announcement, Clock, News, Store
from pikarelay.services.shared_answers import refused_as
from pikarelay.workers.background import BackgroundTasks
from pikarelay.workers.loop import Loop

_log = structlog.get_logger(__name__)

_LOOK_AGAIN = timedelta(seconds=1)


class Hearer:
    """Between the store's announcements and the board."""

    def __init__(self, store: Store, board: Board, clock: Clock) -> None:
        self._store = store
        self._board = board
        self._clock = clock
        self._background = BackgroundTasks("hearer")
        self._loop = Loop("hearer", self._once)
        store.subscribe(self.hear)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        await self._background.stop()

    def hear(self, announcement: Announcement) -> None:
        match announcement.news:
            case News.CHANGED | News.ENDED:
                if self._board.concerns(announcement.job_id, announcement.channel):
                    self._background.start(self._look(announcement.job_id))
                if announcement.news is News.ENDED and announcement.leaves_work:
                    self._board.callback_due.set()
                    self._board.copy_due.set()
            case News.CALLBACKS:
                self._board.callback_due.set()
            case News.MISSED:
                self._board.callback_due.set()
                self._board.copy_due.set()
                self._background.start(self._look_at_all())
            case _:
                return

    async def _once(self) -> None:
        await self._clock.sleep(_LOOK_AGAIN)
        await self._look_at_all()

    async def _look_at_all(self) -> None:
        for job_id in self._board.watched:
            await self._look(job_id)

    async def _look(self, job_id: str) -> None:
        """Show the job, as it is now, to those who wait for it."""
        try:
            job = await self._store.job(job_id)
            refusal = await self._store.refusal(job_id) if job is None else None
        except Unavailable:
            return
        if job is not None:
            self._board.publish(job)
        elif refusal is not None:
            self._board.refuse(job_id, refused_as(refusal))
