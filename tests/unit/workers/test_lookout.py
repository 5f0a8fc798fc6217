"""POSTs that wait in a process that ends hear of what its successor does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pikarelay.jobs.job import Job, Status
from pikarelay.workers.lookout import Lookout
from tests.factories import a_running_job
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay


@pytest.fixture
async def lookout(relay: FakeRelay) -> AsyncIterator[Lookout]:
    """Start a lookout beside one job that is not announced yet."""
    relay.store.jobs["job-1"] = a_running_job()
    lookout = Lookout(relay.store, relay.board, relay.clock)
    await lookout.start()
    yield lookout
    await lookout.stop()


async def waiting_post(relay: FakeRelay) -> Job:
    """Wait as a POST does until the job is announced."""
    with relay.board.refusable(relay.job()) as watch:
        return await watch.until(
            lambda job: job.status is not Status.CREATED, timedelta(seconds=10), relay.clock
        )


async def test_waiting_post_hears_of_the_successor(relay: FakeRelay, lookout: Lookout) -> None:
    """Once the process ends, a POST is woken by what another process has written; before, nobody looks."""
    post = asyncio.ensure_future(waiting_post(relay))
    await settle()
    relay.store.jobs["job-1"] = a_running_job(status=Status.COMPLETED, content="by another")
    await relay.clock.advance(timedelta(seconds=5))
    before = post.done()
    lookout.begin()
    await settle()

    assert not before
    assert "by another" == post.result().content


async def test_it_looks_again(relay: FakeRelay, lookout: Lookout) -> None:
    """What happens after the first look is seen within a second."""
    lookout.begin()
    post = asyncio.ensure_future(waiting_post(relay))
    await settle()
    relay.store.jobs["job-1"] = a_running_job(status=Status.STARTED, content="queued")
    await relay.clock.advance(timedelta(seconds=1))

    assert "queued" == post.result().content


async def test_job_that_was_withdrawn(relay: FakeRelay, lookout: Lookout) -> None:
    """A job that is gone tells its POST nothing: who withdrew it does."""
    lookout.begin()
    post = asyncio.ensure_future(waiting_post(relay))
    await settle()
    del relay.store.jobs["job-1"]
    await relay.clock.advance(timedelta(seconds=1))

    assert not post.done()
    post.cancel()
