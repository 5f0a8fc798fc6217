"""One try of one callback."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from pikarelay.jobs.backoff import SCHEDULE
from pikarelay.jobs.breaker import Health
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.jobs.secret import Secret, Unreadable
from pikarelay.services.deliver_callback import CallbackDelivery, outcome_of
from pikarelay.services.ports import Callback, CallbackOutcome, CallbackSecret, Delivery
from tests.factories import a_running_job
from tests.fakes.callbacks import HELD, FakeReceiver
from tests.fakes.clock import START, settle
from tests.fakes.relay import FakeRelay

LEASE = timedelta(seconds=120)
DAY = timedelta(days=1)
FRESH = Health()
REFUSED = Delivery(status=500, error="http_500", duration=timedelta(milliseconds=12.4), address="192.0.2.1")
GONE = Delivery(status=410, error="http_410", duration=timedelta())


@pytest.fixture
def receiver() -> FakeReceiver:
    return FakeReceiver()


@pytest.fixture
def delivery(relay: FakeRelay, receiver: FakeReceiver) -> CallbackDelivery:
    return CallbackDelivery(
        relay.store, receiver, relay.answers, relay.board.tally, relay.clock, SCHEDULE, lambda: 0.5
    )


async def due(relay: FakeRelay) -> Callback:
    if "job-1" not in relay.store.jobs:
        relay.store.jobs["job-1"] = a_running_job(reply_url="https://hook.example/x")
        await relay.recorder.record("job-1", Cancelled())
    (callback,) = await relay.store.claim_callbacks(relay.clock.now(), LEASE, 10, 10)
    return callback


async def test_taken(relay: FakeRelay, receiver: FakeReceiver, delivery: CallbackDelivery) -> None:
    """What the receiver took is done, and logged."""
    callback = await due(relay)
    await delivery.deliver(callback, HELD)

    assert [callback] == receiver.received
    assert ("delivered", None) == (relay.store.callbacks["job-1"].state, await relay.store.next_callback())
    assert [(1, 200, None)] == [(a.attempt, a.status, a.error) for a in await relay.store.attempts("job-1")]


async def test_refused_is_retried_with_the_same_bytes(
    relay: FakeRelay, receiver: FakeReceiver, delivery: CallbackDelivery
) -> None:
    """A failed try is logged and due again by the schedule, with the same id and the same bytes."""
    receiver.answers.append(REFUSED)
    await delivery.deliver(await due(relay), HELD)

    assert relay.clock.now() + SCHEDULE[1] == await relay.store.next_callback()
    await relay.clock.advance(SCHEDULE[1])
    await delivery.deliver(await due(relay), HELD)
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
    await delivery.deliver(await due(relay), HELD)

    assert ("dead", None) == (relay.store.callbacks["job-1"].state, await relay.store.next_callback())


async def test_never_before_the_answer(
    relay: FakeRelay, receiver: FakeReceiver, delivery: CallbackDelivery
) -> None:
    """Nothing is sent while the POST of the job has not been answered."""
    callback = await due(relay)
    with relay.board.refusable(relay.job()):
        pass
    trying = asyncio.ensure_future(delivery.deliver(callback, HELD))
    await relay.clock.advance(timedelta(seconds=30))

    assert [] == receiver.received
    relay.board.close_answer("job-1")
    await settle()
    assert trying.done()
    assert 1 == len(receiver.received)


def tried(error: str, status: int | None = None) -> Delivery:
    return Delivery(status=status, error=error, duration=timedelta())


def outcome(delivery: Delivery, health: Health = FRESH, **its: Any) -> CallbackOutcome:
    callback = Callback(
        **{"callback_id": "cb", "job_id": "j", "url": "", "body": b"", "attempt": 1, "created": START, **its}
    )
    return outcome_of(callback, delivery, health, SCHEDULE, 0.5, START)


PAUSED = Health(failures=10, pauses=3, paused_until=START, failing_since=START - DAY)


def test_paused_target_costs_no_tries() -> None:
    """The one try after a pause is not counted, and its callback is the next one again."""
    after = outcome(tried("connect"), PAUSED, tries=9)

    assert (False, START, False) == (after.is_counted, after.retry_at, after.given_up)
    assert START + timedelta(minutes=8) == after.health.paused_until


def test_the_tenth_failure_is_counted() -> None:
    """The try that trips the breaker belongs to its callback's schedule like those before it."""
    after = outcome(tried("connect"), Health(failures=9, failing_since=START), tries=1)

    assert after.is_counted
    assert START + SCHEDULE[2] == after.retry_at


