"""What the client is surrounded by in these tests: clocks, and somebody who listens to the feed."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pikarelay.jobs.messages import BotMessage, Kind, Sighting
from pikarelay.services.ports import Identity

T = TypeVar("T")


class WallClock:
    """The real time, which may be set."""

    def __init__(self) -> None:
        #: By how much somebody has set it ahead.
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def elapsed(self) -> timedelta:
        return timedelta(seconds=time.monotonic())

    async def sleep(self, delay: timedelta) -> None:
        await asyncio.sleep(delay.total_seconds())


class JumpingClock:
    """A clock that stands still until somebody sleeps, and then jumps to the end of the pause."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 8, 1, 12, tzinfo=UTC)
        #: Seconds of every pause asked for, in order.
        self.pauses: list[float] = []

    def now(self) -> datetime:
        return self.moment

    def elapsed(self) -> timedelta:
        return self.moment - datetime(2026, 8, 1, tzinfo=UTC)

    async def sleep(self, delay: timedelta) -> None:
        self.pauses.append(delay.total_seconds())
        self.moment += delay
        await asyncio.sleep(0)

    def advance(self, delay: timedelta) -> None:
        self.moment += delay


class Listener:
    """Collects the feed, and waits for what a test expects of it."""

    def __init__(self) -> None:
        self.heard: list[tuple[Identity, Sighting]] = []
        self._news = asyncio.Condition()
        #: Raised once for the next sighting.
        self.failure: Exception | None = None

    async def __call__(self, identity: Identity, sighting: Sighting) -> None:
        async with self._news:
            self.heard.append((identity, sighting))
            self._news.notify_all()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def all(self, kind: type[T]) -> list[T]:
        return [sighting for _, sighting in self.heard if isinstance(sighting, kind)]

    async def first(self, kind: type[T], which: Callable[[T], bool] = lambda _: True) -> T:
        """Return the first sighting of that kind that fits, as soon as it is there."""

        def found() -> list[T]:
            return [sighting for sighting in self.all(kind) if which(sighting)]

        async with self._news:
            await asyncio.wait_for(self._news.wait_for(found), 15)
            return found()[0]

    async def result(self, nth: int = 1) -> BotMessage:
        """Return the `nth` message with a video."""
        async with self._news:

            def results() -> list[BotMessage]:
                seen = {m.id: m for m in self.all(BotMessage) if m.kind is Kind.RESULT}
                return list(seen.values())

            await asyncio.wait_for(self._news.wait_for(lambda: len(results()) >= nth), 15)
            return results()[nth - 1]


async def until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 -- the thing itself has no event to wait on
            await asyncio.sleep(0.005)
