"""One try of one callback."""

import asyncio
from datetime import timedelta

import pytest

from pikarelay.jobs.backoff import SCHEDULE
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.ports import Callback, Delivery
from tests.factories import a_running_job
from tests.fakes.callbacks import FakeReceiver
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

LEASE = timedelta(seconds=120)
REFUSED = Delivery(status=500, error="http_500", duration=timedelta(milliseconds=12.4), address="192.0.2.1")
GONE = Delivery(status=410, error="http_410", duration=timedelta())


@pytest.fixture
def receiver() -> FakeReceiver:
    return FakeReceiver()


@pytest.fixture
def delivery(relay: FakeRelay, receiver: FakeReceiver) -> CallbackDelivery:
    return CallbackDelivery(relay.store, receiver, relay.board, relay.clock, SCHEDULE, lambda: 0.5)


async def due(relay: FakeRelay) -> Callback:
    if "job-1" not in relay.store.jobs:
        relay.store.jobs["job-1"] = a_running_job(reply_url="https://hook.example/x")
        await relay.recorder.record("job-1", Cancelled())
    (callback,) = await relay.store.claim_callbacks(relay.clock.now(), LEASE, 10)
    return callback


async def test_taken(relay: FakeRelay, receiver: FakeReceiver, delivery: CallbackDelivery) -> None:
    """What the receiver took is done, and logged."""
    callback = await due(relay)
    await delivery.deliver(callback)

    assert [callback] == receiver.received
    assert ("delivered", None) == (relay.store.callbacks["job-1"].state, await relay.store.next_callback())
    assert [(1, 200, None)] == [(a.attempt, a.status, a.error) for a in await relay.store.attempts("job-1")]


async def test_refused_is_retried_with_the_same_bytes(
    relay: FakeRelay, receiver: FakeReceiver, delivery: CallbackDelivery
) -> None:
    """A failed try is logged and due again by the schedule, with the same id and the same bytes."""
    receiver.answers.append(REFUSED)
    await delivery.deliver(await due(relay))

    assert relay.clock.now() + SCHEDULE[1] == await relay.store.next_callback()
    await relay.clock.advance(SCHEDULE[1])
    await delivery.deliver(await due(relay))
    assert [1, 2] == [c.attempt for c in receiver.received]
    assert 1 == len({(c.callback_id, c.body, c.url) for c in receiver.received})
    first = (await relay.store.attempts("job-1"))[0]
    assert (500, "http_500", 12, "192.0.2.1") == (
        first.status,
        first.error,
        first.duration_ms,
        first.address,
    )


async def test_gone_is_given_up(relay: FakeRelay, receiver: FakeReceiver, delivery: CallbackDelivery) -> None:
    """A receiver that is gone is not tried again."""
    receiver.answers.append(GONE)
    await delivery.deliver(await due(relay))

    assert ("dead", None) == (relay.store.callbacks["job-1"].state, await relay.store.next_callback())


async def test_never_before_the_answer(
    relay: FakeRelay, receiver: FakeReceiver, delivery: CallbackDelivery
) -> None:
    """Nothing is sent while the POST of the job has not been answered."""
    callback = await due(relay)
    with relay.board.refusable(relay.job()):
        pass
    trying = asyncio.ensure_future(delivery.deliver(callback))
    await relay.clock.advance(timedelta(seconds=30))

    assert [] == receiver.received
    relay.board.close_answer("job-1")
    await settle()
    assert trying.done()
    assert 1 == len(receiver.received)
