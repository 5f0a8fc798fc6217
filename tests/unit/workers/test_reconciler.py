"""Channels are read again by themselves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pikarelay.jobs.job import PressPhase, Status
from pikarelay.jobs.reconciliation import SILENCE
from pikarelay.workers.reconciler import Reconciler
from tests.factories import CHANNEL, a_job, a_message, a_result, a_running_job
from tests.fakes.relay import FakeRelay

OTHER = "1180000000000000002"

pytestmark = pytest.mark.usefixtures("reconciler")


@pytest.fixture
async def reconciler(relay: FakeRelay) -> AsyncIterator[Reconciler]:
    reconciler = Reconciler(relay.store, relay.view, relay.history, relay.clock, lambda: 0.5)
    await reconciler.start()
    yield reconciler
    await reconciler.stop()


async def test_lost_message_is_found(relay: FakeRelay) -> None:
    """What the Gateway lost about a press is found in the history soon after the silence is noticed."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.messages[a_result().id] = a_result()
    await relay.clock.advance(SILENCE - timedelta(seconds=1))
    assert [] == relay.discord.histories_read
    await relay.clock.advance(timedelta(seconds=6))

    assert Status.COMPLETED is relay.job().status


async def test_ghost_is_looked_for_beside_a_job(relay: FakeRelay) -> None:
    """What the Gateway lost about a press that was given up is found, too, when a job waits that could be mistaken for it."""
    relay.store.jobs["g"] = a_running_job("g", status=Status.CANCELLED)
    relay.discord.messages[a_message().id] = a_message()
    await relay.clock.advance(SILENCE + timedelta(seconds=6))
    assert [] == relay.discord.histories_read
    relay.store.jobs["job-1"] = a_job()
    await relay.clock.advance(timedelta(seconds=6))

    assert PressPhase.BOUND is relay.job("g").press.phase


async def test_reading_is_bounded(relay: FakeRelay) -> None:
    """Ten jobs that run for five minutes on one channel cost it one reading a minute."""
    for number in range(10):
        job_id = f"job-{number}"
        relay.store.jobs[job_id] = a_running_job(job_id, press=PressPhase.BOUND, prompt=job_id)
    await relay.clock.advance(timedelta(minutes=5))

    assert 4 <= len(relay.discord.histories_read) <= 5


async def test_slow_channel_holds_up_no_other(relay: FakeRelay) -> None:
    """While one channel's history takes for ever, the others are read when they are due, again and again."""
    relay.store.jobs["slow"] = a_running_job("slow", channel=OTHER)
    relay.store.jobs["job-1"] = a_running_job(press=PressPhase.BOUND)
    begun: list[str] = []

    async def read(channel: str) -> None:
        begun.append(channel)
        if channel == OTHER:
            await asyncio.Event().wait()

    relay.discord.reading = read
    await relay.clock.advance(timedelta(minutes=5))

    assert 1 == begun.count(OTHER)
    assert 4 <= begun.count(CHANNEL) <= 5


async def test_few_channels_are_read_at_once(relay: FakeRelay) -> None:
    """However many channels are due, a reading whose job's time is up has room beside them."""
    for number in range(20):
        relay.store.jobs[f"job-{number}"] = a_running_job(f"job-{number}", channel=f"{number + 1}")
    begun: list[str] = []

    async def read(channel: str) -> None:
        begun.append(channel)
        if channel != CHANNEL:
            await asyncio.Event().wait()

    relay.discord.reading = read
    await relay.clock.advance(timedelta(minutes=1))
    assert 8 == len(begun)
    late = a_running_job("late")

    assert frozenset() == await relay.history.catch_up([late])


async def test_reading_that_fails_is_not_the_last(relay: FakeRelay) -> None:
    """A store that is out of order during a reading ends that reading, and no other."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.messages[a_result().id] = a_result()
    relay.store.unavailable = {"sightings"}
    await relay.clock.advance(timedelta(seconds=25))
    assert 1 == len(relay.discord.histories_read)
    relay.store.unavailable = set()
    await relay.clock.advance(timedelta(seconds=20))

    assert Status.COMPLETED is relay.job().status


async def test_nothing_is_kept_of_idle_channels(relay: FakeRelay) -> None:
    """A channel whose jobs have ended is forgotten."""
    relay.store.jobs["job-1"] = a_running_job()
    await relay.clock.advance(timedelta(seconds=20))
    assert 1 == len(relay.history.readings)
    relay.store.jobs["job-1"] = a_running_job(status=Status.FAILED)
    await relay.clock.advance(timedelta(seconds=20))

    assert {} == dict(relay.history.readings)
