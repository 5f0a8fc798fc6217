"""When a failed callback is tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.jobs.backoff import (
    AFTER_TIMEOUT,
    LONGEST_HINT,
    LONGEST_STEP,
    SCHEDULE,
    SHORTEST_STEP,
    Failure,
    GiveUp,
    after_attempt,
)

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
MIDDLE = 0.5

REFUSED = Failure(error="connect")

steps = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000))
failures = st.builds(
    Failure,
    status=st.none() | st.integers(100, 599).filter(lambda status: status != 410),
    error=st.sampled_from(["dns", "blocked", "connect", "tls", "timeout", "protocol", "http_500"]),
    retry_after=st.none() | st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=100)),
)
jitters = st.floats(0, 1)


def wait(failure: Failure, attempt: int = 1, jitter: float = MIDDLE) -> timedelta:
    retry_at = after_attempt(attempt, failure, SCHEDULE, jitter, NOW)
    assert isinstance(retry_at, datetime)
    return retry_at - NOW


def test_without_jitter_the_schedule_is_kept() -> None:
    """In the middle of its spread, the wait before each try is the schedule's own."""
    waits = [wait(REFUSED, attempt) for attempt in range(1, len(SCHEDULE))]

    assert list(SCHEDULE[1:]) == waits


def test_default_schedule_lasts_three_days() -> None:
    """The ten tries span 75 hours and 35 minutes."""
    assert len(SCHEDULE) == 10
    assert timedelta(hours=75, minutes=35, seconds=5) == sum(SCHEDULE, timedelta(0))


@pytest.mark.parametrize(("jitter", "share"), [(0.0, 0.8), (1.0, 1.2)])
def test_jitter_moves_a_step_by_a_fifth(jitter: float, share: float) -> None:
    """The ends of the random number are the ends of the spread."""
    assert SCHEDULE[3] * share == wait(REFUSED, 3, jitter)


def test_timeout_waits_five_minutes_at_least() -> None:
    """A receiver that was too slow is not asked again while it may still be at work."""
    assert wait(Failure(error="timeout")) == AFTER_TIMEOUT
    assert SCHEDULE[4] == wait(Failure(error="timeout"), 4)


def test_hint_stretches_a_step() -> None:
    """A receiver that asks for more time gets it."""
    asked = timedelta(minutes=7)

    assert asked == wait(Failure(status=429, error="http_429", retry_after=asked))


def test_hint_never_shortens_a_step() -> None:
    """A receiver cannot ask to be called more often."""
    asked = Failure(status=503, error="http_503", retry_after=timedelta(0))

    assert SCHEDULE[5] == wait(asked, 5)


def test_gone_ends_at_the_first_word() -> None:
    """410 is an answer, not a failure to wait out."""
    gone = Failure(status=410, error="http_410", retry_after=timedelta(seconds=1))

    assert after_attempt(1, gone, SCHEDULE, MIDDLE, NOW) == GiveUp.GONE


def test_last_try_is_the_last() -> None:
    """After as many tries as the schedule has entries there is no other."""
    assert after_attempt(len(SCHEDULE), REFUSED, SCHEDULE, MIDDLE, NOW) == GiveUp.EXHAUSTED
    assert after_attempt(1, REFUSED, (timedelta(0),), MIDDLE, NOW) == GiveUp.EXHAUSTED
    assert after_attempt(10_000, REFUSED, SCHEDULE, MIDDLE, NOW) == GiveUp.EXHAUSTED


def test_blocked_is_looked_at_once_a_step() -> None:
    """A closed address keeps to the schedule: no storm, and no end before the others'."""
    assert SCHEDULE[1] == wait(Failure(error="blocked"))
    assert SCHEDULE[9] == wait(Failure(error="blocked"), 9)


@given(st.lists(steps, max_size=12), st.integers(1, 15), failures, jitters)
def test_every_wait_is_bounded(
    schedule: list[timedelta], attempt: int, failure: Failure, jitter: float
) -> None:
    """No schedule, failure, hint or chance yields a wait that is negative, none, or without end."""
    result = after_attempt(attempt, failure, schedule, jitter, NOW)

    if attempt >= len(schedule):
        assert result == GiveUp.EXHAUSTED
    else:
        assert isinstance(result, datetime)
        assert NOW + SHORTEST_STEP <= result <= NOW + max(LONGEST_STEP, LONGEST_HINT)


@given(steps, failures, jitters)
def test_no_failure_comes_sooner_than_a_refused_connection(
    step: timedelta, failure: Failure, jitter: float
) -> None:
    """What is known of a failure can only put the next try off."""
    plain = after_attempt(1, REFUSED, (timedelta(0), step), jitter, NOW)
    known = after_attempt(1, failure, (timedelta(0), step), jitter, NOW)

    assert isinstance(plain, datetime)
    assert isinstance(known, datetime)
    assert plain <= known
