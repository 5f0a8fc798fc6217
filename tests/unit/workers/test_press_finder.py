"""Presses that another server on the same file left behind are found."""

from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from pikarelay.jobs.job import PressPhase
from pikarelay.workers.press_finder import PressFinder
from tests.factories import a_job, a_press
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

SECOND = timedelta(seconds=1)


@pytest.fixture
async def finder(relay: FakeRelay) -> AsyncIterator[PressFinder]:
    finder = PressFinder(relay.store, relay.presser, relay.clock)
    await finder.start()
    await settle()
    yield finder
    await finder.stop()


def left(relay: FakeRelay, phase: PressPhase = PressPhase.WAITING) -> None:
    """Let another server admit a job, which nobody here is told of."""
    job = a_job("job-1", press=a_press(phase))
    relay.store.jobs["job-1"] = msgspec.structs.replace(job, created=relay.clock.now())


@pytest.mark.usefixtures("finder")
async def test_left_behind(relay: FakeRelay) -> None:
    """A press that waits for longer than any POST does is sent, once."""
    left(relay)
    await relay.clock.advance(15 * SECOND)

    assert [] == relay.discord.presses

    await relay.clock.advance(6 * SECOND)

    assert 1 == len(relay.discord.presses)

    await relay.clock.advance(30 * SECOND)

    assert 1 == len(relay.discord.presses)


@pytest.mark.usefixtures("finder")
async def test_left_already(relay: FakeRelay) -> None:
    """A press that has left is touched by nobody, whatever became of it."""
    left(relay, PressPhase.SENT)
    await relay.clock.advance(30 * SECOND)

    assert [] == relay.discord.presses


@pytest.mark.usefixtures("finder")
async def test_store_is_away(relay: FakeRelay) -> None:
    """A store that is away for a while is asked again."""
    left(relay)
    relay.store.unavailable.add("unfinished")
    await relay.clock.advance(20 * SECOND)

    assert [] == relay.discord.presses

    relay.store.unavailable.clear()
    await relay.clock.advance(10 * SECOND)

    assert 1 == len(relay.discord.presses)
