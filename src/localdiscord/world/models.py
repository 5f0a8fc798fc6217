"""The records the world is made of. Ids are snowflakes as integers in here, and strings only on the wire."""

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

#: Message flags.
EPHEMERAL = 1 << 6
LOADING = 1 << 7
COMPONENTS_V2 = 1 << 15

#: Channel types.
GUILD_TEXT = 0
DIRECT_MESSAGE = 1

#: Interaction types.
COMMAND = 2
COMPONENT = 3
MODAL_SUBMIT = 5


@dataclass(slots=True, eq=False)
class User:
    """A person or a bot."""

    id: int
    username: str
    token: str
    bot: bool = False
    #: False once revoked: REST answers 401, the Gateway closes with 4004.
    token_valid: bool = True


@dataclass(slots=True, eq=False)
class Command:
    """One registered application command."""

    id: int
    application_id: int
    #: Changes with every change of the command; an interaction must name the current one.
    version: int
    #: None when it is registered everywhere.
    guild_id: int | None
    #: What the application registered, as it sent it.
    spec: Json


@dataclass(slots=True, eq=False)
class Application:
    """An application and its bot user."""

    id: int
    name: str
    bot: User
    public_key: str
    commands: dict[int, Command] = field(default_factory=dict)
    #: Version of the whole command index.
    index_version: int = 0


@dataclass(slots=True, eq=False)
class Guild:
    """A guild. `member_ids` holds those the world knows; `member_count` may claim more."""

    id: int
    name: str
    owner_id: int
    created: float
    member_ids: list[int] = field(default_factory=list)
    #: Claimed size; over 250, users must subscribe before they see message events.
    claimed_members: int | None = None
    channel_ids: list[int] = field(default_factory=list)

    @property
    def member_count(self) -> int:
        return max(self.claimed_members or 0, len(self.member_ids))


@dataclass(slots=True, eq=False)
class Channel:
    """A guild's text channel or a direct message."""

    id: int
    type: int
    name: str = ""
    guild_id: int | None = None
    #: Both sides of a direct message; empty in a guild.
    recipient_ids: tuple[int, ...] = ()
    position: int = 0
    #: Seconds between two messages of one user; 0 is off.
    slow_mode: int = 0
    last_message_id: int | None = None


@dataclass(slots=True, eq=False)
class Attachment:
    """A stored file."""

    id: int
    #: The channel it was sent to, or for ephemeral ones the application's id: the first part of its link's path.
    owner_id: int
    filename: str
    content_type: str | None
    data: bytes
    width: int | None = None
    height: int | None = None
    description: str | None = None
    ephemeral: bool = False


@dataclass(slots=True, eq=False)
class Interaction:
    """One accepted interaction, from the press to the end of its token."""

    id: int
    type: int
    token: str
    application_id: int
    channel_id: int
    guild_id: int | None
    user_id: int
    session_id: str
    nonce: str | None
    created: float
    #: `data` as the application reads it.
    data: Json
    attachments: dict[int, Attachment] = field(default_factory=dict)
    #: The message the pressed component sits on.
    message: "Message | None" = None
    state: Literal["pending", "acknowledged", "expired"] = "pending"
    #: Callback type of the answer, once given.
    callback_type: int | None = None
    #: What `@original` means: the response, or for callbacks 6 and 7 the pressed message.
    original_id: int | None = None
    #: Set by callback 9: the form a user may submit.
    modal: Json | None = None


@dataclass(slots=True, eq=False)
class Message:
    """A message, ephemeral ones included."""

    id: int
    channel_id: int
    guild_id: int | None
    author_id: int
    created: float
    content: str = ""
    type: int = 0
    flags: int = 0
    edited: float | None = None
    tts: bool = False
    attachments: list[Attachment] = field(default_factory=list)
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    mention_ids: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    #: The message it answers, as `message_reference`.
    reference_id: int | None = None
    #: Set on responses and follow-ups; None on plain messages.
    interaction: Interaction | None = None
    #: On follow-ups: the response they follow.
    original_response_id: int | None = None
    #: Who alone sees an ephemeral message, besides its author.
    visible_to: int | None = None

    @property
    def is_ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)
