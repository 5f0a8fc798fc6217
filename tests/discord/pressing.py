"""What most tests do first: have the bot make a video, and find its button."""

from pikarelay.discord.client.accounts import DiscordAccounts
from pikarelay.jobs.messages import BotMessage
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import ButtonPress, CommandRun
from tests.discord.surroundings import Listener


async def create(
    accounts: DiscordAccounts, token: Secret, channel: str, listener: Listener, prompt: str = "waves"
) -> BotMessage:
    """Run /create and return the message with the video."""
    await accounts.identify(token, channel)
    await order(accounts, token, channel, "1001", prompt)
    return await listener.result()


async def order(
    accounts: DiscordAccounts, token: Secret, channel: str, nonce: str, prompt: str = "waves"
) -> None:
    """Run /create and do not wait for what comes of it."""
    command = await accounts.find_command(token, channel, "create")
    assert command is not None
    run = CommandRun(nonce=nonce, channel_id=channel, command=command, options={"prompt": prompt})
    await accounts.run_command(token, run)


def retry(parent: BotMessage, nonce: str) -> ButtonPress:
    button = next(button for button in parent.buttons if button.name == "retry")
    return ButtonPress(
        nonce=nonce,
        channel_id=parent.channel_id,
        application_id=parent.application_id or parent.author_id,
        message_id=parent.id,
        message_flags=parent.flags,
        custom_id=button.custom_id,
    )
