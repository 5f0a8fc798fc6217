"""A command, its result, a press of its button, and what comes of it: against a whole Discord."""

from collections.abc import AsyncIterator

from localdiscord.server import LocalDiscord
from pikarelay.discord.client.accounts import DiscordAccounts
from pikarelay.jobs.messages import BotMessage, InteractionAccepted, InteractionAnswered, Kind
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import CommandRun, FileToUpload
from tests.discord.pressing import create, retry
from tests.discord.surroundings import Listener


async def test_a_button_press_brings_a_second_video(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener, local: LocalDiscord
) -> None:
    """A command brings a video with buttons; pressing retry brings another one, each interaction sent once."""
    first = await create(accounts, token, channel, listener)

    await accounts.press_button(token, retry(first, "1002"))
    second = await listener.result(2)

    assert first.id != second.id
    assert [button.name for button in second.buttons] == ["retry", "remix"]
    assert second.attachments[0].content_type == "video/mp4"
    assert dict(local.world.ledger.presses) == {"1001": 1, "1002": 1}


async def test_interaction_events_name_the_interaction(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener
) -> None:
    """Acceptance and acknowledgement arrive with the nonce that was sent, and one interaction id."""
    await create(accounts, token, channel, listener)

    accepted = await listener.first(InteractionAccepted)
    answered = await listener.first(InteractionAnswered)

    assert ("1001", accepted.interaction_id) == (answered.nonce, answered.interaction_id)


async def test_the_queue_note_comes_first(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener, user: dict[str, str]
) -> None:
    """The bot's first visible message is an update that quotes the prompt and mentions the presser."""
    await create(accounts, token, channel, listener, "a failed heist, flagged")

    first = await listener.first(BotMessage, lambda message: message.kind is not Kind.HIDDEN)

    assert Kind.UPDATE is first.kind
    assert (user["id"],) == first.mentions
    assert "a failed heist, flagged" in first.content


async def test_a_file_is_uploaded_first(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener, local: LocalDiscord
) -> None:
    """A command with a file reserves a place, streams the bytes there and names the place."""
    picture = b"\x89PNG\r\n\x1a\n" + bytes(70_000)
    read = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read
        for start in range(0, len(picture), 16_384):
            read += 1
            yield picture[start : start + 16_384]

    await accounts.identify(token, channel)
    command = await accounts.find_command(token, channel, "animate")
    assert command is not None
    file = FileToUpload(filename="image.png", size=len(picture), read=chunks)
    (uploaded,) = await accounts.upload(token, channel, (file,))
    run = CommandRun(
        nonce="2001", channel_id=channel, command=command, options={"image": uploaded, "prompt": "wind"}
    )
    await accounts.run_command(token, run)
    result = await listener.result()

    assert read == 5
    assert Kind.RESULT is result.kind
    assert dict(local.world.ledger.presses) == {"2001": 1}
