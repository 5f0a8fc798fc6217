"""The outbox is emptied: at once, side by side, and without spinning."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pikarelay.jobs.backoff import SCHEDULE
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.ports import Delivery
from pikarelay.workers.callback_dispatcher import CallbackDispatcher
from tests.factories import a_press, a_running_job
from tests.fakes.callbacks import FakeReceiver
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

SECOND = timedelta(seconds=1)
REFUSED = Delivery(status=500, error="http_500", duration=timedelta())


@pytest.fixture
def receiver() -> FakeReceiver:
    return FakeReceiver()


@pytest.fixture
async def dispatcher(relay: FakeRelay, receiver: FakeReceiver) -> AsyncIterator[CallbackDispatcher]:
    delivery = CallbackDelivery(relay.store, receiver, relay.board, relay.clock, SCHEDULE, lambda: 0.5)
    dispatcher = CallbackDispatcher(relay.store, delivery, relay.board, relay.clock)
    await dispatcher.start()
    await settle()
    yield dispatcher
    await dispatcher.stop()


async def end(relay: FakeRelay, job_id: str) -> None:
    relay.store.jobs[job_id] = a_running_job(
        job_id, reply_url="https://hook.example/x", press=a_press(nonce=job_id)
    )
    await relay.recorder.record(job_id, Cancelled())


def claims(relay: FakeRelay) -> int:
    return relay.store.calls["claim_callbacks"]


@pytest.mark.usefixtures("dispatcher")
async def test_ending_is_told_at_once(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """No time passes between a job's end and its callback."""
    await end(relay, "job-1")
    await settle()

    assert ["job-1"] == [callback.job_id for callback in receiver.received]
    assert "delivered" == relay.store.callbacks["job-1"].state


@pytest.mark.usefixtures("dispatcher")
async def test_idle_dispatcher_looks_every_five_seconds(relay: FakeRelay) -> None:
    """With nothing due the store is asked every five seconds, not all the time."""
    before = claims(relay)
    await settle(500)
    assert before == claims(relay)
    await relay.clock.advance(5 * SECOND)
    await settle(500)

    assert before + 1 == claims(relay)


@pytest.mark.usefixtures("dispatcher")
async def test_no_spin_after_a_delivery(relay: FakeRelay) -> None:
    """A delivery is followed by a look or two, and then by quiet."""
    before = claims(relay)
    await end(relay, "job-1")
    await settle(500)
    quiet = claims(relay)
    await settle(500)

    assert quiet == claims(relay)
    assert quiet - before <= 4


@pytest.mark.usefixtures("dispatcher")
async def test_retry_is_made_when_it_is_due(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A failed try is repeated at its time, and not a moment sooner."""
    receiver.answers.extend([REFUSED, REFUSED])
    await end(relay, "job-1")
    await relay.clock.advance(SCHEDULE[1] - timedelta(milliseconds=1))
    assert [1] == [callback.attempt for callback in receiver.received]
    await relay.clock.advance(timedelta(milliseconds=1))
    assert [1, 2] == [callback.attempt for callback in receiver.received]
    await relay.clock.advance(SCHEDULE[2])

    assert [1, 2, 3] == [callback.attempt for callback in receiver.received]
    assert "delivered" == relay.store.callbacks["job-1"].state


@pytest.mark.usefixtures("dispatcher")
async def test_sixty_four_at_once(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """Slow receivers hold up sixty-four tries, no more; the rest follow as places become free."""
    receiver.stick()
    for number in range(70):
        await end(relay, f"job-{number}")
    await settle(500)
    assert 64 == receiver.at_once
    receiver.unstick()
    await settle(500)

    assert 70 == len(receiver.received)
    assert 64 == receiver.most_at_once
    assert {"delivered"} == {kept.state for kept in relay.store.callbacks.values()}


@pytest.mark.usefixtures("dispatcher")
async def test_full_dispatcher_does_not_spin(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """With all places taken the store is not asked."""
    receiver.stick()
    for number in range(64):
        await end(relay, f"job-{number}")
    await settle(500)
    full = claims(relay)
    await settle(500)

    assert full == claims(relay)
    receiver.unstick()


@pytest.mark.usefixtures("dispatcher")
async def test_try_with_a_defect_is_repeated(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A try that ends in an exception is tried again when its claim has run out."""
    receiver.answers.append(RuntimeError("defect"))
    await end(relay, "job-1")
    await relay.clock.advance(119 * SECOND)
    assert 1 == len(receiver.received)
    await relay.clock.advance(SECOND)

    assert 2 == len(receiver.received)
    assert "delivered" == relay.store.callbacks["job-1"].state


async def test_stop_gives_up_tries_under_way(
    relay: FakeRelay, receiver: FakeReceiver, dispatcher: CallbackDispatcher
) -> None:
    """A stop does not wait for slow receivers; their callbacks stay due for the next process."""
    receiver.stick()
    await end(relay, "job-1")
    await settle()
    await dispatcher.stop()

    assert 0 == receiver.at_once
    assert relay.clock.now() + 120 * SECOND == await relay.store.next_callback()


@pytest.mark.usefixtures("dispatcher")
async def test_other_processes_callbacks_are_found(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A callback that became due elsewhere, without waking this process, is found within five seconds."""
    await end(relay, "job-1")
    relay.board.callback_due.clear()
    await relay.clock.advance(5 * SECOND)

    assert 1 == len(receiver.received)
