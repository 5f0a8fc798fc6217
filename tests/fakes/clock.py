"""A clock that stands still until it is told to move."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 8, 1, 12, tzinfo=UTC)


class FakeClock:
    """A `Clock`. Whoever sleeps is woken by `advance`, in the order of their times."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []
        #: Called in the very step in which the next sleeper is woken, each once.
        self.sleep_is_over: list[Callable[[], object]] = []

    def now(self) -> datetime:
        return self._now

    def elapsed(self) -> timedelta:
        return self._now - START

    async def sleep(self, delay: timedelta) -> None:
        woken = asyncio.get_running_loop().create_future()
        sleeper = (self._now + delay, woken)
        if delay <= timedelta():
            await asyncio.sleep(0)
            return
        self._sleepers.append(sleeper)
        try:
            await woken
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    @property
    def sleepers(self) -> int:
        """How many sleep now."""
        return len(self._sleepers)

    async def advance(self, by: timedelta) -> None:
        """Let the time pass, and everybody act whose time comes on the way."""
        end = self._now + by
        await settle()
        while self._sleepers and min(when for when, _ in self._sleepers) <= end:
            when, woken = min(self._sleepers, key=lambda sleeper: sleeper[0])
            self._sleepers.remove((when, woken))
            self._now = max(self._now, when)
            if not woken.done():
                woken.set_result(None)
            while self.sleep_is_over:
                self.sleep_is_over.pop()()
            await settle()
        self._now = end
        await settle()

    def stand_still(self, for_: timedelta) -> None:
        """Let the time pass for everybody but this process. Who slept is woken by the next `advance`, after whatever else."""
        self._now += for_


async def settle(rounds: int = 60) -> None:
    """
    Let all tasks that can run do so, and what they wake, and so on.

    The fakes never wait for anything real, so a task is through after a few rounds of the event loop; the number
    only has to be larger than the longest such chain.
    """
    for _ in range(rounds):
        await asyncio.sleep(0)
