"""The simulated Pika behind the whole local Discord, seen through the eyes of a user on a third-party library."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localdiscord.server import LocalDiscord, Settings
from tests.judges.process import Judge, judging

pytestmark = pytest.mark.judge


@asynccontextmanager
async def user_of(discord: LocalDiscord) -> AsyncIterator[tuple[Judge, str, str]]:
    """Log a new user in; gives the judge, the user's mention, and the channel shared with Pika."""
    person = discord.admin.create_user("person")
    login = discord.url, discord.gateway_url, person["token"]
    async with judging("discordpy_self_user", "discordpy-self", *login) as user:
        await user.report("ready")
        yield user, f"<@{person['id']}>", person["dm_channels"]["Pika"]


def pika_of(discord: LocalDiscord) -> Any:
    """Return the bot itself, to configure it."""
    return discord.world.installed()["Pika"][1]


@pytest.mark.parametrize(
    ("behaviour", "event"),
    [
        ("plain", "message"),
        ("respond", "message"),
        ("edit_in_place", "edit"),
        ("reply", "message"),
        ("delete_queued", "message"),
    ],
)
async def test_every_way_to_a_video(behaviour: str, event: str) -> None:
    """Whatever the manner, the user sees a video with both buttons, and another one after Retry."""
    async with (
        LocalDiscord.start(Settings(speed=0.1, behaviour=behaviour, usernames=())) as discord,
        user_of(discord) as (user, mention, channel),
    ):
        pika_of(discord).configure({"video": "tiny"})
        said = f"{mention} Prompt: waves  Image: 1 Attachment  Author: {mention})"
        await user.order("command", channel=channel, prompt="waves", image="a picture")
        first = await user.report(event, content=said)
        await user.order("press", channel=channel, message=first["message"], label="Retry")
        second = await user.report(event, content=said)
        videos = [
            await user.order("read", channel=channel, message=each["message"]) for each in (first, second)
        ]
        results = discord.world.ledger.of("result")

        assert first["buttons"] == ["Retry", "Remix"]
        assert [first["message"], second["message"]] == [each["message_id"] for each in results]
        assert [video[4:8] for video in videos] == ["ftyp", "ftyp"]
        assert videos[0] != videos[1]
        assert user.logged() == []
    assert discord.world.violations.report()["by_kind"] == {}


async def test_remix() -> None:
    """Remix opens a form that holds the prompt; the form sent back makes a video of the new one."""
    async with (
        LocalDiscord.start(Settings(speed=0, usernames=())) as discord,
        user_of(discord) as (user, mention, channel),
    ):
        pika_of(discord).configure({"video": "tiny"})
        await user.order("command", channel=channel, prompt="waves")
        first = await user.report("message", content=f"{mention} Prompt: waves  Author: {mention})")
        await user.order("press", channel=channel, message=first["message"], label="Remix")
        form = await user.report("modal", title="Remix", value="waves")
        await user.order("submit", modal=form["modal"], answer="dunes")
        second = await user.report("message", content=f"{mention} Prompt: dunes  Author: {mention})")

        assert second["buttons"] == ["Retry", "Remix"]
