"""Sends callbacks that are due: claims them from the store, and tries each in a task of its own."""

import asyncio
from datetime import timedelta

import structlog

from pikarelay.services.board import Board
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.ports import Callback, Clock, Store
from pikarelay.workers.loop import Loop, wait

_log = structlog.get_logger(__name__)

#: A claim lasts longer than any try can: the wait for the POST's answer, and a minute on the wire.
_LEASE = timedelta(seconds=120)
_AT_ONCE = 64
#: Other processes may have made callbacks due; look for them this often.
_LOOK_AGAIN = timedelta(seconds=5)


class CallbackDispatcher:
    """The loop that empties the outbox."""

    def __init__(self, store: Store, delivery: CallbackDelivery, board: Board, clock: Clock) -> None:
        self._store = store
        self._delivery = delivery
        self._board = board
        self._clock = clock
        self._tries: set[asyncio.Task[None]] = set()
        self._loop = Loop("callback_dispatcher", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        """Stop claiming, and give up tries under way: their claims run out, and they are tried again."""
        await self._loop.stop()
        for task in self._tries:
            task.cancel()
        await asyncio.gather(*self._tries, return_exceptions=True)

    async def _once(self) -> None:
        self._board.callback_due.clear()
        room = _AT_ONCE - len(self._tries)
        if room == 0:
            await self._wait(_LOOK_AGAIN)
            return
        claimed = await self._store.claim_callbacks(self._clock.now(), _LEASE, room)
        for callback in claimed:
            task = asyncio.create_task(self._try(callback))
            self._tries.add(task)
            task.add_done_callback(self._tries.discard)
        if not claimed:
            due = await self._store.next_callback()
            pause = _LOOK_AGAIN if due is None else max(due - self._clock.now(), timedelta())
            await self._wait(min(pause, _LOOK_AGAIN))

    async def _try(self, callback: Callback) -> None:
        try:
            await self._delivery.deliver(callback)
        except Exception:  # noqa: BLE001 - whatever it is, the claim runs out and the try is repeated
            _log.exception("callback.try_failed", callback_id=callback.callback_id, job_id=callback.job_id)
        finally:
            # A place is free, and a retry may be due before the next look.
            self._board.callback_due.set()

    async def _wait(self, at_most: timedelta) -> None:
        """Return when a job has just ended or a try is over, or when time is up."""
        await wait(self._board.callback_due, at_most, self._clock)
