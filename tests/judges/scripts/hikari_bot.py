"""
The same small generator bot on hikari: `python hikari_bot.py http://127.0.0.1:PORT ws://127.0.0.1:PORT/ TOKEN`.

The Gateway's address is not used: this library asks the API for it.
"""

import asyncio
import sys
from typing import Any

import hikari
from lines import report_logs, serve, tell


def described(message: hikari.PartialMessage) -> dict[str, Any]:
    return {
        "message": str(message.id),
        "channel": str(message.channel_id),
        "author": str(message.author.id) if message.author else None,
        "content": message.content or "",
        "files": [[file.filename, file.size] for file in message.attachments or ()],
    }


async def on_ready(event: hikari.ShardReadyEvent) -> None:
    tell("ready", user=str(event.my_user.id), guilds=[str(guild) for guild in event.unavailable_guilds])


async def on_resumed(_: hikari.ShardResumedEvent) -> None:
    tell("resumed")


async def on_message(event: hikari.MessageCreateEvent) -> None:
    tell("message", **described(event.message))


async def on_message_edit(event: hikari.MessageUpdateEvent) -> None:
    tell("edit", **described(event.message))


async def on_interaction(event: hikari.InteractionCreateEvent) -> None:
    match event.interaction:
        case hikari.CommandInteraction() as interaction:
            await create(interaction)
        case hikari.ComponentInteraction() as interaction:
            await retry(interaction)


async def create(interaction: hikari.CommandInteraction) -> None:
    await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE)
    options = {option.name: option.value for option in interaction.options or ()}
    image = None
    if "image" in options:
        file = interaction.resolved.attachments[options["image"]]
        image = [file.filename, (await file.read()).decode("latin-1")]
    row = interaction.app.rest.build_message_action_row()
    row.add_interactive_button(hikari.ButtonStyle.SECONDARY, f"r{interaction.id}", label="Retry")
    message = await interaction.edit_initial_response(f"made {options['prompt']}", component=row)
    tell(
        "command",
        prompt=options["prompt"],
        user=str(interaction.user.id),
        image=image,
        message=str(message.id),
    )


async def retry(interaction: hikari.ComponentInteraction) -> None:
    await interaction.create_initial_response(hikari.ResponseType.MESSAGE_CREATE, "working")
    original = await interaction.edit_initial_response("worked")
    followup = await interaction.execute("again", attachment=hikari.Bytes(b"a video", "result.mp4"))
    tell(
        "press",
        user=str(interaction.user.id),
        custom_id=interaction.custom_id,
        pressed=str(interaction.message.id),
        original=str(original.id),
        followup=described(followup),
    )


def actions(bot: hikari.GatewayBot) -> dict[str, Any]:
    async def register() -> list[str]:
        command = bot.rest.slash_command_builder("create", "Create a video")
        command.add_option(
            hikari.CommandOption(
                type=hikari.OptionType.STRING, name="prompt", description="What to show", is_required=True
            )
        )
        command.add_option(
            hikari.CommandOption(
                type=hikari.OptionType.ATTACHMENT, name="image", description="Where to start"
            )
        )
        application = await bot.rest.fetch_application()
        made = await bot.rest.set_application_commands(application, [command])
        return [command.name for command in made]

    async def send(channel: str, content: str) -> dict[str, Any]:
        return described(await bot.rest.create_message(int(channel), content))

    async def history(channel: str) -> list[dict[str, Any]]:
        return [described(message) async for message in bot.rest.fetch_messages(int(channel)).limit(100)]

    return {"register": register, "send": send, "history": history}


async def main(base: str, _: str, token: str) -> None:
    bot = hikari.GatewayBot(
        token, rest_url=f"{base}/api/v10", intents=hikari.Intents.ALL, banner=None, logs=None
    )
    report_logs()
    bot.subscribe(hikari.ShardReadyEvent, on_ready)
    bot.subscribe(hikari.ShardResumedEvent, on_resumed)
    bot.subscribe(hikari.MessageCreateEvent, on_message)
    bot.subscribe(hikari.MessageUpdateEvent, on_message_edit)
    bot.subscribe(hikari.InteractionCreateEvent, on_interaction)
    await bot.start(check_for_updates=False)
    await serve(actions(bot))
    await bot.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
