"""
The parts of Discord's payloads that this server reads, and nothing else of them.

A frame is decoded in two steps: first the envelope, whose `d` stays raw bytes; then `d`, and only where somebody
wants it. An unwatched channel's message costs the envelope and two ids.

Snowflakes are strings. Shapes are from Discord's documentation and public descriptions of the user API, as of
2026-08. Unknown fields are skipped; a field we cannot do without raises `WireError`.
"""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

T = TypeVar("T")


#: Ids are compared as numbers here and there, so nothing else may pass for one.
Snowflake = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,20}$")]


class WireError(Exception):
    """
    Discord sent something that cannot be used.

    Says which payload and what its shape is (keys and types), never what is in it: it may be somebody's message.
    """

    def __init__(self, what: str, problem: str, shape: str = "") -> None:
        super().__init__(f"{what}: {problem}" + (f" in {shape}" if shape else ""))
        self.what = what
        self.shape = shape


class Envelope(Struct, frozen=True, gc=False):
    """A Gateway frame. `s` and `t` come with dispatches only."""

    op: int
    d: Raw = Raw(b"null")
    s: int | None = None
    t: str | None = None


class Hello(Struct, frozen=True):
    """Opcode 10. Milliseconds."""

    heartbeat_interval: float


class Ref(Struct, frozen=True):
    """Anything of which only the id matters."""

    id: Snowflake


class Ready(Struct, frozen=True):
    """What we need of READY; the rest, which may be megabytes, is skipped without being built."""

    user: Ref
    session_id: str
    resume_gateway_url: str
    private_channels: tuple[Ref, ...] = ()


class InteractionNotice(Struct, frozen=True):
    """INTERACTION_CREATE, _SUCCESS, _FAILURE and _MODAL_CREATE, as the presser's session gets them."""

    id: str
    nonce: str | int | None = None
    reason_code: int = 1


class MessageHead(Struct, frozen=True, gc=False):
    """Just enough of a message dispatch to know whether it is for us."""

    channel_id: str


class Deletion(Struct, frozen=True):
    """MESSAGE_DELETE has `id`, MESSAGE_DELETE_BULK has `ids`."""

    channel_id: str
    id: str | None = None
    ids: tuple[str, ...] = ()


class User(Struct, frozen=True):
    """A message's author."""

    id: str
    bot: bool = False


class InteractionLink(Struct, frozen=True):
    """`interaction_metadata`, and the older `interaction`, of a message."""

    id: str
    user: Ref | None = None
    user_id: str | None = None
    interacted_message_id: str | None = None
    original_response_message_id: str | None = None

    @property
    def presser_id(self) -> str | None:
        """Who caused it, by either of its spellings."""
        return self.user.id if self.user else self.user_id


class MessageReference(Struct, frozen=True):
    """The message that one replies to."""

    message_id: str | None = None


class Emoji(Struct, frozen=True):
    """A button's picture."""

    name: str | None = None


class Component(Struct, frozen=True):
    """A component of any kind: they nest through `components` and `accessory`."""

    type: int
    custom_id: str | None = None
    label: str | None = None
    emoji: Emoji | None = None
    disabled: bool = False
    #: Of a text display (type 10).
    content: str | None = None
    components: "tuple[Component, ...] | None" = None
    accessory: "Component | None" = None


class File(Struct, frozen=True):
    """An attachment."""

    id: str
    url: str
    proxy_url: str | None = None
    filename: str = ""
    content_type: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None


class Message(Struct, frozen=True, kw_only=True):
    """
    A message, from REST or the Gateway.

    Only the ids are sure: an update may leave out whatever it did not change, so every other field can be UNSET.
    """

    id: Snowflake
    channel_id: str
    author: User | UnsetType = UNSET
    content: str | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET
    edited_timestamp: str | UnsetType | None = UNSET
    flags: int | UnsetType = UNSET
    application_id: str | UnsetType | None = UNSET
    nonce: str | int | UnsetType | None = UNSET
    interaction_metadata: InteractionLink | UnsetType | None = UNSET
    interaction: InteractionLink | UnsetType | None = UNSET
    message_reference: MessageReference | UnsetType | None = UNSET
    mentions: tuple[Ref, ...] | UnsetType = UNSET
    attachments: tuple[File, ...] | UnsetType = UNSET
    components: tuple[Component, ...] | UnsetType = UNSET
    embeds: tuple[dict[str, Any], ...] | UnsetType = UNSET


class Channel(Struct, frozen=True):
    """GET /channels/{channel}. `guild_id` is None in a direct message."""

    id: str
    guild_id: str | None = None


class GatewayAddress(Struct, frozen=True):
    """GET /gateway."""

    url: str


class RefreshedLink(Struct, frozen=True):
    """An attachment's link and the one that takes its place; null for one that Discord does not know."""

    original: str
    refreshed: str | None = None


class RefreshedLinks(Struct, frozen=True):
    """The answer to `POST /attachments/refresh-urls`."""

    refreshed_urls: tuple[RefreshedLink, ...]


class UploadSlot(Struct, frozen=True):
    """Where to put one file, and what to call it afterwards."""

    upload_url: str
    upload_filename: str


class UploadSlots(Struct, frozen=True):
    """POST /channels/{channel}/attachments."""

    attachments: tuple[UploadSlot, ...]


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_envelopes = msgspec.json.Decoder(Envelope)


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return the type's decoder. Made once, since making one takes longer than using it."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder


def read_envelope(payload: bytes) -> Envelope:
    """Decode a frame's outer layer. Raises `WireError`."""
    try:
        return _envelopes.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError("frame", _problem(error), shape_of(payload)) from None


def read(what: str, payload: bytes | Raw, kind: type[T]) -> T:
    """Decode `payload` as a `kind`. Raises `WireError`, which names it `what`."""
    try:
        return _decoder(kind).decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(what, _problem(error), shape_of(payload)) from None


def merge(older: Message, newer: Message) -> Message:
    """Return `newer` with what it leaves out taken from `older`, the same message as last seen."""
    missing = {
        name: getattr(older, name)
        for name in Message.__struct_fields__
        if isinstance(getattr(newer, name), UnsetType)
    }
    return msgspec.structs.replace(newer, **missing)


def shape_of(payload: bytes | Raw) -> str:
    """Return keys and types of a JSON text, three levels deep, without any of its values."""
    try:
        return _shape(msgspec.json.decode(payload), 3)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"{len(bytes(payload))} bytes that are not JSON"


def _shape(value: object, depth: int) -> str:
    if isinstance(value, dict):
        if depth == 0:
            return "{…}"
        # Keys of Discord's own are words; anything else could be content (a map keyed by ids, for example).
        inner = (f"{k if k.isidentifier() else '?'}: {_shape(v, depth - 1)}" for k, v in value.items())
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return f"[{_shape(value[0], depth - 1)} ({len(value)})]" if value and depth else f"[{len(value)}]"
    return "null" if value is None else type(value).__name__


def _problem(error: Exception) -> str:
    # A validation error names types and a path. A syntax error is cut down to its kind.
    return str(error) if isinstance(error, msgspec.ValidationError) else "not JSON"
