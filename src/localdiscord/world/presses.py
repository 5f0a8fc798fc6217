"""
The body of POST /interactions, judged field by field, in the order Discord judges it.

First the form, then whether the channel, the message, the button or the command exist for this user now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localdiscord.apps.application import File, JsonObject
from localdiscord.cdn.links import Links
from localdiscord.wire import errors
from localdiscord.wire.components import BUTTON, find
from localdiscord.wire.messages import attachment_object
from localdiscord.wire.places import channel_object
from localdiscord.wire.users import user_object
from localdiscord.world.commands import ATTACHMENT, Commands, check_options, flattened
from localdiscord.world.directory import Directory
from localdiscord.world.drafts import read_nonce, snowflake
from localdiscord.world.files import Files
from localdiscord.world.messages import Messages
from localdiscord.world.models import (
    COMMAND,
    COMPONENT,
    MODAL_SUBMIT,
    Application,
    Attachment,
    Channel,
    Interaction,
    Json,
    Message,
    User,
)
from localdiscord.world.sessions import Sessions

USER_OPTION = 6
CHANNEL_OPTION = 7


@dataclass(frozen=True, slots=True)
class Press:
    """A request that has the right form, and whose places exist."""

    type: int
    user: User
    application: Application
    channel: Channel
    session_id: str
    nonce: str | None
    data: Mapping[str, Any]
    message_id: int | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the application is to read."""

    data: Json
    message: Message | None = None
    attachments: Mapping[int, Attachment] | None = None


