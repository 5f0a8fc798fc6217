"""Keys are replaced while everything goes on, and whoever is there finishes what was begun."""

import asyncio
from datetime import timedelta

from pikarelay.services.ports import KeyFacts, KeyStore
from pikarelay.services.rotate_keys import LEARN_EVERY, LEARNED_BY, KeyRotation, Pass
from tests.fakes.clock import START, FakeClock, settle
from tests.fakes.keys import FakeKeys

PORTS: tuple[type[KeyStore], ...] = (FakeKeys,)


async def test_rotate() -> None:
    """A rotation goes through all secrets twice: the second time for those who had not heard of the key yet."""
    keys, clock = FakeKeys(25), FakeClock()
    begun: list[KeyFacts] = []
    told: list[Pass] = []
    rotation = asyncio.create_task(KeyRotation(keys, clock).rotate(begun.append, told.append))
    await settle()
    assert [2] == [key.number for key in begun]

    await clock.advance(LEARN_EVERY)
    assert {2} == set(keys.sealed_by)
    # A server that has not looked yet.
    keys.sealed_by += [1]
    assert keys.all[-1].finished is None
    await clock.advance(LEARNED_BY)

    assert Pass(looked_at=26, resealed=1, left=0) == await rotation
    assert {2} == set(keys.sealed_by)
    assert keys.all[-1].finished is not None
    assert [10, 20, 25, 10, 20, 26] == [so_far.looked_at for so_far in told]


async def catch_up(rotation: KeyRotation, clock: FakeClock) -> Pass | None:
    task = asyncio.create_task(rotation.catch_up())
    await clock.advance(timedelta(seconds=1))
    return await task


async def test_nothing_to_catch_up_with() -> None:
    """With its first key, or with one that has replaced all others before the start, a server looks at no secret."""
    keys, clock = FakeKeys(25), FakeClock()
    await catch_up(KeyRotation(keys, clock), clock)
    await keys.rotate(START)
    await keys.finish(2, START)
    rotation = KeyRotation(keys, clock)

    assert [None, None] == [await catch_up(rotation, clock) for _ in range(2)]
    assert 0 == keys.passes


async def test_goes_on_with_what_was_begun() -> None:
    """A server that finds a rotation unfinished finishes it, once."""
    keys, clock = FakeKeys(25), FakeClock()
    await keys.rotate(START)
    rotation = KeyRotation(keys, clock)

    assert Pass(looked_at=25, resealed=25, left=0) == await catch_up(rotation, clock)
    assert keys.all[-1].finished is not None
    assert await catch_up(rotation, clock) is None
    assert 1 == keys.passes


async def test_key_of_another_process() -> None:
    """A server that hears of a new key seals by it what it has sealed until then, even where the other one is through."""
    keys, clock = FakeKeys(25), FakeClock()
    rotation = KeyRotation(keys, clock)
    await catch_up(rotation, clock)
    keys.all.append(KeyFacts(number=2, root_fingerprint="root", created=START, finished=START))

    assert Pass(looked_at=25, resealed=25, left=0) == await catch_up(rotation, clock)
    assert await catch_up(rotation, clock) is None


async def test_key_that_cannot_be_opened() -> None:
    """A key that hangs on a root key which this process does not have is nothing to it."""
    keys, clock = FakeKeys(25), FakeClock()
    keys.openable = 1
    rotation = KeyRotation(keys, clock)
    keys.all.append(KeyFacts(number=2, root_fingerprint="another", created=START))

    assert await catch_up(rotation, clock) is None
    assert (None, 0) == (keys.all[-1].finished, keys.passes)
