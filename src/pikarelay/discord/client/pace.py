"""A pace: one at a time, in order of arrival, and never sooner after the last than a human would be."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from pikarelay.services.ports import Clock

#: Up to this part of the interval is added at random.
JITTER: Final = 0.2


class Pace:
    """Spaces what one account does."""

    def __init__(self, interval: timedelta, *, clock: Clock, jitter: Callable[[], float]) -> None:
        self._interval = interval
        self._clock = clock
        self._jitter = jitter
        self._turn = asyncio.Lock()
        self._last: datetime | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn and hold it while inside. The lock serves in order of arrival."""
        async with self._turn:
            await self._wait()
            self._last = self._clock.now()
            yield

    async def _wait(self) -> None:
        if self._last is None:
            return
        interval = self._interval * (1 + JITTER * self._jitter())
        # No longer than the interval, also when the clock was set back.
        rest = min(self._last + interval - self._clock.now(), interval)
        if rest > timedelta():
            await self._clock.sleep(rest)
