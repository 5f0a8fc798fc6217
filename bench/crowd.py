"""
The local Discord with a crowd in it, whose sessions hear as much in a second as one likes.

`python -m bench.crowd` says where it is in one line of JSON, as `localdiscord serve` does. `POST /admin/apps/Crowd/settings`
with `{"rate": events a second}` lets the crowd talk; 0 silences it. `GET` there returns

    {"connected": sessions of users that have a connection, "identified", "resumed": how many there were so far,
     "pushed": dispatches that went to users' sessions so far, "left": those about messages that have left,
     "behind": how many seconds the crowd was late at most since it was told to talk}

Most of what a user's session hears is none of our business. Of a hundred dispatches, about

    50   are said in the guilds that accounts share, one message to all of their sessions
    15   are said by another bot in direct messages, and edited
    25   are said by the user in the channel that its account listens to, and some edited, as links are unfurled
    10   are said there by the bot about presses that its user made by hand: queued, progress, result

The jobs of our own come on top, from whoever makes them.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from bench.load import run
from bench.processes import end_with_parent
from localdiscord.apps.application import File, Interaction, JsonObject, Responder
from localdiscord.server import LocalDiscord, Settings
from localdiscord.world import models
from localdiscord.world.models import Channel, Message, User
from localdiscord.world.world import World

_TICK_SECONDS = 0.01
_SAYINGS = (
    "has anybody tried the new model with more than two subjects in the frame?",
    "ok",
    "I get the best results with a short prompt and a long negative one, but it takes a few tries until the camera does what I want",
    "https://example.com/paper-boats look at the third one",
    "lol",
    "thanks, that worked! The trick was to leave the guidance alone and change the seed only, as you said",
)
#: Message type of an answer to a command.
_ANSWER = 20
_VIDEO = File("result.mp4", "video/mp4", b"\0" * 64, 1024, 576)
_BUTTONS = [
    {
        "type": 1,
        "components": [
            {"type": 2, "style": 2, "label": label, "custom_id": f"crowd {label}"}
            for label in ("🔁 Retry", "🔀 Remix", "👍", "👎")
        ],
    }
]


class Crowd:
    """A bot that writes direct messages to every user, and makes everybody else talk, too."""

    name = "Crowd"
    commands: Sequence[JsonObject] = ()

    def __init__(self) -> None:
        self.world: World
        # Repeatable on purpose; guards nothing.
        self._chance = Random(1)
        self._talking: asyncio.Task[None] | None = None
        self._behind = 0.0
        self._seen = 0
        self._counts = {"frame_sent": 0, "identified": 0, "resumed": 0}

    async def on_interaction(self, _interaction: Interaction, _respond: Responder) -> None:
        """Say nothing: it has no commands."""

    def configure(self, changes: Mapping[str, Any]) -> None:
        if self._talking is not None:
            self._talking.cancel()
            self._talking = None
        if (rate := float(changes["rate"])) > 0:
            self._talking = asyncio.create_task(self._talk(rate))

    def settings(self) -> dict[str, Any]:
        news = self.world.ledger.since(self._seen)
        self._seen += len(news)
        for entry in news:
            if entry["event"] in self._counts:
                self._counts[entry["event"]] += 1
        sessions = [each for each in self.world.sessions.all() if not each.user.bot]
        return {
            "connected": sum(each.connection is not None for each in sessions),
            "identified": self._counts["identified"],
            "resumed": self._counts["resumed"],
            "pushed": sum(each.seq for each in sessions),
            "left": self._counts["frame_sent"],
            "behind": self._behind,
        }

    async def _talk(self, rate: float) -> None:
        """Say so much that `rate` dispatches leave in a second, on average."""
        loop = asyncio.get_running_loop()
        began, self._behind = loop.time(), 0.0
        shares = self.ways()
        heard = dict.fromkeys(shares, 0)
        for tick in itertools.count(1):
            due = began + tick * _TICK_SECONDS
            await asyncio.sleep(due - loop.time())
            self._behind = max(self._behind, loop.time() - due)
            say(shares, heard, rate * tick * _TICK_SECONDS)

    # What is said. Each returns, time after time, how many sessions heard of it.

    def ways(self) -> dict[Iterator[int], int]:
        """Return all there are, and the share of each."""
        directory = self.world.directory
        users = [user for user in directory.users.values() if not user.bot]
        guilds = [directory.channels_of(guild)[0] for guild in directory.guilds.values()]
        return {
            self._chat(guilds): 50,
            self._notify(users): 15,
            self._remark(users): 25,
            self._work(users): 10,
        }

    def _chat(self, guilds: Sequence[Channel]) -> Iterator[int]:
        while True:
            channel = self._chance.choice(guilds)
            members = self.world.directory.members_of(channel)
            author = self.world.directory.users[self._chance.choice(members)]
            self._say(author, channel)
            yield sum(len(self.world.sessions.of(each)) for each in members)

    def _notify(self, users: Sequence[User]) -> Iterator[int]:
        bot = self._bot("Crowd")
        while True:
            said = self._say(bot, self._direct(self._chance.choice(users), bot))
            yield 1
            self.world.messages.edit(said, {"content": f"{said.content} (edited)"})
            yield 1

    def _remark(self, users: Sequence[User]) -> Iterator[int]:
        bot = self._bot("Pika")
        while True:
            user = self._chance.choice(users)
            said = self._say(user, self._direct(user, bot))
            yield 1
            if "https://" in said.content:
                embed = {"title": "Paper boats", "url": "https://example.com/paper-boats"}
                self.world.messages.edit(said, {"embeds": [embed]})
                yield 1

    def _work(self, users: Sequence[User]) -> Iterator[int]:
        bot = self._bot("Pika")
        while True:
            user = self._chance.choice(users)
            channel = self._direct(user, bot)
            head = f"**Prompt:** {self._chance.choice(_SAYINGS)} - <@{user.id}>"
            said = self.world.messages.respond(
                self._by_hand(user, channel, bot),
                {"content": f"{head} (Waiting to start)"},
                type_=_ANSWER,
                reference_id=None,
            )
            yield 1
            for percent in (20, 55, 85):
                self.world.messages.edit(said, {"content": f"{head} ({percent}%)"})
                yield 1
            self.world.messages.edit(said, {"content": head, "components": _BUTTONS}, {0: _VIDEO})
            yield 1

    def _say(self, author: User, channel: Channel) -> Message:
        return self.world.messages.post(author, channel, {"content": self._chance.choice(_SAYINGS)})

    def _by_hand(self, user: User, channel: Channel, bot: User) -> models.Interaction:
        """Return a press that was made with somebody's own client: its session is none of ours, and neither is its nonce."""
        return models.Interaction(
            id=self.world.chance.snowflake(),
            type=models.COMMAND,
            token=self.world.chance.text(32),
            application_id=bot.id,
            channel_id=channel.id,
            guild_id=None,
            user_id=user.id,
            session_id="by hand",
            nonce=None,
            created=self.world.clock.now(),
            data={"name": "create"},
        )

    def _bot(self, name: str) -> User:
        return self.world.installed()[name][0].bot

    def _direct(self, user: User, bot: User) -> Channel:
        return self.world.directory.direct_channel(user.id, bot.id)[0]


def say(shares: Mapping[Iterator[int], int], heard: dict[Iterator[int], int], wanted: float) -> None:
    """Say more, each kind according to its share, until so much was heard in all."""
    while sum(heard.values()) < wanted:
        way = min(shares, key=lambda way: heard[way] / shares[way])
        heard[way] += next(way)


async def _serve() -> None:
    crowd = Crowd()
    async with LocalDiscord.start(Settings(usernames=()), applications=[crowd]) as discord:
        crowd.world = discord.world
        sys.stdout.write(json.dumps({"ready": True, "url": discord.url, "api": discord.api_url}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    end_with_parent()
    run(_serve())