def test_answer_after_a_pause_is_counted() -> None:
    """Once somebody answers, if only to refuse, the schedule goes on."""
    after = outcome(tried("http_500", 500), PAUSED, tries=1)

    assert (True, START + SCHEDULE[2]) == (after.is_counted, after.retry_at)
    assert not after.health.is_tripped


def test_week_is_the_end() -> None:
    """A callback that has waited for a week, its tries unused, is given up with the next failure."""
    after = outcome(tried("connect"), PAUSED, begun=START - timedelta(days=7, seconds=1))

    assert after.given_up
    assert 1 == after.health.exhausted


def test_replay_begins_anew() -> None:
    """What counts is when the schedule began, not when the job ended."""
    after = outcome(tried("http_500", 500), created=START - timedelta(days=20), begun=START)

    assert START + SCHEDULE[1] == after.retry_at


def test_gone_is_no_exhaustion() -> None:
    """A receiver that says it is gone ends its callback, which says nothing against its target."""
    after = outcome(tried("http_410", 410))

    assert after.given_up
    assert 0 == after.health.exhausted


@pytest.mark.parametrize("error", ["connect", "timeout", "http_500", "blocked"])
def test_last_try(error: str) -> None:
    """After the last try of the schedule a callback is given up, whatever the failure was."""
    after = outcome(tried(error, 500 if error == "http_500" else None), tries=len(SCHEDULE) - 1)

    assert after.given_up
    assert 1 == after.health.exhausted


async def test_signed_with_the_callers_secrets(
    relay: FakeRelay, receiver: FakeReceiver, delivery: CallbackDelivery
) -> None:
    """Each try is signed with what is in use at that moment."""
    relay.store.secrets = [
        CallbackSecret(
            secret_id=text,
            caller_id=its,
            secret=Secret(text),
            created=START,
            expires=START + timedelta(seconds=seconds) if seconds else None,
        )
        for text, its, seconds in (("new", "caller-1", 0), ("old", "caller-1", 1), ("other", "caller-2", 0))
    ]
    receiver.answers.append(REFUSED)
    await delivery.deliver(await due(relay), HELD)
    await relay.clock.advance(SCHEDULE[1])
    await delivery.deliver(await due(relay), HELD)

    assert [{"new", "old"}, {"new"}] == [{s.reveal() for s in secrets} for secrets in receiver.secrets]


@pytest.mark.parametrize(("readable", "sent"), [(0, False), (1, True)])
async def test_never_unsigned_for_want_of_a_key(
    relay: FakeRelay, receiver: FakeReceiver, delivery: CallbackDelivery, readable: int, sent: bool
) -> None:
    """Where no secret of the caller can be read, nothing is sent, and the target is not to blame; one that can signs."""
    callback = await due(relay)
    secrets = [Secret("whsec_" + "a" * 44)] * readable + [Unreadable("here")]
    relay.store.secrets += [
        CallbackSecret(secret_id=f"{n}", caller_id="caller-1", secret=secret, created=START)
        for n, secret in enumerate(secrets)
    ]
    await delivery.deliver(callback, HELD)

    assert sent == bool(receiver.received)
    if not sent:
        assert ["secret_unreadable"] == [a.error for a in await relay.store.attempts("job-1")]
        assert [Health()] == [target.health for target in await relay.store.targets(10)]
        assert await relay.store.next_callback() is not None
