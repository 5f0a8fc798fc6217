"""
A user on discord.py-self: `python discordpy_self_user.py http://127.0.0.1:PORT ws://127.0.0.1:PORT/ TOKEN`.

Here it judges the local Discord and nothing else. What it would fetch from the internet at login is cut off.
"""

import asyncio
import io
import sys
from typing import Any, ClassVar, NoReturn

import yarl
from lines import report_logs, serve, tell

import discord


async def nothing_outside(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("the judges have no internet")


async def some_version(*_: object, **__: object) -> int:
    return 120


def described(message: discord.Message) -> dict[str, Any]:
    return {
        "message": str(message.id),
        "channel": str(message.channel.id),
        "author": str(message.author.id),
        "content": message.content,
        "files": [[file.filename, file.size] for file in message.attachments],
        "buttons": [button.label for row in message.components for button in row.children],
        "interaction": str(message.interaction.id) if message.interaction else None,
    }


class User(discord.Client):
    """Reports what a person would see."""

    #: Forms by interaction, until they are sent.
    forms: ClassVar[dict[str, discord.Modal]] = {}

    async def on_ready(self) -> None:
        tell("ready", user=str(self.user.id), guilds=[str(guild.id) for guild in self.guilds])

    async def on_resumed(self) -> None:
        tell("resumed")

    async def on_message(self, message: discord.Message) -> None:
        tell("message", **described(message))

    async def on_message_edit(self, _: discord.Message, message: discord.Message) -> None:
        tell("edit", **described(message))

    async def on_interaction_finish(self, interaction: discord.Interaction) -> None:
        tell("interaction", interaction=str(interaction.id), successful=interaction.successful)

    async def on_modal(self, modal: discord.Modal) -> None:
        self.forms[str(modal.id)] = modal
        tell("modal", modal=str(modal.id), title=modal.title, value=modal.components[0].children[0].value)

    # Orders.

    async def open(self, user: str) -> str:
        """Open the direct message channel with a bot."""
        recipient = await self.fetch_user(int(user))
        return str((await recipient.create_dm()).id)

    async def send(self, channel: str, content: str) -> dict[str, Any]:
        return described(await self.place(channel).send(content))

    async def command(self, channel: str, prompt: str, image: str | None = None) -> str:
        """Run /create, with a file of this text."""
        commands = await self.place(channel).application_commands()
        (create,) = [command for command in commands if command.name == "create"]
        options: dict[str, Any] = {"prompt": prompt}
        if image is not None:
            options["image"] = discord.File(io.BytesIO(image.encode()), "in.png")
        return str((await create(self.place(channel), **options)).id)

    async def press(self, channel: str, message: str, label: str) -> str:
        """Press the button with this label."""
        found = await self.find(channel, message)
        (button,) = [each for row in found.components for each in row.children if each.label == label]
        return str((await button.click()).id)

    async def submit(self, modal: str, answer: str) -> str:
        """Send the form with this answer in its only field."""
        form = self.forms.pop(modal)
        form.components[0].children[0].answer(answer)
        return str((await form.submit()).id)

    async def history(self, channel: str) -> list[dict[str, Any]]:
        return [described(message) async for message in self.place(channel).history(limit=100)]

    async def read(self, channel: str, message: str) -> str:
        """Download the only file of the message."""
        (file,) = (await self.find(channel, message)).attachments
        return (await file.read()).decode("latin-1")

    async def find(self, channel: str, message: str) -> discord.Message:
        found = [each async for each in self.place(channel).history(limit=100) if each.id == int(message)]
        return found[0]

    def place(self, channel: str) -> Any:
        found = self.get_channel(int(channel))
        assert found is not None, f"channel {channel} is not in sight"
        return found


async def main(base: str, gateway: str, token: str) -> None:
    report_logs()
    discord.http.Route.BASE = f"{base}/api/v9"
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
    headers = discord.utils.Headers
    headers.get_api_properties = staticmethod(nothing_outside)
    headers._get_build_number = staticmethod(some_version)
    headers._get_browser_version = staticmethod(some_version)
    discord.VoiceClient.warn_nacl = False
    client = User(chunk_guilds_at_startup=False, guild_subscriptions=False)
    # The release listens for a name that Discord does not send (as of 2.1.0; fixed on its main branch).
    connection = client._connection
    connection.parsers["INTERACTION_FAILURE"] = connection.parse_interaction_failed
    async with client:
        running = asyncio.create_task(client.start(token))
        running.add_done_callback(lambda _: tell("stopped"))
        await serve(
            {
                name: getattr(client, name)
                for name in ("open", "send", "command", "press", "submit", "history", "read")
            }
        )
        await client.close()
        await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
