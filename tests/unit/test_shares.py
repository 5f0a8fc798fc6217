"""How a server's descriptors are shared out."""

import msgspec
import pytest

from pikarelay.bootstrap.shares import Shares


@pytest.mark.parametrize("allowed", [64, 100, 256, 1024, 4096, 11_023])
def test_nobody_has_all(allowed: int) -> None:
    """However few there are, every part has some, and together they leave enough for what has no share."""
    shares = Shares.of(allowed, 10_000)

    assert min(msgspec.structs.astuple(shares)) >= 1
    assert shares.tries >= 2
    assert allowed - sum(msgspec.structs.astuple(shares)) >= 40


def test_enough_for_all() -> None:
    """Where there are enough, callers have as many connections as were asked for, and no part more than it can use."""
    enough = Shares.of(11_024, 10_000)

    assert 10_000 == enough.connections
    assert enough == Shares.of(1_000_000, 10_000)
    assert 50 == Shares.of(1_000_000, 50).connections


@pytest.mark.parametrize("allowed", [0, 31, 33])
def test_too_few(allowed: int) -> None:
    """Too few for a server are no reason not to begin: it is tried."""
    assert (1, 1, 1, 2) == msgspec.structs.astuple(Shares.of(allowed, 10_000))
