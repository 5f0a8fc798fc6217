"""Channels are read again by themselves."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pikarelay.jobs.job import PressPhase, Status
from pikarelay.jobs.reconciliation import SILENCE
from pikarelay.workers.reconciler import Reconciler
from tests.factories import a_job, a_message, a_result, a_running_job
from tests.fakes.relay import FakeRelay

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


async def test_nothing_is_kept_of_idle_channels(relay: FakeRelay) -> None:
    """A channel whose jobs have ended is forgotten."""
    relay.store.jobs["job-1"] = a_running_job()
    await relay.clock.advance(timedelta(seconds=20))
    assert 1 == len(relay.history.readings)
    relay.store.jobs["job-1"] = a_running_job(status=Status.FAILED)
    await relay.clock.advance(timedelta(seconds=20))

    assert {} == dict(relay.history.readings)
