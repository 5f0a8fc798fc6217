"""The outbox is emptied: at once, side by side, and without spinning."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import timedelta

import pytest

from pikarelay.errors import Unavailable
from pikarelay.jobs.backoff import SCHEDULE
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.services.answers_elsewhere import OverlappingAnswers
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.ports import Delivery
from pikarelay.workers.callback_dispatcher import (
    FAILING_AT_ONCE,
    FRESH_AT_ONCE,
    GRACE,
    LEASE,
    CallbackDispatcher,
)
from tests.factories import a_press, a_running_job
from tests.fakes.callbacks import FakeReceiver
from tests.fakes.clock import settle
from tests.fakes.relay import ANSWER_WAIT, FakeRelay

SECOND = timedelta(seconds=1)
REFUSED = Delivery(status=500, error="http_500", duration=timedelta())


@pytest.fixture
def receiver() -> FakeReceiver:
    return FakeReceiver()


@pytest.fixture
async def dispatcher(relay: FakeRelay, receiver: FakeReceiver) -> AsyncIterator[CallbackDispatcher]:
    dispatcher = make_dispatcher(relay, receiver)
    await dispatcher.start()
    await settle()
    yield dispatcher
    stopping = asyncio.ensure_future(dispatcher.stop())
    await relay.clock.advance(GRACE)
    await stopping


def make_dispatcher(relay: FakeRelay, receiver: FakeReceiver) -> CallbackDispatcher:
    delivery = CallbackDelivery(
        relay.store, receiver, relay.answers, relay.board.tally, relay.clock, SCHEDULE, lambda: 0.5
    )
    return CallbackDispatcher(relay.store, delivery, relay.board, relay.clock)


async def end(relay: FakeRelay, job_id: str, host: str = "hook.example") -> None:
    relay.store.jobs[job_id] = a_running_job(
        job_id, reply_url=f"https://{host}/x", press=a_press(nonce=job_id)
    )
    await relay.recorder.record(job_id, Cancelled())


def told(receiver: FakeReceiver, host: str) -> list[str]:
    """Return the jobs that a host was told of, tries counted each."""
    return [callback.job_id for callback in receiver.received if f"//{host}/" in callback.url]


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
async def test_targets_side_by_side(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """Slow receivers hold up their places, no more; the rest follow as places become free."""
    receiver.stick()
    for number in range(FRESH_AT_ONCE + 8):
        await end(relay, f"job-{number}", f"h{number}.example")
    await settle(1000)
    assert FRESH_AT_ONCE == receiver.at_once
    receiver.unstick()
    await settle(1000)

    assert FRESH_AT_ONCE + 8 == len(receiver.received)
    assert FRESH_AT_ONCE == receiver.most_at_once
    assert {"delivered"} == {kept.state for kept in relay.store.callbacks.values()}


@pytest.mark.usefixtures("dispatcher")
async def test_one_try_a_target(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A receiver is never sent two callbacks at once, and gets all of them without a pause."""
    for number in range(20):
        await end(relay, f"job-{number}")
    await settle(1000)

    assert 1 == receiver.most_at_one_host
    assert [f"job-{number}" for number in range(20)] == sorted(
        told(receiver, "hook.example"), key=lambda job_id: int(job_id[4:])
    )


