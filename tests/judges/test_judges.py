"""
Unmodified third-party libraries drive the local Discord: it is good enough for them, or these tests fail.

Each test has a bot on one library and a user on another, in processes of their own, and asserts on what they
report. See `scripts` for what each judge does with an order.
"""

import pytest

from localdiscord.faults.model import Cut, Fault, InvalidSession, Match, RateLimit, Reconnect, Silence
from tests.judges.conftest import Bot, Stage
from tests.judges.process import Judge

pytestmark = pytest.mark.judge


async def place_of(kind: str, stage: Stage, user: Judge) -> str:
    """Return the id of the channel to meet in."""
    if kind == "guild":
        return stage.guild_channel
    channel = await user.order("open", user=str(stage.application.bot.id))
    assert isinstance(channel, str)
    return channel


@pytest.mark.parametrize("kind", ["guild", "direct"])
async def test_a_video_is_made_and_made_again(stage: Stage, bot: Bot, kind: str) -> None:
    """From login to history: messages, a command with a file, a deferred edit, a press, a follow-up with a file."""
    async with stage.judges(bot) as (pika, user):
        channel = await place_of(kind, stage, user)
        assert await pika.order("register") == ["create"]
        await they_talk(stage, channel, pika, user)
        made = await they_run_the_command(stage, channel, pika, user)
        await they_press_the_button(stage, channel, pika, user, made)
        await they_read_the_history(channel, pika, user)

        assert pika.logged() + user.logged() == []
    assert stage.discord.world.violations.report()["by_kind"] == {}


async def they_talk(stage: Stage, channel: str, pika: Judge, user: Judge) -> None:
    """Plain messages reach the other side, and their own author."""
    for speaker, listener, author in (
        (user, pika, stage.person),
        (pika, user, stage.application.bot),
    ):
        sent = await speaker.order("send", channel=channel, content=f"hello from {author.username}")
        for judge in (listener, speaker):
            heard = await judge.report("message", message=sent["message"])
            assert (channel, str(author.id), f"hello from {author.username}") == (
                heard["channel"],
                heard["author"],
                heard["content"],
            )


async def they_run_the_command(stage: Stage, channel: str, pika: Judge, user: Judge) -> str:
    """A command with a file reaches the bot; its deferred answer becomes a text with a button. Returns its id."""
    interaction = await user.order("command", channel=channel, prompt="waves", image="a picture")
    received = await pika.report("command")
    deferred = await user.report("message", message=received["message"])
    made = await user.report("edit", message=received["message"])
    ended = await user.report("interaction", interaction=interaction)

    assert ("waves", str(stage.person.id)) == (received["prompt"], received["user"])
    assert received["image"] == ["in.png", "a picture"]
    assert ("", interaction) == (deferred["content"], deferred["interaction"])
    assert (made["content"], made["buttons"]) == ("made waves", ["Retry"])
    assert ended["successful"]
    return str(made["message"])


async def they_press_the_button(stage: Stage, channel: str, pika: Judge, user: Judge, made: str) -> None:
    """A press reaches the bot; its answer, the edit of that and the follow-up's file reach the user."""
    interaction = await user.order("press", channel=channel, message=made, label="Retry")
    received = await pika.report("press")
    answer = await user.report("message", message=received["original"])
    edited = await user.report("edit", message=received["original"])
    again = await user.report("message", message=received["followup"]["message"])
    ended = await user.report("interaction", interaction=interaction)
    downloaded = await user.order("read", channel=channel, message=again["message"])

    assert (made, str(stage.person.id)) == (received["pressed"], received["user"])
    assert (answer["content"], edited["content"]) == ("working", "worked")
    assert (again["content"], again["files"]) == ("again", [["result.mp4", 7]])
    assert ended["successful"]
    assert downloaded == "a video"


async def they_read_the_history(channel: str, pika: Judge, user: Judge) -> None:
    """Both read the same history, newest first, with edits applied."""
    histories = [await judge.order("history", channel=channel) for judge in (pika, user)]
    contents = [[message["content"] for message in history] for history in histories]

    expected = ["again", "worked", "made waves", "hello from judged", "hello from person"]
    assert [expected, expected] == contents


async def test_a_silent_bot(stage: Stage) -> None:
    """After three seconds the library that pressed learns that the bot has failed."""
    async with stage.judges(Bot("discordpy", "discordpy_bot")) as (pika, user):
        await pika.order("register")
        stage.discord.world.faults.arm(Fault(where="app", do=Silence()))
        await user.order("command", channel=stage.guild_channel, prompt="waves")

        assert not (await user.report("interaction"))["successful"]


async def test_rate_limits_are_obeyed(stage: Stage, bot: Bot) -> None:
    """Both libraries wait out a 429 and repeat the request by themselves."""
    channel = stage.guild_channel
    async with stage.judges(bot) as (pika, user):
        for judge, account in ((pika, stage.application.bot), (user, stage.person)):
            await judge.order("send", channel=channel, content="hello")
            match = Match(user_id=str(account.id), route="/channels/*/messages", method="GET")
            stage.discord.world.faults.arm(Fault(where="rest", match=match, do=RateLimit(retry_after=0.3)))

            assert "hello" in [
                message["content"] for message in await judge.order("history", channel=channel)
            ]
    assert [fault["struck"] for fault in stage.discord.world.faults.report()] == [1, 1]
    assert stage.discord.world.violations.report()["by_kind"] == {}


async def test_connections_recover(stage: Stage, bot: Bot) -> None:
    """Op 7 and a cut connection are resumed without a loss; op 9 costs a new session; then all is as before."""
    channel = stage.guild_channel
    async with stage.judges(bot) as (pika, user):
        for listener, speaker, account in (
            (pika, user, stage.application.bot),
            (user, pika, stage.person),
        ):
            for trouble in (Reconnect(), Cut()):
                await is_resumed(stage, trouble, account.id, listener, speaker, channel)
            await is_identified_again(stage, account.id, listener)
        assert await pika.order("register") == ["create"]
        await they_talk(stage, channel, pika, user)
        made = await they_run_the_command(stage, channel, pika, user)
        await they_press_the_button(stage, channel, pika, user, made)
    kinds = set(stage.discord.world.violations.report()["by_kind"])

    # discord.py-self does not wait the five seconds between two sessions that Discord asks of users.
    assert kinds <= {"identify_too_fast"}


async def is_resumed(
    stage: Stage, trouble: Reconnect | Cut, account_id: int, listener: Judge, speaker: Judge, channel: str
) -> None:
    """What is said while the listener is away reaches it after the same session was resumed."""
    sessions = stage.discord.world.sessions
    (session,) = sessions.of(account_id)
    sessions.disturb(session, trouble)
    sent = await speaker.order("send", channel=channel, content="are you there?")
    await listener.report("resumed")
    await listener.report("message", message=sent["message"])

    assert [session] == sessions.of(account_id)


async def is_identified_again(stage: Stage, account_id: int, listener: Judge) -> None:
    """A session that the server has forgotten is replaced by another."""
    sessions = stage.discord.world.sessions
    (session,) = sessions.of(account_id)
    sessions.disturb(session, InvalidSession(resumable=False))
    await listener.report("ready")
    (other,) = sessions.of(account_id)

    assert session.id != other.id
