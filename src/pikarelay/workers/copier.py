"""Copies results to the mirror: claims copies that are due from the store, and makes each in a task of its own."""

import asyncio
from datetime import timedelta

import structlog

from pikarelay.errors import Unavailable
from pikarelay.jobs.mirror import CopyRecord
from pikarelay.services.board import Board
from pikarelay.services.copy_file import FileCopier
from pikarelay.services.ports import Clock, Store
from pikarelay.services.waiting import wait
from pikarelay.workers.loop import Loop

_log = structlog.get_logger(__name__)

#: A claim runs out soon when its process dies, and is renewed for as long as its try goes on.
LEASE = timedelta(seconds=15)
_RENEW_EVERY = LEASE / 3
#: Tries under way at once. More would take the line from presses and callbacks, and a result is copied in a second.
AT_ONCE = 4
#: Other processes may have made copies due; look for them this often.
_LOOK_AGAIN = timedelta(seconds=5)


class Copier:
    """The loop that fills the mirror."""

    def __init__(self, store: Store, copier: FileCopier, board: Board, clock: Clock) -> None:
        self._store = store
        self._copier = copier
        self._board = board
        self._clock = clock
        self._tries: set[asyncio.Task[None]] = set()
        self._loop = Loop("copier", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        """Stop claiming, and give up tries under way: their claims run out, and they are tried again."""
        await self._loop.stop()
        tries = list(self._tries)
        for task in tries:
            task.cancel()
        await asyncio.gather(*tries, return_exceptions=True)

    async def _once(self) -> None:
        self._board.copy_due.clear()
        room = AT_ONCE - len(self._tries)
        claimed = await self._store.claim_copies(self._clock.now(), LEASE, room) if room else ()
        for copy in claimed:
            task = asyncio.create_task(self._try(copy))
            self._tries.add(task)
            task.add_done_callback(self._tries.discard)
        await wait(self._board.copy_due, await self._until_next(), self._clock)

    async def _until_next(self) -> timedelta:
        if len(self._tries) == AT_ONCE:
            # The end of a try wakes us.
            return _LOOK_AGAIN
        due = await self._store.next_copy()
        return _LOOK_AGAIN if due is None else min(max(due - self._clock.now(), timedelta()), _LOOK_AGAIN)

    async def _try(self, copy: CopyRecord) -> None:
        renewing = asyncio.create_task(self._renew(copy))
        try:
            await self._copier.copy(copy)
        except Exception:  # noqa: BLE001 - whatever it is, the claim runs out and the try is repeated
            _log.exception("copy.try_failed", job_id=copy.job_id, number=copy.number)
        finally:
            renewing.cancel()
            self._board.copy_due.set()

    async def _renew(self, copy: CopyRecord) -> None:
        """Keep the claim until the try is over, or somebody else has it."""
        is_ours = True
        while is_ours:
            await self._clock.sleep(_RENEW_EVERY)
            try:
                is_ours = await self._store.renew_copy(copy.name, copy.attempt, self._clock.now() + LEASE)
            except Unavailable:
                _log.warning("copy.claim_not_renewed", job_id=copy.job_id, number=copy.number)
