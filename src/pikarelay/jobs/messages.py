"""
What Discord tells us, in the core's own words.

`pikarelay.discord.wire` makes these from Discord's payloads; nothing else of Discord's dialect is known above it.
Snowflakes are kept as decimal strings.
"""

from enum import StrEnum
from typing import Any

import msgspec

from pikarelay.jobs.job import Attachment, Button


class Kind(StrEnum):
    """What the bot says with a message, read from its shape and its prose."""

    #: Only an acknowledgement: empty, still loading, or hidden (ephemeral) without meaning.
    HIDDEN = "hidden"
    #: Work is queued or under way.
    UPDATE = "update"
    #: The video is there.
    RESULT = "result"
    #: The bot refused the content.
    MODERATED = "moderated"
    #: The bot gave up.
    FAILED = "failed"


class BotMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message as Discord last showed it, created or edited."""

    id: str
    channel_id: str
    author_id: str
    kind: Kind
    content: str = ""
    #: Discord's own text.
    timestamp: str
    #: None until the message is edited.
    edited_timestamp: str | None = None
    flags: int = 0
    #: True when it came as an edit of a message that was there before.
    is_edit: bool = False
    #: True when only we can see it; such a message is never in the channel's history.
    is_ephemeral: bool = False
    application_id: str | None = None
    nonce: str | None = None
    #: The interaction this message answers, when Discord says so.
    interaction_id: str | None = None
    #: Who caused that interaction.
    interaction_user_id: str | None = None
    #: The message whose component was pressed, when Discord says so.
    interacted_message_id: str | None = None
    #: For a follow-up: the interaction's first message.
    original_response_message_id: str | None = None
    #: The message this one replies to.
    referenced_message_id: str | None = None
    #: Users mentioned, by the message's list or in its text.
    mentions: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    buttons: tuple[Button, ...] = ()
    embeds: tuple[dict[str, Any], ...] = ()


class InteractionAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """Discord took our interaction and gave it an id. May come before the HTTP answer."""

    nonce: str
    interaction_id: str


class InteractionAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """The bot acknowledged our interaction in time."""

    nonce: str
    interaction_id: str


class InteractionFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The bot did not answer our interaction, or answered nonsense."""

    nonce: str
    interaction_id: str
    #: Discord's number: 1 unknown, 2 the bot was silent for three seconds.
    reason: int


class FormOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The bot answered our interaction with a form to fill in, which we do not do."""

    nonce: str
    interaction_id: str


class MessagesDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Messages are gone."""

    channel_id: str
    message_ids: tuple[str, ...]


class FeedInterrupted(msgspec.Struct, frozen=True, kw_only=True):
    """
    The stream of sightings has, or may have, a gap: a new session began where an old one could not be resumed.

    What happened in the gap must be read from the channels' history.
    """


Sighting = (
    BotMessage
    | InteractionAccepted
    | InteractionAnswered
    | InteractionFailed
    | FormOpened
    | MessagesDeleted
    | FeedInterrupted
)
