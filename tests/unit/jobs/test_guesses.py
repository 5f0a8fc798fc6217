"""How many requests without a valid token an address may send."""

from datetime import timedelta

import pytest

from pikarelay.jobs.guesses import COUNTED_FOR, Guesses

START = timedelta(days=3)
SECOND = timedelta(seconds=1)


def test_limit_of_a_minute() -> None:
    """Within a minute of its first failure an address has as many as the limit says; then it is told when that ends."""
    guesses = Guesses(limit=3)
    within = [guesses.failed("192.0.2.1", START + n * SECOND) for n in range(3)]
    beyond = [guesses.failed("192.0.2.1", START + n * SECOND) for n in (3, 59)]
    after = [guesses.failed("192.0.2.1", START + COUNTED_FOR) for _ in range(4)]

    assert [None] * 3 == within
    assert [57 * SECOND, SECOND] == beyond
    assert [None, None, None, COUNTED_FOR] == after


def test_no_limit() -> None:
    """With a limit of 0 nothing is counted, and nothing remembered."""
    guesses = Guesses(limit=0)

    assert [None] * 100 == [guesses.failed("192.0.2.1", START) for _ in range(100)]
    assert 0 == len(guesses)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
        ("", "192.0.2.1", False),
        ("no address", "another", False),
    ],
)
def test_who_is_one(one: str, other: str, *, is_same: bool) -> None:
    """An IPv4 address is one, however it is spelt, and so is a whole /64 of IPv6; what has no address is one by its text."""
    guesses = Guesses(limit=1)
    guesses.failed(one, START)

    assert is_same is (guesses.failed(other, START) is not None)


def test_room_is_bounded() -> None:
    """However many addresses fail, so many are remembered, and the first counted is the first forgotten."""
    guesses = Guesses(limit=1, most_addresses=3)
    for n in range(1, 1001):
        assert guesses.failed(f"198.51.{n // 256}.{n % 256}", START + n * timedelta(milliseconds=1)) is None
    last = [guesses.failed(f"198.51.3.{n}", START + SECOND) is None for n in (232, 231, 230)]

    assert [False] * 3 == last
    assert 3 == len(guesses)
    assert guesses.failed("198.51.0.1", START + SECOND) is None
    assert 3 == len(guesses)


def test_what_has_ended_is_forgotten() -> None:
    """A count that has ended takes no room, whoever fails next."""
    guesses = Guesses(limit=1)
    for n in range(200):
        guesses.failed(f"192.0.2.{n}", START)
    guesses.failed("198.51.100.1", START + COUNTED_FOR)

    assert 1 == len(guesses)
