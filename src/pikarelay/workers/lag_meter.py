"""Measures how late the event loop is: what everything in this process waits for."""

import asyncio
import time
from collections import deque

from pikarelay.workers.loop import Loop

_EVERY_SECONDS = 0.25
#: How many measurements are looked back on: a minute.
_KEPT = 240


class LagMeter:
    """Asks to be woken four times a second, and notes how late that came."""

    def __init__(self) -> None:
        self._late: deque[float] = deque([0.0], maxlen=_KEPT)
        self._loop = Loop("lag meter", self._once)

    @property
    def worst(self) -> float:
        """The longest delay of the last minute, in seconds."""
        return max(self._late)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _once(self) -> None:
        due = time.monotonic() + _EVERY_SECONDS
        await asyncio.sleep(_EVERY_SECONDS)
        self._late.append(max(0.0, time.monotonic() - due))
