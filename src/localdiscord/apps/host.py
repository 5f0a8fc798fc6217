"""
Runs the applications that live in here: each interaction is a task of its own, with a Responder to act by.

The Responder calls what the REST routes of the same names call, so an application in here is held to the same
deadlines and the same errors as a bot in another process.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from localdiscord.apps.application import Application, File, Interaction, JsonObject
from localdiscord.wire import errors
from localdiscord.wire.components import TEXT_INPUT, walk
from localdiscord.wire.messages import attachment_object
from localdiscord.world import models
from localdiscord.world.commands import flattened
from localdiscord.world.world import World

log = logging.getLogger(__name__)


class WorldResponder:
    """A Responder for one interaction."""

    def __init__(self, world: World, interaction: models.Interaction) -> None:
        self._world = world
        self._interaction = interaction

    async def callback(self, type_: int, data: JsonObject | None = None, files: Sequence[File] = ()) -> None:
        body = {"type": type_, "data": dict(data or {})}
        interaction = self._interaction
        self._world.interactions.callback(interaction.id, interaction.token, body, _numbered(files))

    async def edit_original(self, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        original = self._world.interactions.original(self._webhook())
        return self._written(self._world.messages.edit(original, data, _numbered(files)))

    async def delete_original(self) -> None:
        self._world.messages.delete(self._world.interactions.original(self._webhook()))

    async def followup(self, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        webhook = self._webhook()
        return self._written(self._world.interactions.follow_up(webhook, data, _numbered(files)))

    async def send_message(self, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        posted = self._world.messages.post(self._bot(), self._channel(), data, _numbered(files))
        return self._written(posted)

    async def edit_message(self, message_id: str, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        return self._written(self._world.messages.edit(self._own(message_id), data, _numbered(files)))

    async def delete_message(self, message_id: str) -> None:
        self._world.messages.delete(self._own(message_id))

    async def download(self, attachment_id: str) -> bytes:
        attachment = self._interaction.attachments.get(int(attachment_id))
        if attachment is None:
            raise errors.unknown_message()
        return attachment.data

    def record(self, event: str, **details: object) -> None:
        interaction = self._interaction
        known: dict[str, object] = {
            "interaction_id": str(interaction.id),
            "nonce": interaction.nonce,
            "user_id": str(interaction.user_id),
            "application_id": str(interaction.application_id),
        }
        self._world.ledger.note(event, **(known | details))

    def _webhook(self) -> models.Interaction:
        return self._world.interactions.of_token(self._interaction.application_id, self._interaction.token)

    def _bot(self) -> models.User:
        return self._world.directory.applications[self._interaction.application_id].bot

    def _channel(self) -> models.Channel:
        return self._world.directory.visible_channel(self._interaction.channel_id, self._bot().id)

    def _own(self, message_id: str) -> models.Message:
        found = self._world.messages.shown(self._channel().id, int(message_id))
        if found.author_id != self._bot().id:
            raise errors.not_the_author()
        return found

    def _written(self, message: models.Message) -> JsonObject:
        return self._world.writer.write(message)


class Host:
    """Starts a task for every interaction, and stops them all at the end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()

    def install(self, app: Application) -> models.Application:
        """Let the application live in the world."""

        def handed(interaction: models.Interaction) -> None:
            task = asyncio.create_task(self._run(app, interaction))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return self._world.install(app, handed)

    async def _run(self, app: Application, interaction: models.Interaction) -> None:
        """Let the application handle it; what it raises is logged, and looks like silence from outside."""
        responder = WorldResponder(self._world, interaction)
        try:
            await app.on_interaction(self._seen(interaction), responder)
        except Exception:
            log.exception("app.failed", extra={"application": app.name, "interaction_id": interaction.id})
            responder.record("app_failed", application=app.name)

    def _seen(self, interaction: models.Interaction) -> Interaction:
        data = interaction.data
        options: dict[str, Any] = {
            option["name"]: option["value"] for option in flattened(data.get("options") or ())
        }
        if interaction.type == models.MODAL_SUBMIT:
            options = {
                each["custom_id"]: each.get("value", "")
                for each in walk(data["components"])
                if each.get("type") == TEXT_INPUT and "custom_id" in each
            }
        pressed = interaction.message
        return Interaction(
            id=str(interaction.id),
            type=interaction.type,
            application_id=str(interaction.application_id),
            channel_id=str(interaction.channel_id),
            guild_id=None if interaction.guild_id is None else str(interaction.guild_id),
            user_id=str(interaction.user_id),
            nonce=interaction.nonce,
            command=data.get("name"),
            options=options,
            attachments={
                str(each.id): attachment_object(each, self._world.links)
                for each in interaction.attachments.values()
            },
            custom_id=data.get("custom_id"),
            message=None if pressed is None else self._world.writer.write(pressed),
        )

    async def stop(self) -> None:
        """Cancel what still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _numbered(files: Sequence[File]) -> dict[int, File]:
    return dict(enumerate(files))
