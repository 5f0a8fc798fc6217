"""Counting is done every few seconds at most, however many ask."""

import asyncio
from datetime import datetime, timedelta

import pytest

from pikarelay.errors import Unavailable
from pikarelay.services.ports import Condition, Figures
from pikarelay.services.watch_figures import FiguresWatch
from tests.fakes.clock import FakeClock, settle

NONE = Figures(jobs={}, presses_waiting=0, callbacks={}, targets={}, oldest_due=None)


class Counting:
    """A store that counts, and how it does."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.asked = 0
        self.found: Figures | Exception = NONE
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.now = 0.0

    async def probe(self) -> Condition:
        raise NotImplementedError

    async def figures(self, now: datetime) -> Figures:
        self.asked += 1
        await self.may_answer.wait()
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def watch(self) -> FiguresWatch:
        return FiguresWatch(self, self.clock, lambda: self.now)


@pytest.fixture
async def store() -> Counting:
    return Counting()


async def test_one_count_for_all(store: Counting) -> None:
    """A hundred scrapes in five seconds cost one count, and the next one after that another."""
    watch = store.watch()
    for _ in range(100):
        await watch.counted()

    assert 1 == store.asked
    store.now = 5.0
    await watch.counted()

    assert 2 == store.asked


async def test_how_long_due(store: Counting) -> None:
    """The age of the oldest due callback is counted from when it was due; one that is due later has none."""
    for due, age in ((store.clock.now() - timedelta(minutes=6), 360), (store.clock.now() + timedelta(1), 0)):
        store.found = Figures(jobs={}, presses_waiting=0, callbacks={}, targets={}, oldest_due=due)
        counted = await store.watch().counted()

        assert counted is not None
        assert timedelta(seconds=age) == counted.oldest_due


async def test_store_that_cannot_say(store: Counting) -> None:
    """Nothing is said for a store that is out of order: what it said before would pass for news."""
    watch = store.watch()
    await watch.counted()
    store.now, store.found = 5.0, Unavailable()

    assert await watch.counted() is None


async def test_stuck_count_is_not_repeated(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a count is stuck, nothing is said and no second one is begun; its end is taken by the next look."""
    monkeypatch.setattr("pikarelay.services.watch_figures._PATIENCE_SECONDS", 0.01)
    watch = store.watch()
    store.may_answer.clear()

    assert await watch.counted() is None
    store.now = 5.0
    assert await watch.counted() is None
    assert 1 == store.asked
    store.may_answer.set()
    await settle()
    store.now = 10.0

    assert await watch.counted() is not None
    assert 1 == store.asked
