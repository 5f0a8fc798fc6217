"""Reading a receiver's hint."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.callbacks.retry_after import LONGEST, parse_retry_after

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(seconds=120)),
        (" 00120 ", timedelta(seconds=120)),
        ("1000000000000", LONGEST),
        ("9" * 5000, LONGEST),
        ("Sat, 01 Aug 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Saturday, 01-Aug-26 12:05:00 GMT", timedelta(minutes=5)),
        ("Sat, 01 Aug 2026 12:05:00 -0000", timedelta(minutes=5)),
        ("Wed, 01 Aug 2035 12:00:00 GMT", LONGEST),
        ("Fri, 31 Jul 2026 12:00:00 GMT", timedelta(0)),
    ],
)
def test_both_forms_are_read_within_bounds(text: str, wait: timedelta) -> None:
    """Seconds and dates are waits from none to ten hours; the past is none."""
    assert wait == parse_retry_after(text, NOW)


@pytest.mark.parametrize(
    "text",
    [None, "", "-5", "+5", "1.5", "soon", "NaN", "٣", "0x10", "Sat, 99 Aug 2026 12:05:00 GMT", "1 2"],
)
def test_nonsense_is_no_hint(text: str | None) -> None:
    """Whatever is neither form counts as not sent."""
    assert parse_retry_after(text, NOW) is None


@given(st.text(max_size=40))
def test_no_text_makes_it_raise(text: str) -> None:
    """Any text gives a bounded wait or none."""
    wait = parse_retry_after(text, NOW)

    assert wait is None or timedelta(0) <= wait <= LONGEST