class PressRules:
    """Judges presses; changes nothing but the storage of a command's files, and that last."""

    def __init__(
        self,
        *,
        directory: Directory,
        sessions: Sessions,
        messages: Messages,
        commands: Commands,
        files: Files,
        links: Links,
    ) -> None:
        self._directory = directory
        self._sessions = sessions
        self._messages = messages
        self._commands = commands
        self._files = files
        self._links = links

    def read(self, user: User, body: JsonObject) -> Press:
        """Return the press when its form is right; raise `ApiError` otherwise."""
        type_ = body.get("type")
        if type_ is None:
            raise errors.required("type")
        if type_ not in {COMMAND, COMPONENT, MODAL_SUBMIT}:
            raise errors.choices("type")
        application_id = snowflake(body.get("application_id"), "application_id")
        channel_id = snowflake(body.get("channel_id"), "channel_id")
        session_id = body.get("session_id")
        if not isinstance(session_id, str) or not session_id:
            raise errors.required("session_id")
        data = body.get("data")
        if not isinstance(data, dict):
            raise errors.required("data")
        nonce = read_nonce(body)
        message_id = snowflake(body.get("message_id"), "message_id") if type_ == COMPONENT else None
        channel = self._directory.visible_channel(channel_id, user.id)
        self._check_guild(body, channel)
        application = self._directory.applications.get(application_id)
        if application is None:
            raise errors.unknown_application()
        self._check_session(user, session_id)
        return Press(type_, user, application, channel, session_id, nonce, data, message_id)

    @staticmethod
    def _check_guild(body: JsonObject, channel: Channel) -> None:
        guild_id = body.get("guild_id")
        if guild_id is not None and snowflake(guild_id, "guild_id") != channel.guild_id:
            raise errors.unknown_channel()
        if guild_id is None and channel.guild_id is not None:
            raise errors.required("guild_id")

    def _check_session(self, user: User, session_id: str) -> None:
        """A session that is dead, foreign or without a connection is answered like none at all."""
        session = self._sessions.get(session_id)
        if session is None or session.user is not user or session.connection is None:
            raise errors.required("session_id")

    def judge(self, press: Press, sent: Mapping[int, File], modals: Mapping[int, Interaction]) -> Accepted:
        """Return what the application reads; raise when the button, command or form is not there (any more)."""
        if press.type == COMPONENT:
            return self._component(press)
        if press.type == COMMAND:
            return self._command(press, sent)
        return self._modal(press, modals)

    def _component(self, press: Press) -> Accepted:
        message = self._messages.find(press.channel.id, press.message_id or 0)
        if message is None or (message.is_ephemeral and message.visible_to != press.user.id):
            raise errors.unknown_message()
        custom_id = press.data.get("custom_id")
        kind = press.data.get("component_type", press.data.get("type"))
        if not isinstance(custom_id, str):
            raise errors.required("data", "custom_id")
        if kind is None:
            raise errors.required("data", "component_type")
        component = find(message.components, custom_id)
        if (
            message.author_id != press.application.bot.id
            or component is None
            or component.get("disabled")
            or component["type"] != kind
        ):
            raise errors.component_validation_failed()
        data: Json = {"custom_id": custom_id, "component_type": kind, "id": component["id"]}
        if kind != BUTTON:
            data["values"] = press.data.get("values", [])
        return Accepted(data, message)

    def _command(self, press: Press, sent: Mapping[int, File]) -> Accepted:
        command = self._commands.invoked(press.application, press.data, press.channel)
        options = check_options(command.spec["options"], press.data.get("options"))
        files = self._files.collect(press.data.get("attachments"), sent, press.user.id)
        by_number = {str(entry.get("id")): file for entry, file in files}
        for option in flattened(options):
            if option["type"] == ATTACHMENT and str(option["value"]) not in by_number:
                raise errors.uploaded_file_not_found()
        stored = {
            number: self._files.store(file, press.application.id, ephemeral=True)
            for number, file in by_number.items()
        }
        data: Json = {
            "id": str(command.id),
            "name": command.spec["name"],
            "type": command.spec.get("type", 1),
            "options": _filled(options, stored),
        }
        if command.guild_id is not None:
            data["guild_id"] = str(command.guild_id)
        if resolved := self._resolved(press.user, data["options"]):
            data["resolved"] = resolved
        return Accepted(data, attachments={each.id: each for each in stored.values()})

    def _resolved(self, user: User, options: Sequence[Json]) -> Json:
        resolved: Json = {}
        for option in flattened(options):
            found: Json | None = None
            group = ""
            if option["type"] == ATTACHMENT and (attachment := self._files.get(int(option["value"]))):
                group, found = "attachments", attachment_object(attachment, self._links)
            elif option["type"] == USER_OPTION and (other := self._user(option["value"])):
                group, found = "users", user_object(other)
            elif option["type"] == CHANNEL_OPTION and (channel := self._channel(option["value"])):
                group, found = "channels", channel_object(channel, user.id, self._directory.users)
            if found is not None:
                resolved.setdefault(group, {})[str(option["value"])] = found
        return resolved

    def _user(self, value: Any) -> User | None:
        return self._directory.users.get(int(value)) if str(value).isdigit() else None

    def _channel(self, value: Any) -> Channel | None:
        return self._directory.channels.get(int(value)) if str(value).isdigit() else None

    def _modal(self, press: Press, modals: Mapping[int, Interaction]) -> Accepted:
        opened = modals.get(snowflake(press.data.get("id"), "data", "id"))
        if (
            opened is None
            or opened.modal is None
            or opened.user_id != press.user.id
            or opened.modal.get("custom_id") != press.data.get("custom_id")
        ):
            raise errors.component_validation_failed()
        data: Json = {
            "custom_id": press.data.get("custom_id"),
            "components": press.data.get("components") or [],
        }
        return Accepted(data, opened.message)


def _filled(options: Sequence[Mapping[str, Any]], stored: Mapping[str, Attachment]) -> list[Json]:
    """Put the attachments' own ids in the place of the numbers the user sent."""
    filled: list[Json] = []
    for option in options:
        copy = dict(option)
        if "options" in copy:
            copy["options"] = _filled(copy["options"] or (), stored)
        elif copy["type"] == ATTACHMENT:
            copy["value"] = str(stored[str(copy["value"])].id)
        filled.append(copy)
    return filled
