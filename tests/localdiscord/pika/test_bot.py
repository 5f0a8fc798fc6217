"""What the bot does with interactions, whatever the manner: memory, time, order, moderation, settings, ledger."""

from io import BytesIO

import pytest
from PIL import Image

from localdiscord.apps.pika import Pika
from tests.localdiscord.pika.fakes import FakeDiscord


def png(colour: str) -> bytes:
    data = BytesIO()
    Image.new("RGB", (80, 60), colour).save(data, "PNG")
    return data.getvalue()


async def test_retry_runs_the_parent_again(discord: FakeDiscord, pika: Pika) -> None:
    """Retry repeats the pressed result's own request, options and files, with another seed and another video."""
    pika.configure({"video": "tiny"})
    command = discord.command("encrypt_image", {"message": png("red"), "image": png("blue")}, prompt="waves")
    await discord.play(pika, command)
    discord.uploads.clear()
    await discord.play(pika, discord.press("Retry", discord.results[0]))
    first, second = discord.results

    said = "<@42> Prompt: waves  Message: 1 Attachment  Image: 1 Attachment  Author: <@42>)"
    assert said == first.data["content"]
    assert said == second.data["content"]
    assert first.files[0].data != second.files[0].data
    assert first.files[0].filename != second.files[0].filename


async def test_retry_of_a_retry(discord: FakeDiscord, pika: Pika) -> None:
    """The buttons of a retried result work as well, and lead to the same request."""
    await discord.play(pika, discord.command("create", prompt="waves"))
    await discord.play(pika, discord.command("create", prompt="dunes"))
    await discord.play(pika, discord.press("Retry", discord.results[0]))
    await discord.play(pika, discord.press("Retry", discord.results[2]))

    assert [message.data["content"].split()[2] for message in discord.results] == [
        "waves",
        "dunes",
        "waves",
        "waves",
    ]


async def test_custom_ids_are_unique(discord: FakeDiscord, pika: Pika) -> None:
    """No two results share a button."""
    for _ in range(3):
        await discord.play(pika, discord.command("create", prompt="waves"))
    buttons = [
        button["custom_id"]
        for message in discord.results
        for button in message.data["components"][0]["components"]
    ]

    assert len(set(buttons)) == 6


async def test_unknown_button(discord: FakeDiscord, pika: Pika) -> None:
    """A button that the bot cannot remember is answered to the presser alone."""
    await discord.play(pika, discord.submit("pika:retry:0000"), discord.submit("another bot's"))

    assert [name for _, name, _ in discord.calls] == [4, 4]
    assert [message.data["flags"] for message in discord.messages.values()] == [64, 64]


async def test_time(discord: FakeDiscord, pika: Pika) -> None:
    """The queued message comes after a fifth of the job's time, the result at its end."""
    await discord.play(pika, discord.command("create", prompt="waves"))

    assert [message.at for message in discord.messages.values()] == [0.0, 2.0, 10.0]


async def test_speed_zero(discord: FakeDiscord, pika: Pika) -> None:
    """At speed 0 no time passes."""
    pika.configure({"speed": 0})
    await discord.play(pika, discord.command("create", prompt="waves"))

    assert discord.clock.time == 0.0
    assert len(discord.results) == 1


async def test_durations(discord: FakeDiscord, pika: Pika) -> None:
    """Explicit durations go to the jobs as they come, and a later job with a shorter one overtakes."""
    pika.configure({"durations": [9, 3, 6]})
    await discord.play(pika, *(discord.command("create", prompt=word) for word in ("a", "b", "c", "d")))

    assert [(message.data["content"].split()[2], round(message.at, 6)) for message in discord.results] == [
        ("b", 3),
        ("c", 6),
        ("a", 9),
        ("d", 10),
    ]


async def test_finish_order(discord: FakeDiscord, pika: Pika) -> None:
    """Jobs of each group finish in the order configured, however short they are."""
    pika.configure({"finish_order": [2, 0, 1], "speed": 0})
    await discord.play(pika, *(discord.command("create", prompt=word) for word in "abcdef"))
    finished = [message.data["content"].split()[2] for message in discord.results]

    assert [word for word in finished if word in "abc"] == ["c", "a", "b"]
    assert [word for word in finished if word in "def"] == ["f", "d", "e"]


async def test_a_new_finish_order_frees_the_old_one(discord: FakeDiscord, pika: Pika) -> None:
    """Jobs that wait for a group which never fills are let go by the next configuration."""

    async def change_later() -> None:
        await discord.clock.sleep(100)
        pika.configure({"finish_order": []})

    pika.configure({"finish_order": [1, 0]})
    command = discord.command("create", prompt="a")
    await discord.clock.run(discord.answer(pika, command), change_later())

    assert [message.at for message in discord.results] == [100.0]


