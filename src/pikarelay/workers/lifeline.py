"""Rescues jobs that nobody brings news of: reads their channels again, and ends them when their time is up."""

from datetime import timedelta

from pikarelay.services.expire_jobs import JobExpirer
from pikarelay.services.ports import Clock
from pikarelay.workers.loop import Loop

_EVERY = timedelta(seconds=5)


class Lifeline:
    """Looks for overdue jobs, for ever; the first time at once, since deadlines pass while we are down too."""

    def __init__(self, expirer: JobExpirer, clock: Clock) -> None:
        self._expirer = expirer
        self._clock = clock
        self._loop = Loop("lifeline", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _once(self) -> None:
        await self._expirer.expire()
        await self._clock.sleep(_EVERY)
