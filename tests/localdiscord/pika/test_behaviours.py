"""Each manner of answering, told by the calls it makes."""

import pytest

from localdiscord.apps.pika import Pika
from localdiscord.apps.pika.behaviours import BEHAVIOURS
from localdiscord.apps.pika.settings import WEIGHTS
from tests.localdiscord.pika.fakes import FakeDiscord

QUEUED = "<@42>  Creation job queued. (Prompt: waves  Author: <@42>)"
PROGRESS = "<@42>  Creation job in progress: 50%. (Prompt: waves  Author: <@42>)"
RESULT = "<@42> Prompt: waves  Author: <@42>)"
RECEIVED = "Your request was received."


async def played(discord: FakeDiscord, pika: Pika, **settings: object) -> list[tuple[str | int, str]]:
    pika.configure(settings)
    await discord.play(pika, discord.command("create", prompt="waves"))
    return [(name, content) for _, name, content in discord.calls]


async def test_plain(discord: FakeDiscord, pika: Pika) -> None:
    """Plain acknowledges only to the presser, then posts queued and result as two messages of their own."""
    calls = await played(discord, pika)

    expected = [
        (4, RECEIVED),
        ("send_message", QUEUED),
        ("edit_message", PROGRESS),
        ("send_message", RESULT),
    ]
    assert expected == calls
    acknowledgement, queued, result = discord.messages.values()
    assert acknowledgement.data["flags"] == 64
    assert "message_reference" not in queued.data | result.data


async def test_plain_press(discord: FakeDiscord, pika: Pika) -> None:
    """A press is acknowledged without any message."""
    await played(discord, pika)
    press = discord.press("Retry", discord.results[0])
    await discord.play(pika, press)

    assert [name for interaction_id, name, _ in discord.calls if interaction_id == press.id] == [
        6,
        "send_message",
        "edit_message",
        "send_message",
    ]


async def test_respond(discord: FakeDiscord, pika: Pika) -> None:
    """Respond answers with the queued text at once, edits that, and follows up with the video."""
    calls = await played(discord, pika, behaviour="respond")

    assert calls == [(4, QUEUED), ("edit_original", PROGRESS), ("followup", RESULT)]
    assert [message.at for message in discord.messages.values()] == [0.0, 10.0]


async def test_edit_in_place(discord: FakeDiscord, pika: Pika) -> None:
    """Edit in place lets one deferred message become everything in turn."""
    calls = await played(discord, pika, behaviour="edit_in_place")

    expected = [
        (5, ""),
        ("edit_original", QUEUED),
        ("edit_original", PROGRESS),
        ("edit_original", RESULT),
    ]
    assert expected == calls
    (message,) = discord.messages.values()
    assert [message] == discord.results
    assert len(message.files) == 1


async def test_reply(discord: FakeDiscord, pika: Pika) -> None:
    """Reply refers from the result to the queued message, and from that to the pressed one."""
    await played(discord, pika, behaviour="reply")
    parent = discord.results[0]
    await discord.play(pika, discord.press("Retry", parent))

    queued, result = list(discord.messages.values())[-2:]
    assert parent.id == queued.data["message_reference"]["message_id"]
    assert queued.id == result.data["message_reference"]["message_id"]


@pytest.mark.parametrize("style", ["edited", "ephemeral"])
async def test_moderated(discord: FakeDiscord, pika: Pika, style: str) -> None:
    """Moderation shows in the edited queued message, or to the presser alone; no video comes."""
    await played(discord, pika, behaviour="moderated", moderation_style=style)

    last = list(discord.messages.values())[-1]
    assert "was moderated" in last.data["content"]
    assert (style == "ephemeral") == (last.data.get("flags") == 64)
    assert discord.ledger[-1][0] == "moderated"
    assert not discord.results


async def test_failed(discord: FakeDiscord, pika: Pika) -> None:
    """A failed job says so in its queued message."""
    await played(discord, pika, behaviour="failed")

    assert "creation failed" in list(discord.messages.values())[-1].data["content"]
    assert [event for event, _ in discord.ledger] == ["queued", "failed"]


async def test_silent(discord: FakeDiscord, pika: Pika) -> None:
    """Silent never calls anything."""
    assert await played(discord, pika, behaviour="silent") == []


async def test_modal(discord: FakeDiscord, pika: Pika) -> None:
    """Remix answers with a form that holds the prompt, and the sent form starts a job with its new prompt."""
    await played(discord, pika)
    await discord.play(pika, discord.press("Remix", discord.results[0]))
    (form,) = discord.modals
    (row,) = form["components"]
    (field,) = row["components"]
    await discord.play(pika, discord.submit(form["custom_id"], prompt="dunes"))

    assert field["value"] == "waves"
    assert discord.results[1].data["content"] == "<@42> Prompt: dunes  Author: <@42>)"


async def test_modal_for_retry(discord: FakeDiscord, pika: Pika) -> None:
    """A bot set to modal asks back on every button, and a form sent unchanged runs the parent again."""
    await played(discord, pika)
    pika.configure({"behaviour": "modal"})
    await discord.play(pika, discord.press("Retry", discord.results[0]))
    form = discord.modals[0]["custom_id"]
    await discord.play(pika, discord.submit(form, prompt="waves"), discord.submit(form, prompt=""))

    assert [message.data["content"] for message in discord.results] == [
        RESULT,
        RESULT,
        "<@42>   Author: <@42>)",
    ]


@pytest.mark.parametrize(
    ("when", "expected"),
    [("before", ["delete_message", "send_message"]), ("after", ["send_message", "delete_message"])],
)
async def test_delete_queued(discord: FakeDiscord, pika: Pika, when: str, expected: list[str]) -> None:
    """The queued message is deleted on the side of the result that the settings name."""
    calls = await played(discord, pika, behaviour="delete_queued", deletion=when)

    assert expected == [name for name, _ in calls][-2:]
    assert len(discord.messages) == 2


async def test_random_repeats(pika: Pika, discord: FakeDiscord) -> None:
    """The same seed draws the same behaviours, and over many jobs all that have a weight."""

    async def drawn() -> list[str]:
        discord.ledger.clear()
        pika.configure({"behaviour": "random", "seed": 3, "speed": 0})
        for _ in range(60):
            await discord.play(pika, discord.command("create", prompt="waves"))
        return [event for event, _ in discord.ledger]

    first = await drawn()

    assert first == await drawn()
    assert {"queued", "result", "moderated", "failed", "silent"} == set(first)


async def test_weights(pika: Pika, discord: FakeDiscord) -> None:
    """Weights leave only what they name."""
    calls = await played(discord, pika, behaviour="random", weights={"edit_in_place": 1})

    assert calls[0] == (5, "")


def test_every_behaviour_can_be_drawn_but_modal() -> None:
    """The default weights name every behaviour but the one that needs a person."""
    assert set(BEHAVIOURS) - {"modal"} == set(WEIGHTS)
