"""
A small generator bot on discord.py: `python discordpy_bot.py http://127.0.0.1:PORT ws://127.0.0.1:PORT/ TOKEN`.

Its one command defers, reads the image, and edits the answer into a text with a button. The button answers, edits
the answer, and follows up with a file.
"""

import asyncio
import io
import sys
from typing import Any

import yarl
from lines import report_logs, serve, tell

import discord
from discord import app_commands

intents = discord.Intents.all()
# Waiting for guilds that will not come is the library's only delay at login; there is but one here.
client = discord.Client(intents=intents, guild_ready_timeout=0.2)
tree = app_commands.CommandTree(client)


def described(message: discord.Message) -> dict[str, Any]:
    return {
        "message": str(message.id),
        "channel": str(message.channel.id),
        "author": str(message.author.id),
        "content": message.content,
        "files": [[file.filename, file.size] for file in message.attachments],
    }


@client.event
async def on_ready() -> None:
    tell("ready", user=str(client.user.id), guilds=[str(guild.id) for guild in client.guilds])


@client.event
async def on_resumed() -> None:
    tell("resumed")


@client.event
async def on_message(message: discord.Message) -> None:
    tell("message", **described(message))


@client.event
async def on_message_edit(_: discord.Message, message: discord.Message) -> None:
    tell("edit", **described(message))


@tree.command(name="create", description="Create a video")
async def create(
    interaction: discord.Interaction, prompt: str, image: discord.Attachment | None = None
) -> None:
    await interaction.response.defer(thinking=True)
    data = await image.read() if image else b""
    button: discord.ui.Button[discord.ui.View] = discord.ui.Button(
        label="Retry", custom_id=f"r{interaction.id}"
    )
    button.callback = retry
    view = discord.ui.View(timeout=None)
    view.add_item(button)
    message = await interaction.edit_original_response(content=f"made {prompt}", view=view)
    tell(
        "command",
        prompt=prompt,
        user=str(interaction.user.id),
        image=[image.filename, data.decode("latin-1")] if image else None,
        message=str(message.id),
    )


async def retry(interaction: discord.Interaction) -> None:
    await interaction.response.send_message("working")
    original = await interaction.edit_original_response(content="worked")
    followup = await interaction.followup.send(
        "again", file=discord.File(io.BytesIO(b"a video"), "result.mp4"), wait=True
    )
    tell(
        "press",
        user=str(interaction.user.id),
        custom_id=interaction.data["custom_id"],
        pressed=str(interaction.message.id),
        original=str(original.id),
        followup=described(followup),
    )


async def register() -> list[str]:
    return [command.name for command in await tree.sync()]


async def send(channel: str, content: str) -> dict[str, Any]:
    return described(await client.get_partial_messageable(int(channel)).send(content))


async def history(channel: str) -> list[dict[str, Any]]:
    messages = client.get_partial_messageable(int(channel)).history(limit=100)
    return [described(message) async for message in messages]


async def main(base: str, gateway: str, token: str) -> None:
    report_logs()
    discord.http.Route.BASE = f"{base}/api/v10"
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
    async with client:
        running = asyncio.create_task(client.start(token))
        running.add_done_callback(lambda _: tell("stopped"))
        await serve({"register": register, "send": send, "history": history})
        await client.close()
        await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