@pytest.mark.parametrize("options", [{"prompt": "a Secret place"}, {"prompt": "a", "message": "SECRET"}])
async def test_moderation_words(discord: FakeDiscord, pika: Pika, options: dict[str, str]) -> None:
    """A configured word in prompt or message is moderated whatever the behaviour and the case."""
    pika.configure({"moderation_words": ["secret"], "behaviour": "respond"})
    await discord.play(pika, discord.command("encrypt_text", None, **options))

    assert [event for event, _ in discord.ledger] == ["queued", "moderated"]


async def test_behaviour_of_one_action(discord: FakeDiscord, pika: Pika) -> None:
    """An action with a behaviour of its own keeps the others at the general one."""
    pika.configure({"per_action": {"retry": "silent"}})
    await discord.play(pika, discord.command("create", prompt="waves"))
    await discord.play(pika, discord.press("Retry", discord.results[0]))

    assert [event for event, _ in discord.ledger] == ["queued", "result", "silent"]


async def test_ledger(discord: FakeDiscord, pika: Pika) -> None:
    """The ledger ties the press to its messages, its attachment and its seed."""
    command = discord.command("create", prompt="waves")
    await discord.play(pika, command)
    (queued, about_queued), (result, about_result) = discord.ledger
    _, queued_message, result_message = discord.messages.values()

    assert (queued, result) == ("queued", "result")
    assert queued_message.id == about_queued["message_id"]
    assert {
        "interaction_id": command.id,
        "message_id": result_message.id,
        "attachment_id": f"{result_message.id}0",
        "run_seed": about_queued["run_seed"],
    } == about_result


async def test_text_of_every_option(discord: FakeDiscord, pika: Pika) -> None:
    """The bot repeats the options in its own order; an absent prompt leaves no trace."""
    both = discord.command("encrypt_text", {"image": b""}, font="RETRO", message="hi", prompt="{waves} -w 2")
    await discord.play(pika, both, discord.command("animate", {"image": b"no picture"}))

    assert {
        "<@42> Prompt: {waves} -w 2  Message: hi  Font: RETRO  Image: 1 Attachment  Author: <@42>)",
        "<@42> Image: 1 Attachment  Author: <@42>)",
    } == {message.data["content"] for message in discord.results}


async def test_longest_content(discord: FakeDiscord, pika: Pika) -> None:
    """A prompt of any length leaves every message below Discord's 2,000 characters."""
    await discord.play(pika, discord.command("create", prompt="w" * 6000))

    assert all(len(content) <= 2000 for _, _, content in discord.calls)
    assert "w…" in discord.results[0].data["content"]


async def test_full_video_of_a_picture(discord: FakeDiscord, pika: Pika) -> None:
    """A file that is no picture is simply not shown; one that is becomes the background."""
    pika.configure({"video": "full", "width": 64, "height": 64, "speed": 0})
    for data in (b"no picture", png("red")):
        await discord.play(pika, discord.command("animate", {"image": data}))
    files = [message.files[0] for message in discord.results]

    assert [(file.width, file.height, file.content_type) for file in files] == [(64, 64, "video/mp4")] * 2
    assert all(file.data[4:8] == b"ftyp" for file in files)


@pytest.mark.parametrize(
    "changes",
    [
        {"behaviour": "clever"},
        {"speed": -1},
        {"colour": "red"},
        {"finish_order": [0, 2]},
        {"weights": {}},
        {"per_action": {"upscale": "plain"}},
        {"width": 63},
    ],
)
def test_wrong_settings(pika: Pika, changes: dict[str, object]) -> None:
    """A name or value that does not exist is refused, and nothing changes."""
    before = pika.settings()

    with pytest.raises(ValueError, match=r".+"):
        pika.configure({"seed": 99, **changes})
    assert before == pika.settings()


def test_commands_have_the_options_of_the_contract(pika: Pika) -> None:
    """The four commands require what they cannot do without, and ask for that first."""
    required = {
        command["name"]: [option["name"] for option in command["options"] if option["required"]]
        for command in pika.commands
    }

    assert required == {
        "create": ["prompt"],
        "animate": ["image"],
        "encrypt_text": ["message", "prompt"],
        "encrypt_image": ["message", "prompt"],
    }
    for command in pika.commands:
        flags = [option["required"] for option in command["options"]]
        assert sorted(flags, reverse=True) == flags
