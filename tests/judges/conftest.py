"""A local Discord with one person, one external bot, and a guild that both are in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from localdiscord.server import LocalDiscord, Settings
from localdiscord.world.models import Application, Guild, User
from tests.judges.process import Judge, judging


@dataclass(frozen=True, slots=True)
class Bot:
    """A library that plays the bot: its environment, and its script."""

    environment: str
    script: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the judges meet."""

    discord: LocalDiscord
    person: User
    application: Application
    guild: Guild

    @property
    def guild_channel(self) -> str:
        """The id of the guild's only channel."""
        return str(self.guild.channel_ids[0])

    @asynccontextmanager
    async def judges(self, bot: Bot) -> AsyncIterator[tuple[Judge, Judge]]:
        """Run both judges, logged in: the bot, and the user."""
        async with (
            judging(bot.script, bot.environment, *self._login(self.application.bot)) as playing_bot,
            judging("discordpy_self_user", "discordpy-self", *self._login(self.person)) as playing_user,
        ):
            ready = await asyncio.gather(playing_bot.report("ready"), playing_user.report("ready"))
            expected = [(each.id, [self.guild.id]) for each in (self.application.bot, self.person)]

            assert expected == [(int(each["user"]), [int(one) for one in each["guilds"]]) for each in ready]
            yield playing_bot, playing_user

    def _login(self, user: User) -> tuple[str, str, str]:
        return self.discord.url, self.discord.gateway_url, user.token


@pytest.fixture(
    params=[Bot("discordpy", "discordpy_bot"), Bot("hikari", "hikari_bot")],
    ids=lambda bot: bot.environment,
)
def bot(request: pytest.FixtureRequest) -> Bot:
    """Each library that can play the bot."""
    playing: Bot = request.param
    return playing


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with LocalDiscord.start(Settings(pika=False, usernames=())) as discord:
        directory = discord.world.directory
        person = directory.add_user("person")
        application = directory.add_application("judged", distinct_bot_id=True)
        guild = directory.add_guild("court", [person.id, application.bot.id])
        yield Stage(discord, person, application, guild)
