"""
The seam between the local Discord and an application that lives inside it.

An application does what a bot does over HTTP, with the same words and the same rules: it is told of
interactions, answers them with a callback within three seconds, and may then edit, follow up, or post plain
messages. What it may not do is reach around the rules: every method of `Responder` goes through the same code
as the REST route of the same name, so a bot in another process can do all that an application in here can.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class File:
    """A file to attach to a message."""

    filename: str
    content_type: str
    data: bytes
    #: Pixels, for images and videos.
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Interaction:
    """One interaction, as its application sees it. Ids are snowflakes as decimal strings."""

    id: str
    #: 2 application command, 3 message component, 5 modal submit.
    type: int
    application_id: str
    channel_id: str
    #: None in a direct message.
    guild_id: str | None
    user_id: str
    #: The client's own nonce; real bots never see it. Here for the ledger of what press caused what, never for behaviour.
    nonce: str | None
    #: Command name, for type 2.
    command: str | None = None
    #: Option name to value, for type 2. An attachment option's value is a key of `attachments`.
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    #: Resolved attachments by snowflake: the attachment objects of Discord's API.
    attachments: Mapping[str, JsonObject] = field(default_factory=dict)
    #: For type 3 and 5.
    custom_id: str | None = None
    #: The whole message object the component sits on, for type 3.
    message: JsonObject | None = None


class Responder(Protocol):
    """Everything an application can do about one interaction, and in its channel. Each method is one REST route."""

    async def callback(self, type_: int, data: JsonObject | None = None, files: Sequence[File] = ()) -> None:
        """POST /interactions/{id}/{token}/callback. Types 4, 5, 6, 7 and 9; once, and within three seconds."""
        ...

    async def edit_original(self, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        """PATCH /webhooks/{app}/{token}/messages/@original. Returns the message."""
        ...

    async def delete_original(self) -> None:
        """DELETE /webhooks/{app}/{token}/messages/@original."""
        ...

    async def followup(self, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        """POST /webhooks/{app}/{token}. Returns the message."""
        ...

    async def send_message(self, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        """POST /channels/{channel}/messages in the interaction's channel: a plain message. Returns it."""
        ...

    async def edit_message(self, message_id: str, data: JsonObject, files: Sequence[File] = ()) -> JsonObject:
        """PATCH /channels/{channel}/messages/{message}. Returns the message."""
        ...

    async def delete_message(self, message_id: str) -> None:
        """DELETE /channels/{channel}/messages/{message}."""
        ...

    async def download(self, attachment_id: str) -> bytes:
        """Read a resolved attachment of this interaction from the CDN's storage."""
        ...

    def record(self, event: str, **details: object) -> None:
        """
        Note in the world's ledger what this interaction caused, for example the id of its result message.

        The ledger is the judge of tests: it knows the nonce, so it can say which press a message belongs to.
        """
        ...


class Application(Protocol):
    """A bot that runs inside the local Discord."""

    #: Shown as the bot's name.
    name: str
    #: Application commands in the shape of PUT /applications/{app}/commands.
    commands: Sequence[JsonObject]

    async def on_interaction(self, interaction: Interaction, respond: Responder) -> None:
        """Handle one interaction. Runs as a task of its own; an exception is logged and counts as silence."""
        ...
