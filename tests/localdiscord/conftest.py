from collections.abc import AsyncIterator

import aiohttp
import pytest

from localdiscord.server import LocalDiscord, Settings
from localdiscord.world.rules import Rules
from tests.localdiscord.client import Client
from tests.localdiscord.parrot import Parrot

#: Short where tests would wait; IDENTIFY's pace has tests of its own.
RULES = Rules(callback_deadline=0.3, identify_interval=0.0, resume_window=5.0)


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
async def discord(parrot: Parrot) -> AsyncIterator[LocalDiscord]:
    async with LocalDiscord.start(Settings(pika=False, rules=RULES), applications=[parrot]) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def user(discord: LocalDiscord, http: aiohttp.ClientSession) -> Client:
    made = discord.admin.create_user("ada")
    client = Client(http, discord.url, made["token"])
    client.id, client.channel = made["id"], made["dm_channels"]["Parrot"]
    return client


@pytest.fixture
def bot(discord: LocalDiscord, http: aiohttp.ClientSession) -> Client:
    made = discord.admin.create_application("Robot")
    client = Client(http, discord.url, made["token"], bot=True)
    client.id, client.application_id = made["bot_id"], made["id"]
    return client
