"""The Gateway's address is asked for in good order, however many accounts want it."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pikarelay.discord.client.gateway_address import LONGEST_PAUSE_SECONDS, GatewayAddress
from pikarelay.discord.client.transport import Transport
from pikarelay.discord.wire.ratelimit import CLOUDFLARE_SECONDS
from pikarelay.errors import DiscordUnavailable
from tests.discord.odd_discord import Answer, OddDiscord, as_json, plain
from tests.discord.surroundings import JumpingClock

URL = "wss://gateway.example.org"
FOUND = as_json(200, {"url": URL})


@pytest.fixture
async def odd() -> AsyncIterator[OddDiscord]:
    async with OddDiscord.start() as odd:
        odd.answer = FOUND
        yield odd


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def transport(odd: OddDiscord, http: aiohttp.ClientSession, clock: JumpingClock) -> Transport:
    return Transport(http, odd.url, now=clock.now, steady=clock.now)


@pytest.fixture
def address(transport: Transport, clock: JumpingClock) -> GatewayAddress:
    return GatewayAddress(transport, clock=clock, jitter=lambda: 1.0)


async def test_it_is_asked_for_once(address: GatewayAddress, odd: OddDiscord, clock: JumpingClock) -> None:
    """Many who want it at once, and later, get one answer of Discord's, without a wait."""
    found = await asyncio.gather(*(address.find() for _ in range(20)))

    assert {URL} == {*found, await address.find()}
    assert 1 == len(odd.seen)
    assert [] == clock.pauses


async def test_a_limit_is_waited_for(address: GatewayAddress, odd: OddDiscord, clock: JumpingClock) -> None:
    """Who wants it after a 429 waits as long as that asks for, and so do all others with them."""
    odd.answer = plain(429, '{"retry_after": 40}', Via="1.1 odd")
    with pytest.raises(DiscordUnavailable, match="429"):
        await address.find()
    began, odd.answer = clock.now(), FOUND
    await asyncio.gather(*(address.find() for _ in range(20)))

    assert 40 <= (clock.now() - began).total_seconds() < 45
    assert 2 == len(odd.seen)


async def test_a_ban_stops_everything(address: GatewayAddress, odd: OddDiscord, transport: Transport) -> None:
    """A 429 that is not Discord's own bans our address, from which nobody sends anything until it is over."""
    odd.answer = plain(429, "error code: 1015")
    with pytest.raises(DiscordUnavailable, match="429"):
        await address.find()
    with pytest.raises(DiscordUnavailable, match=f"stopped for {CLOUDFLARE_SECONDS:.0f} s"):
        transport.check_address()
    odd.answer = FOUND

    assert await address.find() == URL
    assert 2 == len(odd.seen)


async def test_a_shared_limit_is_not_held_against_us(
    address: GatewayAddress, odd: OddDiscord, transport: Transport, clock: JumpingClock
) -> None:
    """Who else uses up a limit does not bring our address nearer to a ban."""
    headers = {"Via": "1.1 odd", "X-RateLimit-Scope": "shared"}
    odd.answer = plain(429, '{"retry_after": 1}', **headers)
    with pytest.raises(DiscordUnavailable):
        await address.find()

    assert 0 == transport.address.count(clock.now().timestamp())


@pytest.mark.parametrize("answer", [plain(503), plain(200, "<html>"), plain(403)])
async def test_failures_are_spread(
    address: GatewayAddress, odd: OddDiscord, clock: JumpingClock, answer: Answer
) -> None:
    """However many try again, Discord is asked once in some seconds."""
    odd.answer = answer
    results = await asyncio.gather(*(address.find() for _ in range(9)), return_exceptions=True)

    assert {DiscordUnavailable} == {type(result) for result in results}
    assert [1, 2, 4, *[LONGEST_PAUSE_SECONDS] * 5] == clock.pauses
    assert 9 == len(odd.seen)


async def test_who_gives_up_waiting_holds_up_nobody(address: GatewayAddress, odd: OddDiscord) -> None:
    """The others go on when the one who asks is cancelled."""
    asked = asyncio.Event()

    async def hang(_: object) -> None:
        asked.set()
        await odd.released.wait()

    odd.answer = hang  # type: ignore[assignment]
    first, second = (asyncio.create_task(address.find()) for _ in range(2))
    await asyncio.wait_for(asked.wait(), 15)
    odd.answer = FOUND
    first.cancel()

    assert await second == URL
