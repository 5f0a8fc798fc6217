"""A Discord and a quick bot for every test."""

import pytest

from localdiscord.apps.application import Application
from localdiscord.apps.pika import Pika
from tests.localdiscord.pika.fakes import FakeDiscord


@pytest.fixture
def discord() -> FakeDiscord:
    return FakeDiscord()


@pytest.fixture
def pika(discord: FakeDiscord) -> Pika:
    bot = Pika(clock=discord.clock, seed=7, speed=10)
    bot.configure({"video": "stamped"})
    # The type checker's proof that the bot fits the seam.
    _: Application = bot
    return bot
