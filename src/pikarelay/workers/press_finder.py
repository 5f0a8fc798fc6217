"""
Finds presses that another server on the same file admitted, and left waiting as it ended.

While one server takes over from another, both admit jobs, and each knows only of its own. What the older one has not pressed when it
ends, or is killed, nobody else has heard of. That no press is sent twice, `pikarelay.services.send_press` sees to.
"""

from datetime import timedelta

from pikarelay.errors import Unavailable
from pikarelay.jobs.job import PressPhase
from pikarelay.services.ports import Clock, Store
from pikarelay.services.submit_job import PressQueue
from pikarelay.workers.loop import Loop

_LOOK_EVERY = timedelta(seconds=5)
#: Longer than a POST waits: until then its own server may still answer it with what Discord says to the press.
_LEFT_AFTER = timedelta(seconds=15)


class PressFinder:
    """Asks the store every few seconds. Those that this server has queued already are queued once."""

    def __init__(self, store: Store, presses: PressQueue, clock: Clock) -> None:
        self._store = store
        self._presses = presses
        self._clock = clock
        self._loop = Loop("press_finder", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _once(self) -> None:
        await self._clock.sleep(_LOOK_EVERY)
        try:
            unfinished = await self._store.unfinished()
        except Unavailable:
            return
        before = self._clock.now() - _LEFT_AFTER
        for job in unfinished:
            if job.press.phase is PressPhase.WAITING and job.created < before:
                self._presses.put(job)
