"""What is counted, and under which names."""

from datetime import timedelta

import pytest

from pikarelay.services.ports import Delivery
from pikarelay.services.tally import Tally, attempt_class


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (None, "delivered"),
        ("timeout", "timeout"),
        ("http_302", "http_3xx"),
        ("http_503", "http_5xx"),
        ("http_999", "http_other"),
    ],
)
def test_classes(error: str | None, name: str) -> None:
    """A try is counted under one of a few names, whatever status its receiver made up."""
    assert name == attempt_class(error)


def test_statuses_make_no_names() -> None:
    """A thousand statuses are counted under no more names than there were before any try."""
    tally = Tally()
    names = set(tally.callback_attempts)
    for status in range(100, 1100):
        tally.callback(Delivery(error=f"http_{status}", duration=timedelta(seconds=0.5)))

    assert names == set(tally.callback_attempts) == set(tally.callback_seconds)
    assert 1000 == tally.callback_attempts.total()
    assert 500.0 == sum(tally.callback_seconds.values())
