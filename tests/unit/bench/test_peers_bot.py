"""The bots of the comparison with other libraries: one manner, two voices."""

import re
from typing import Any

import pytest
from bench.peers.bot import EPHEMERAL, Bot
from bench.peers.voices import Midjourney, Pika, Voice

from localdiscord.apps.application import Application
from tests.localdiscord.pika.fakes import FakeDiscord

VOICES = [Midjourney(), Pika()]


def by_name(voice: Voice) -> str:
    return voice.name


@pytest.fixture
def discord() -> FakeDiscord:
    return FakeDiscord()


def made(discord: FakeDiscord, voice: Voice, **settings: object) -> Bot:
    bot = Bot(voice, clock=discord.clock, seed=7)
    bot.configure(settings)
    # The type checker's proof that the bot fits the seam.
    _: Application = bot
    return bot


async def played(discord: FakeDiscord, bot: Any, *prompts: str) -> list[tuple[str | int, str]]:
    await discord.play(bot, *(discord.command("imagine", prompt=prompt) for prompt in prompts))
    return [(name, content) for _, name, content in discord.calls]


async def test_midjourneys_words(discord: FakeDiscord) -> None:
    """Midjourney's messages have the shape that both libraries read: prompt, mention, and how far it is."""
    calls = await played(discord, made(discord, Midjourney()), "waves")

    assert [
        (4, "**waves** - <@42> (Waiting to start)"),
        ("edit_original", "**waves** - <@42> (0%) (fast)"),
        ("edit_original", "**waves** - <@42> (31%) (fast)"),
        ("send_message", "**waves** - <@42> (fast)"),
        ("delete_original", ""),
    ] == calls


@pytest.mark.parametrize("voice", VOICES, ids=by_name)
async def test_steps_are_the_same(discord: FakeDiscord, voice: Voice) -> None:
    """Both bots answer, edit, post the result without a tie to the press, and delete what they answered."""
    calls = await played(discord, made(discord, voice), "waves")

    assert [4, "edit_original", "edit_original", "send_message", "delete_original"] == [
        name for name, _ in calls
    ]
    (result,) = discord.messages.values()
    assert "message_reference" not in result.data
    assert 1 == len(result.files)


@pytest.mark.parametrize("voice", VOICES, ids=by_name)
async def test_result_is_noted_under_its_press(discord: FakeDiscord, voice: Voice) -> None:
    """The ledger has the attachment of each result under the interaction that caused it."""
    bot = made(discord, voice, durations=[3.0, 1.0])
    first, second = (discord.command("imagine", prompt="waves") for _ in range(2))
    await discord.play(bot, first, second)  # type: ignore[arg-type]

    noted = [(name, its["interaction_id"]) for name, its in discord.ledger]
    assert [("result", second.id), ("result", first.id)] == noted
    assert all(its["attachment_id"].startswith(its["message_id"]) for _, its in discord.ledger)


@pytest.mark.parametrize("voice", VOICES, ids=by_name)
async def test_times_are_kept(discord: FakeDiscord, voice: Voice) -> None:
    """A result comes after the duration that is due, and after the usual one when none is left."""
    bot = made(discord, voice, durations=[5.0], usual=2.0)
    await played(discord, bot, "one", "two")

    assert [2.0, 5.0] == pytest.approx([result.at for result in discord.results])


@pytest.mark.parametrize("voice", VOICES, ids=by_name)
async def test_button_runs_the_prompt_again(discord: FakeDiscord, voice: Voice) -> None:
    """The result's button makes another result of the same prompt."""
    bot = made(discord, voice)
    await played(discord, bot, "waves")
    label = "V1" if voice.name == "Midjourney" else "Retry"
    row = discord.results[0].data["components"][-1]
    discord.results[0].data["components"] = [row]
    await discord.play(bot, discord.press(label, discord.results[0]))  # type: ignore[arg-type]

    assert 2 == len(discord.results)
    assert "waves" in discord.results[1].data["content"]
    assert discord.results[0].files[0].filename != discord.results[1].files[0].filename


@pytest.mark.parametrize("voice", VOICES, ids=by_name)
async def test_hidden_refusal(discord: FakeDiscord, voice: Voice) -> None:
    """A refusal may be the answer to the interaction, which only the presser sees; nothing else follows."""
    calls = await played(discord, made(discord, voice, refusal="ephemeral"), "waves")

    assert [(4, "")] == calls
    (message,) = discord.messages.values()
    assert (EPHEMERAL, 16711680) == (message.data["flags"], message.data["embeds"][0]["color"])
    assert ["refused"] == [name for name, _ in discord.ledger]


@pytest.mark.parametrize("voice", VOICES, ids=by_name)
async def test_refusal_as_a_reply(discord: FakeDiscord, voice: Voice) -> None:
    """A refusal may come later, as a reply to the first message."""
    await played(discord, made(discord, voice, refusal="reply"), "waves")

    first, reply = discord.messages.values()
    assert first.id == reply.data["message_reference"]["message_id"]
    assert ["refused"] == [name for name, _ in discord.ledger]


async def test_files_name_the_run(discord: FakeDiscord) -> None:
    """Midjourney's previews and result carry the same id in their names, by which libraries tie them together."""
    bot = made(discord, Midjourney())
    interaction = discord.command("imagine", prompt="Two Waves, at dawn")
    names: list[str] = []
    edit = discord.change

    def change(message_id: str, data: Any, files: Any) -> Any:
        names.extend(file.filename for file in files)
        return edit(message_id, data, files)

    discord.change = change  # type: ignore[method-assign]
    await discord.play(bot, interaction)  # type: ignore[arg-type]

    (preview,) = names
    run_id = preview.removesuffix("_grid_0.webp")
    assert re.fullmatch(r"[0-9a-f-]{36}", run_id)
    assert f"demo_two_waves_at_dawn_{run_id}.png" == discord.results[0].files[0].filename


def test_unknown_settings_are_refused(discord: FakeDiscord) -> None:
    """A setting that does not exist is refused, and changes nothing."""
    bot = made(discord, Midjourney(), usual=3.0)
    with pytest.raises(ValueError, match="mood"):
        bot.configure({"mood": "good"})

    assert 3.0 == bot.settings()["usual"]
