"""Time as a value that can be handed in: the wall clock for people, one that moves when told for tests."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What everything in this package asks for the time, and for a pause."""

    def now(self) -> float:
        """Return seconds since the Unix epoch, with fractions."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""
        ...


class WallClock:
    """The machine's own clock, plus an offset that the admin route may move (to let links expire, say)."""

    def __init__(self) -> None:
        #: Seconds added to the machine's time; changed by `advance`.
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Move this clock forward without waiting; sleepers are not woken early."""
        self.offset += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
