"""What a session shows is handed over, whatever stops and starts in between."""

import asyncio
from contextlib import suppress

import pytest

from pikarelay.discord.client import delivery
from pikarelay.discord.client.delivery import Delivery
from pikarelay.discord.wire.session import SessionState
from pikarelay.errors import Unavailable
from pikarelay.jobs.messages import InteractionAccepted, Sighting
from tests.discord.surroundings import until

FIRST, SECOND, THIRD = (InteractionAccepted(nonce=nonce, interaction_id=nonce) for nonce in "123")


def state(sequence: int) -> SessionState:
    return SessionState(user_id="1", session_id="s", sequence=sequence, resume_url="wss://x")


class Receiver:
    """Takes in what it is handed, as long as it is open."""

    def __init__(self) -> None:
        #: So often it cannot take in what it is handed.
        self.failures = 0
        self.begun: list[Sighting] = []
        self.taken: list[Sighting] = []
        self.is_open = asyncio.Event()

    async def __call__(self, sighting: Sighting) -> None:
        self.begun.append(sighting)
        await self.is_open.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable
        self.taken.append(sighting)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def under_way(receiver: Receiver) -> Delivery:
    """A delivery that hands over the first of two sightings."""
    under_way = Delivery(receiver)
    under_way.put(FIRST, state(1))
    under_way.put(SECOND, state(2))
    under_way.start()
    await until(lambda: receiver.begun)
    return under_way


async def test_a_stop_hands_over_what_was_received(under_way: Delivery, receiver: Receiver) -> None:
    """Who stops waits until all is taken in."""
    receiver.is_open.set()
    await under_way.stop()

    assert [FIRST, SECOND] == receiver.taken
    assert under_way.oldest is None


async def test_what_a_stop_leaves_is_handed_over_after_the_next_start(
    under_way: Delivery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that takes too long loses nothing: it is given the same again, then the rest, then what comes."""
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 0.0)
    await under_way.stop()
    assert under_way.oldest == (FIRST, state(1))

    under_way.start()
    under_way.put(THIRD, state(3))
    receiver.is_open.set()
    await until(lambda: under_way.oldest is None)
    await under_way.stop()

    assert [FIRST, FIRST, SECOND, THIRD] == receiver.begun
    assert [FIRST, SECOND, THIRD] == receiver.taken


async def test_a_start_waits_for_the_task_that_it_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that will not be called back is waited for: nothing is handed over beside it."""
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 0.0)
    at_once, most = 0, 0
    taken: list[Sighting] = []

    async def stubborn(sighting: Sighting) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(5):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.02)
        at_once -= 1
        taken.append(sighting)

    under_way = Delivery(stubborn)
    under_way.put(FIRST, None)
    under_way.start()
    await until(lambda: at_once)
    for _ in range(2):
        await under_way.stop()
        under_way.start()
    under_way.put(SECOND, None)
    await until(lambda: SECOND in taken)
    await under_way.stop()

    assert 1 == most
    assert under_way.oldest is None


@pytest.mark.parametrize("stops", [1, 2])
async def test_stops_at_once(under_way: Delivery, receiver: Receiver, stops: int) -> None:
    """Several who stop at the same time do not silence what starts afterwards."""
    receiver.is_open.set()
    await asyncio.gather(*(under_way.stop() for _ in range(stops)))
    under_way.start()
    under_way.put(THIRD, state(3))
    await until(lambda: THIRD in receiver.taken)
    await under_way.stop()

    assert [FIRST, SECOND, THIRD] == receiver.taken


async def test_what_cannot_be_taken_in_is_handed_over_again(
    under_way: Delivery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that cannot take in a sighting now is given it until it can, and nothing overtakes it."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE_SECONDS", 0.001)
    receiver.failures = 5
    receiver.is_open.set()
    await until(lambda: under_way.oldest is None)
    await under_way.stop()

    assert [FIRST] * 6 + [SECOND] == receiver.begun
    assert [FIRST, SECOND] == receiver.taken


async def test_a_stop_ends_the_wait_for_a_receiver(
    under_way: Delivery, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops does not wait out a pause, and what was not taken in stays the next to hand over."""
    monkeypatch.setattr(delivery, "FIRST_PAUSE_SECONDS", 3600.0)
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 3600.0)
    receiver.failures = 1
    receiver.is_open.set()
    await until(lambda: not receiver.failures)
    async with asyncio.timeout(60):
        await under_way.stop()

    assert under_way.oldest == (FIRST, state(1))
    assert [FIRST] == receiver.begun


async def test_a_stop_tries_once_more_only(under_way: Delivery, receiver: Receiver) -> None:
    """A receiver that cannot take in what is left when all stops is not asked again."""
    receiver.failures = 9
    stopping = asyncio.create_task(under_way.stop())
    await asyncio.sleep(0)
    receiver.is_open.set()
    await stopping

    assert [FIRST] == receiver.begun
    assert under_way.oldest == (FIRST, state(1))
