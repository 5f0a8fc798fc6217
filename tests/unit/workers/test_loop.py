"""Loops start, stop, and survive a bad round."""

import asyncio
from datetime import datetime, timedelta

import pytest

from pikarelay.services.waiting import wait
from pikarelay.workers.loop import Loop
from tests.fakes.clock import FakeClock, settle

SECOND = timedelta(seconds=1)


async def test_rounds_follow_each_other() -> None:
    """A loop does one round after the other until it is stopped."""
    clock = FakeClock()
    rounds: list[datetime] = []

    async def once() -> None:
        rounds.append(clock.now())
        await clock.sleep(SECOND)

    loop = Loop("test", once)
    await loop.start()
    await clock.advance(3 * SECOND)
    await loop.stop()
    await clock.advance(3 * SECOND)

    assert 4 == len(rounds)
    assert 0 == clock.sleepers


async def test_bad_round_is_not_the_last() -> None:
    """An exception ends a round, not the loop."""
    done = asyncio.Event()
    rounds: list[int] = []

    async def once() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 1:
            raise RuntimeError("defect")
        done.set()
        await asyncio.Event().wait()

    loop = Loop("test", once, pause_after_error=0)
    await loop.start()
    await asyncio.wait_for(done.wait(), 5)
    await loop.stop()

    assert [0, 1] == rounds


async def test_stop_is_harmless_at_any_time() -> None:
    """A loop that was not started, or was stopped, can be stopped."""
    loop = Loop("test", asyncio.Event().wait)  # type: ignore[arg-type] # what it returns does not matter
    await loop.stop()
    await loop.start()
    await loop.stop()
    await loop.stop()


async def test_wait_ends_with_the_event_or_the_time() -> None:
    """A wait returns with whichever comes first, and leaves nothing behind."""
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.ensure_future(wait(event, SECOND, clock))
    await clock.advance(SECOND)
    assert waiting.done()
    assert not event.is_set()
    waiting = asyncio.ensure_future(wait(event, SECOND, clock))
    await settle()
    event.set()
    await settle()

    assert waiting.done()
    assert 0 == clock.sleepers


async def test_wait_that_is_over_does_not_set_the_event() -> None:
    """The timer of a wait that ended by its event does not end the next wait."""
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.ensure_future(wait(event, SECOND, clock))
    await settle()
    event.set()
    await waiting
    event.clear()
    await settle()
    await clock.advance(2 * SECOND)

    assert not event.is_set()


async def test_cancelled_wait_leaves_no_sleeper() -> None:
    """Who stops waiting leaves no timer running."""
    clock = FakeClock()
    waiting = asyncio.ensure_future(wait(asyncio.Event(), SECOND, clock))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await settle()

    assert 0 == clock.sleepers
