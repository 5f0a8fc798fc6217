"""A server takes up new keys by itself."""

from datetime import timedelta

from pikarelay.services.ports import KeyFacts
from pikarelay.services.rotate_keys import KeyRotation
from pikarelay.workers.key_keeper import KeyKeeper
from tests.fakes.clock import START, FakeClock
from tests.fakes.keys import FakeKeys


async def test_looks_every_few_seconds() -> None:
    """A rotation that was left unfinished goes on at the start, and another process's key is noticed within seconds."""
    keys, clock = FakeKeys(3), FakeClock()
    await keys.rotate(START)
    keeper = KeyKeeper(KeyRotation(keys, clock), clock)
    await keeper.start()
    await clock.advance(timedelta(seconds=1))
    assert {2} == set(keys.sealed_by)

    keys.all.append(KeyFacts(number=3, root_fingerprint="root", created=START))
    await clock.advance(timedelta(seconds=6))
    await keeper.stop()

    assert {3} == set(keys.sealed_by)
    assert keys.all[-1].finished is not None
