"""What is counted, and under which names."""

from datetime import timedelta

import pytest

from pikarelay.services.ports import Delivery
from pikarelay.services.tally import Durations, Tally, attempt_class


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


def test_requests_to_discord() -> None:
    """A request is counted by what it asks for, under no id, and by what it took, a bound included."""
    tally = Tally()
    names = set(tally.discord_requests)
    for path in ("/interactions", "/channels/118/messages", "/channels/118", "/channels/119"):
        tally.discord_request(path, timedelta(seconds=0.1))
    tally.discord_request("/interactions", timedelta(seconds=0.11))
    tally.discord_request("/interactions", timedelta(seconds=15.1))
    presses = tally.discord_requests["interactions"]

    assert names == set(tally.discord_requests)
    assert [1, 1, 0, 0, 0, 0, 0, 1] == presses.counts
    assert len(presses.counts) == len(Durations.BOUNDS) + 1
    assert 15.31 == pytest.approx(presses.seconds)
    assert 1 == sum(tally.discord_requests["messages"].counts)
    assert 2 == sum(tally.discord_requests["other"].counts)