@pytest.mark.usefixtures("dispatcher")
async def test_a_hundred_that_hold_delay_nobody(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """While a hundred receivers hold each try for a minute and then fail, a healthy one hears of each job at once."""
    timed_out = Delivery(error="timeout", duration=timedelta(seconds=60))
    for number in range(100):
        host = f"dead{number}.example"
        receiver.holds[host] = lambda: relay.clock.sleep(timedelta(seconds=60))
        receiver.refusals[host] = timed_out
        for job in range(3):
            await end(relay, f"dead-{number}-{job}", host)
    late = []
    for number in range(20):
        await relay.clock.advance(timedelta(seconds=31))
        before = relay.clock.now()
        await end(relay, f"job-{number}", "healthy.example")
        await settle(200)
        late += [job for job in [f"job-{number}"] if job not in told(receiver, "healthy.example")]
        assert before == relay.clock.now()

    assert [] == late
    assert 20 == len(told(receiver, "healthy.example"))
    assert 1 == receiver.most_at_one_host
    assert all(told(receiver, f"dead{number}.example") for number in range(100))


@pytest.mark.usefixtures("dispatcher")
async def test_failing_targets_have_few_places(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """Targets whose last try failed share a smaller number of places."""
    for number in range(FAILING_AT_ONCE + 20):
        receiver.refusals[f"h{number}.example"] = REFUSED
        await end(relay, f"job-{number}", f"h{number}.example")
    await settle(1000)
    receiver.stick()
    await relay.clock.advance(SCHEDULE[1])
    await settle(500)

    assert FAILING_AT_ONCE == receiver.at_once
    receiver.unstick()
    await settle(1000)
    assert 2 * (FAILING_AT_ONCE + 20) == len(receiver.received)


@pytest.mark.usefixtures("dispatcher")
async def test_dead_target_is_asked_once_a_pause(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """
    A hundred callbacks to a host that is down for hours cost ten tries and then one a pause, and all are delivered,
    each once, within the hour that it is back.
    """
    receiver.refusals["down.example"] = Delivery(error="connect", duration=timedelta())
    for number in range(100):
        await end(relay, f"job-{number}", "down.example")
    await relay.clock.advance(timedelta(hours=6))
    asked = len(receiver.received)
    del receiver.refusals["down.example"]
    await relay.clock.advance(timedelta(hours=1))
    await settle(2000)

    assert 10 + 6 <= asked <= 10 + 6 + 6
    assert {"delivered"} == {kept.state for kept in relay.store.callbacks.values()}
    assert 100 + asked == len(receiver.received)


@pytest.mark.usefixtures("dispatcher")
async def test_full_dispatcher_does_not_spin(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """With all places taken the store is hardly asked."""
    receiver.stick()
    for number in range(FRESH_AT_ONCE + 1):
        await end(relay, f"job-{number}", f"h{number}.example")
    await settle(1000)
    full = claims(relay)
    await settle(500)

    assert full == claims(relay)
    receiver.unstick()


@pytest.mark.usefixtures("dispatcher")
async def test_try_with_a_defect_is_repeated(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A try that ends in an exception is tried again when its claim has run out."""
    receiver.answers.append(RuntimeError("defect"))
    await end(relay, "job-1")
    await relay.clock.advance(LEASE - SECOND)
    assert 1 == len(receiver.received)
    await relay.clock.advance(SECOND)

    assert 2 == len(receiver.received)
    assert "delivered" == relay.store.callbacks["job-1"].state


@pytest.mark.usefixtures("dispatcher")
async def test_a_slow_receiver_is_not_asked_twice(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A try that goes on for longer than a claim lasts keeps its claim."""
    receiver.stick()
    await end(relay, "job-1")
    await relay.clock.advance(4 * LEASE)
    await settle()

    assert 1 == len(receiver.received)
    receiver.unstick()
    await settle()
    assert "delivered" == relay.store.callbacks["job-1"].state


@pytest.mark.usefixtures("dispatcher")
async def test_a_process_that_stood_still_keeps_its_claims(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A process that was stopped for longer than a claim lasts does not take its own tries for a dead one's."""
    receiver.stick()
    await end(relay, "job-1")
    await settle()
    relay.clock.stand_still(2 * LEASE)
    relay.board.callback_due.set()
    await settle()

    assert 1 == len(receiver.received)
    receiver.unstick()
    await settle()
    assert "delivered" == relay.store.callbacks["job-1"].state


async def somebody_claims(relay: FakeRelay) -> None:
    (_callback,) = await relay.store.claim_callbacks(relay.clock.now(), 4 * LEASE, 1, 1)


async def tries(relay: FakeRelay) -> list[tuple[int, str | None]]:
    return [(its.attempt, its.error) for its in await relay.store.attempts("job-1")]


@pytest.mark.usefixtures("dispatcher")
async def test_nothing_is_sent_without_the_claim(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A process that stood still before it sent a callback sends nothing once another one has claimed it."""
    relay.store.jobs["job-1"] = a_running_job(reply_url="https://hook.example/x")
    with relay.board.refusable(relay.job()):
        pass
    await relay.recorder.record("job-1", Cancelled())
    await settle()
    relay.clock.stand_still(2 * LEASE)
    await somebody_claims(relay)
    relay.board.close_answer("job-1")
    await settle()

    assert ([], 1) == (receiver.received, relay.store.calls["renew_claim"])


@pytest.mark.usefixtures("dispatcher")
async def test_new_claim_is_not_asked_about(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """What is sent at once costs no second look at its claim."""
    await end(relay, "job-1")
    await settle()

    assert (1, 0) == (len(receiver.received), relay.store.calls["renew_claim"])


@pytest.mark.usefixtures("dispatcher")
async def test_sending_stops_with_the_claim(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A process that stood still while it sent hangs up once another has claimed the callback, and its try is in the log."""
    receiver.stick()
    await end(relay, "job-1")
    await settle()
    relay.clock.stand_still(2 * LEASE)
    await somebody_claims(relay)
    await relay.clock.advance(SECOND)

    assert (1, 0) == (len(receiver.received), receiver.at_once)
    assert [(1, "interrupted")] == await tries(relay)
    assert ("waiting", 2) == (
        relay.store.callbacks["job-1"].state,
        relay.store.callbacks["job-1"].callback.attempt,
    )


@pytest.mark.usefixtures("dispatcher")
async def test_sending_stops_before_the_claim_runs_out(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """Whoever cannot renew a claim hangs up before it ends, notes the try when it can, and tries anew without counting it."""
    receiver.stick()
    await end(relay, "job-1")
    await settle()
    relay.store.unavailable = {"renew_claim", "finish_callback"}
    await relay.clock.advance(LEASE - 2 * SECOND)
    under_way = receiver.at_once
    await relay.clock.advance(SECOND)
    given_up = receiver.at_once
    receiver.unstick()
    relay.store.unavailable = set()
    await relay.clock.advance(LEASE)

    assert (1, 0) == (under_way, given_up)
    assert [(1, "interrupted"), (2, None)] == await tries(relay)
    assert [0, 0] == [callback.tries for callback in receiver.received]


@pytest.mark.usefixtures("dispatcher")
async def test_delivery_that_cannot_be_noted_is_not_repeated(
    relay: FakeRelay, receiver: FakeReceiver
) -> None:
    """What a receiver took while nothing could be written is noted when it can be, and is not sent again meanwhile."""
    relay.store.unavailable = {"finish_callback", "renew_claim"}
    await end(relay, "job-1")
    await relay.clock.advance(2 * LEASE)
    relay.store.unavailable = {"renew_claim"}
    relay.board.callback_due.set()
    await settle()
    while_it_fails = len(receiver.received)
    relay.store.unavailable = set()
    await relay.clock.advance(2 * LEASE)

    assert (1, 1) == (while_it_fails, len(receiver.received))
    assert "delivered" == relay.store.callbacks["job-1"].state


@pytest.mark.usefixtures("dispatcher")
async def test_other_processes_callbacks_are_found(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A callback that became due elsewhere, without waking this process, is found within five seconds."""
    await end(relay, "job-1")
    relay.board.callback_due.clear()
    await relay.clock.advance(5 * SECOND)

    assert 1 == len(receiver.received)


async def test_stop_waits_for_tries(
    relay: FakeRelay, receiver: FakeReceiver, dispatcher: CallbackDispatcher
) -> None:
    """A try under way comes to its end before a stop does, and its outcome is kept."""
    receiver.stick()
    await end(relay, "job-1")
    await settle()
    stopping = asyncio.ensure_future(dispatcher.stop())
    await relay.clock.advance(9 * SECOND)
    assert not stopping.done()
    receiver.unstick()
    await settle()

    assert stopping.done()
    assert "delivered" == relay.store.callbacks["job-1"].state


async def test_stop_gives_back(
    relay: FakeRelay, receiver: FakeReceiver, dispatcher: CallbackDispatcher
) -> None:
    """After ten seconds a try is given up, and its callback can be claimed at once, with the id that it has."""
    receiver.stick()
    await end(relay, "job-1")
    await settle()
    stopping = asyncio.ensure_future(dispatcher.stop())
    await relay.clock.advance(10 * SECOND)
    assert stopping.done()
    (again,) = await relay.store.claim_callbacks(relay.clock.now(), LEASE, 1, 1)

    assert receiver.received[0].callback_id == again.callback_id
    assert receiver.received[0].body == again.body
    assert 0 == receiver.at_once


@pytest.mark.parametrize("is_own", [False, True])
async def test_stop_waits_for_no_other_server(
    relay: FakeRelay, receiver: FakeReceiver, *, is_own: bool
) -> None:
    """What waits for an answer that another server owes is given back at once; for one of our own, a stop waits."""
    relay.answers = OverlappingAnswers(relay.store, relay.board, relay.clock, ANSWER_WAIT, None)
    dispatcher = make_dispatcher(relay, receiver)
    await dispatcher.start()
    with relay.board.refusable(a_running_job("job-1")) if is_own else nullcontext():
        await end(relay, "job-1")
        await settle()
        stopping = asyncio.ensure_future(dispatcher.stop())
        await settle()
        has_ended = stopping.done()
    relay.board.close_answer("job-1")
    await settle()
    again = await relay.store.claim_callbacks(relay.clock.now(), LEASE, 1, 1)

    assert stopping.done()
    assert has_ended is not is_own
    assert ["job-1"][not is_own :] == [callback.job_id for callback in receiver.received]
    assert ["job-1"][is_own:] == [callback.job_id for callback in again]


async def test_stopped_dispatcher_claims_nothing(
    relay: FakeRelay, receiver: FakeReceiver, dispatcher: CallbackDispatcher
) -> None:
    """What becomes due during a stop is left to the next process."""
    receiver.stick()
    await end(relay, "job-1", host="one.example")
    await settle()
    stopping = asyncio.ensure_future(dispatcher.stop())
    await settle()
    await end(relay, "job-2", host="two.example")
    receiver.unstick()
    await settle()
    await stopping

    assert ["job-1"] == [callback.job_id for callback in receiver.received]
    assert "waiting" == relay.store.callbacks["job-2"].state


@pytest.mark.usefixtures("dispatcher")
async def test_want_of_our_own_is_no_failure(relay: FakeRelay, receiver: FakeReceiver) -> None:
    """A callback that could not be sent for want of descriptors is sent when its claim is over, and no try is held against it."""
    receiver.answers.append(Unavailable())
    await end(relay, "job-1")
    assert "waiting" == relay.store.callbacks["job-1"].state
    await relay.clock.advance(LEASE + 5 * SECOND)

    assert [(1, 0), (2, 0)] == [(callback.attempt, callback.tries) for callback in receiver.received]
    assert "delivered" == relay.store.callbacks["job-1"].state
