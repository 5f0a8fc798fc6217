"""Overdue jobs end by themselves."""

from datetime import timedelta

from pikarelay.jobs.job import Status
from pikarelay.workers.lifeline import Lifeline
from tests.factories import a_running_job
from tests.fakes.clock import settle
from tests.fakes.relay import DEADLINES, FakeRelay


async def test_overdue_at_the_start_ends_at_once(relay: FakeRelay) -> None:
    """A deadline that passed while the server was down is acted on when it starts."""
    relay.store.jobs["job-1"] = a_running_job()
    await relay.clock.advance(DEADLINES.first_message)
    lifeline = Lifeline(relay.expirer, relay.clock)
    await lifeline.start()
    await settle()
    await lifeline.stop()

    assert Status.FAILED is relay.job().status


async def test_deadline_is_met_within_five_seconds(relay: FakeRelay) -> None:
    """A job fails no sooner than its deadline and no later than five seconds after it."""
    lifeline = Lifeline(relay.expirer, relay.clock)
    await lifeline.start()
    await relay.clock.advance(timedelta(seconds=3))
    sent = relay.clock.now()
    relay.store.jobs["job-1"] = a_running_job(created=sent)
    await relay.clock.advance(DEADLINES.first_message - timedelta(seconds=4))
    assert Status.CREATED is relay.job().status
    await relay.clock.advance(timedelta(seconds=9))
    await lifeline.stop()

    assert Status.FAILED is relay.job().status
    assert relay.job().updated - sent <= DEADLINES.first_message + timedelta(seconds=5)
