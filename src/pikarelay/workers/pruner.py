"""Deletes what is older than the contract promises to keep it."""

from datetime import timedelta

from pikarelay.services.clean_up import CleanUp
from pikarelay.services.ports import Clock
from pikarelay.workers.loop import Loop

_EVERY = timedelta(hours=1)


class Pruner:
    """Cleans up once an hour, the first time at once."""

    def __init__(self, clean_up: CleanUp, clock: Clock) -> None:
        self._clean_up = clean_up
        self._clock = clock
        self._loop = Loop("pruner", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _once(self) -> None:
        await self._clean_up()
        await self._clock.sleep(_EVERY)
