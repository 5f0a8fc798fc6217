"""When a target is left alone, for how long, and what makes it good again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.jobs.breaker import (
    EXHAUSTED_TO_DISABLE,
    FAILING_TO_DISABLE,
    FAILURES_TO_PAUSE,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Health,
    after_exhaustion,
    after_failure,
    after_success,
    another_chance,
    held,
    pause_after,
)

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given its zone here
errors = st.sampled_from(["dns", "connect", "tls", "timeout", "protocol", "blocked"])
healths = st.builds(
    Health,
    failures=st.integers(0, 1000),
    pauses=st.integers(0, 1000),
    paused_until=st.none() | moments,
    failing_since=st.none() | moments,
    exhausted=st.integers(0, 1000),
    disabled=st.none() | moments,
    is_held=st.booleans(),
)


def unreached(health: Health, times: int = 1, now: datetime = NOW) -> Health:
    for _ in range(times):
        health = after_failure(health, status=None, error="connect", now=now)
    return health


def test_ten_in_a_row_pause() -> None:
    """Nine connection failures change nothing for the next try; the tenth puts it off by a minute."""
    nine = unreached(Health(), FAILURES_TO_PAUSE - 1)
    ten = unreached(nine)

    assert nine.paused_until is None
    assert not nine.is_tripped
    assert NOW + FIRST_PAUSE == ten.paused_until
    assert ten.is_tripped


def test_pauses_double_up_to_an_hour() -> None:
    """Each further failure doubles the pause: 1, 2, 4, 8, 16, 32 minutes, then an hour for ever."""
    health = unreached(Health(), FAILURES_TO_PAUSE - 1)
    pauses = []
    for _ in range(9):
        health = unreached(health)
        assert health.paused_until is not None
        pauses.append((health.paused_until - NOW) // timedelta(minutes=1))

    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == pauses


@given(st.integers(0, 10**9))
def test_pauses_have_bounds(pauses: int) -> None:
    """No pause is shorter than a minute or longer than an hour, after however many."""
    assert FIRST_PAUSE <= pause_after(pauses) <= LONGEST_PAUSE


@pytest.mark.parametrize("status", [302, 404, 410, 429, 500, 503])
def test_an_answer_breaks_the_row(status: int) -> None:
    """A target that answers anything at all is there, so the count begins anew and a pause ends."""
    health = after_failure(
        unreached(Health(), FAILURES_TO_PAUSE + 3), status=status, error=f"http_{status}", now=NOW
    )

    assert (0, 0, None) == (health.failures, health.pauses, health.paused_until)
    assert health.is_failing


@pytest.mark.parametrize("error", ["timeout", "protocol", "blocked"])
def test_others_neither_count_nor_clear(error: str) -> None:
    """What is neither an answer nor a missing listener leaves the row as it is."""
    before = unreached(Health(), 5)
    health = after_failure(before, status=None, error=error, now=NOW)

    assert before == health


@given(healths, errors, moments)
def test_failing_since_is_the_first_failure(health: Health, error: str, now: datetime) -> None:
    """A failure never moves the beginning of a row of failures."""
    after = after_failure(health, status=None, error=error, now=now)

    assert (health.failing_since or now) == after.failing_since


@given(healths)
def test_one_success_heals(health: Health) -> None:
    """After a success nothing is left of what was, but for the operator's own word."""
    after = after_success(health)

    assert health.is_held == after.is_held
    if not health.is_held:
        assert Health() == after


@given(st.lists(errors | st.sampled_from(["ok", "http_500", "given_up"]), max_size=80))
def test_disabling_needs_both(story: list[str]) -> None:
    """Whatever happens, a target is disabled only after 120 h of failures and ten callbacks given up."""
    health, now = Health(), NOW
    since, given_up = None, 0
    for happening in story:
        now += timedelta(hours=7)
        if happening == "ok":
            health, since, given_up = after_success(health), None, 0
            continue
        if happening == "given_up":
            health = after_exhaustion(after_failure(health, status=None, error="timeout", now=now), now)
            given_up += 1
        else:
            status = 500 if happening == "http_500" else None
            health = after_failure(health, status=status, error=happening, now=now)
        since = since or now
        if health.disabled is not None:
            break

    if health.disabled is not None:
        assert since is not None
        assert now - since >= FAILING_TO_DISABLE
        assert given_up >= EXHAUSTED_TO_DISABLE


def test_both_disable() -> None:
    """The tenth callback given up after 120 h of nothing but failures disables; an hour sooner it does not."""
    nine = Health(failing_since=NOW, exhausted=EXHAUSTED_TO_DISABLE - 1)

    assert after_exhaustion(nine, NOW + FAILING_TO_DISABLE - HOUR).disabled is None
    assert NOW + FAILING_TO_DISABLE == after_exhaustion(nine, NOW + FAILING_TO_DISABLE).disabled


def test_another_chance() -> None:
    """A disabled target that is given another chance is tried at once, and disabled by the next exhaustion."""
    dead = after_exhaustion(
        Health(failing_since=NOW - FAILING_TO_DISABLE, exhausted=20, pauses=9, paused_until=NOW + HOUR), NOW
    )
    again = another_chance(dead)

    assert NOW == dead.disabled
    assert (None, None) == (again.disabled, again.paused_until)
    assert NOW + HOUR == after_exhaustion(unreached(again), NOW + HOUR).disabled


def test_held_survives_success() -> None:
    """What the operator switched off stays off, even when a try that was under way succeeds."""
    assert held(NOW) == after_success(held(NOW))
