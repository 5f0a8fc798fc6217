from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.discord.wire.serverclock import ServerClock

NOW = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)


def header(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0), usegmt=True)


@given(
    st.floats(-5000, 5000),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.001, 0.5)), min_size=1, max_size=20),
)
def test_the_estimate_is_near(offset: float, answers: list[tuple[float, float]]) -> None:
    """However far the clocks are apart, the estimate is off by no more than half a second and half a round trip."""
    clock = ServerClock()
    for after, trip in answers:
        sent = NOW + timedelta(seconds=after)
        there = sent + timedelta(seconds=trip / 2 + offset)
        clock.learn(header(there), sent, sent + timedelta(seconds=trip))

    assert clock.offset.total_seconds() == pytest.approx(offset, abs=0.76)


def test_answers_narrow_it() -> None:
    """An answer just before and one just after a full second leave little to guess."""
    clock = ServerClock()
    for milliseconds in (990, 1010):
        sent = NOW + timedelta(milliseconds=milliseconds)
        clock.learn(header(sent), sent, sent)

    assert abs(clock.offset) <= timedelta(milliseconds=11)


def test_a_clock_that_was_set_is_believed() -> None:
    """An answer that contradicts all before it starts anew."""
    clock = ServerClock()
    clock.learn(header(NOW), NOW, NOW)
    clock.learn(header(NOW + timedelta(hours=1)), NOW, NOW)

    assert clock.offset == timedelta(hours=1, seconds=0.5)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026 12:00:00 GMT"])
def test_no_date_teaches_nothing(date: str | None) -> None:
    """Without a usable header the clocks are taken to agree."""
    clock = ServerClock()
    clock.learn(date, NOW, NOW)

    assert clock.offset == timedelta()
