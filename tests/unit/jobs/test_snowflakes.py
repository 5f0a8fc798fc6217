"""Discord's ids and their times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.jobs.snowflakes import first_of, is_after

times = st.datetimes(datetime(2015, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_documented_example() -> None:
    """Discord's documentation dates 175928847299117063 at 2016-04-30 11:18:25.796 UTC (as of 2026-08)."""
    moment = datetime(2016, 4, 30, 11, 18, 25, 796_000, tzinfo=UTC)

    assert first_of(moment) == 175928847299117063 >> 22 << 22


@given(times, st.integers(1, 10**9))
def test_later_is_after(moment: datetime, milliseconds: int) -> None:
    """Ids grow with time, however many digits they have."""
    later = moment + timedelta(milliseconds=milliseconds)

    assert is_after(str(first_of(later)), str(first_of(moment)))
    assert not is_after(str(first_of(moment)), str(first_of(later)))


@pytest.mark.parametrize(
    ("one", "other"), [("5", "5"), ("x", "5"), ("5", "x"), ("", "5"), ("5", ""), ("-6", "-7")]
)
def test_no_id_is_after_nothing(one: str, other: str) -> None:
    """Equal ids are not after each other, and what is no id is after nothing."""
    assert not is_after(one, other)


def test_digits_are_compared_as_numbers() -> None:
    """A longer id is the later one, though its text sorts first."""
    assert is_after("1000000000000000000", "999999999999999999")
