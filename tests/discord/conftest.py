"""A local Discord with a Pika in it, and a client that talks to it."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from localdiscord.server import LocalDiscord, Settings
from localdiscord.world.rules import Rules
from pikarelay.discord.client.accounts import DiscordAccounts
from pikarelay.jobs.secret import Secret
from tests.discord.surroundings import Listener, WallClock


@pytest.fixture
def requests() -> list[str]:
    """Every HTTP request that left, as `METHOD /path`; Gateway connections are `GET /`."""
    return []


@pytest.fixture
async def http(requests: list[str]) -> AsyncIterator[aiohttp.ClientSession]:
    async def note(_session: object, _context: object, params: aiohttp.TraceRequestStartParams) -> None:
        requests.append(f"{params.method} {params.url.path}")

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace]) as session:
        yield session


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
async def local(rules: Rules) -> AsyncIterator[LocalDiscord]:
    """A local Discord whose Pika draws small and at once. Its end says whether the client behaved."""
    async with LocalDiscord.start(Settings(seed=1, speed=0, rules=rules)) as local:
        local.admin.configure("Pika", {"video": "tiny"})
        yield local

        assert local.world.violations.total == 0, local.world.violations.report()


@pytest.fixture
def user(local: LocalDiscord) -> dict[str, Any]:
    return dict(local.admin.state()["users"][0])


@pytest.fixture
def token(user: dict[str, Any]) -> Secret:
    return Secret(user["token"])


@pytest.fixture
def channel(user: dict[str, Any]) -> str:
    return str(user["dm_channels"]["Pika"])


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def make_accounts(
    http: aiohttp.ClientSession, local: LocalDiscord, listener: Listener
) -> AsyncIterator[Callable[..., DiscordAccounts]]:
    """Make accounts with settings of one's own; all are stopped afterwards."""
    made: list[DiscordAccounts] = []

    def make(**settings: Any) -> DiscordAccounts:
        fixed: dict[str, Any] = {
            "clock": WallClock(),
            "on_sighting": listener,
            "base_url": local.api_url,
            "press_interval": timedelta(),
            "jitter": lambda: 0.05,
        }
        made.append(DiscordAccounts(http, **(fixed | settings)))
        return made[-1]

    yield make
    for accounts in made:
        await accounts.stop()


@pytest.fixture
def accounts(make_accounts: Callable[..., DiscordAccounts]) -> DiscordAccounts:
    return make_accounts()
