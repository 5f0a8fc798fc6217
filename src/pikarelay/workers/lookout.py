"""Looks, while this process ends, at what its successor makes of the jobs whose POSTs still wait here."""

import asyncio
from datetime import timedelta

from pikarelay.services.board import Board
from pikarelay.services.ports import Clock, Store
from pikarelay.workers.loop import Loop

_EVERY = timedelta(milliseconds=250)


class Lookout:
    """
    Idle until `begin`. Who waits here is woken by what this process hears, and its successor hears it now.

    There is no looking otherwise: an account's session is one process's, and its jobs are nobody else's news.
    """

    def __init__(self, store: Store, board: Board, clock: Clock) -> None:
        self._store = store
        self._board = board
        self._clock = clock
        self._begun = asyncio.Event()
        self._loop = Loop("lookout", self._once)

    def begin(self) -> None:
        """Look from now on."""
        self._begun.set()

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _once(self) -> None:
        await self._begun.wait()
        for job_id in self._board.watched:
            job = await self._store.job(job_id)
            if job is not None:
                self._board.show(job)
        await self._clock.sleep(_EVERY)
