"""
The job: what a caller asked for, where it stands, and what is known of its press.

A `Job` is a frozen value. It changes only by `pikarelay.jobs.lifecycle.apply`, which returns a new one; the links of a
finished one are renewed by `pikarelay.jobs.links`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from pikarelay.jobs.secret import Secret


class Status(StrEnum):
    """
    Where a job stands.

    The first three are unfinished, the other four final. `CREATED` is ours alone (the row is written, the bot has
    not answered) and is shown to callers as `started`, because official clients give up on any other word.
    """

    CREATED = "created"
    STARTED = "started"
    PROGRESS = "progress"
    COMPLETED = "completed"
    MODERATED = "moderated"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({Status.COMPLETED, Status.MODERATED, Status.FAILED, Status.CANCELLED})


class Verb(StrEnum):
    """What kind of job it is, in the contract's words."""

    CREATE = "pika-create"
    ANIMATE = "pika-animate"
    ENCRYPT_TEXT = "pika-encrypt_text"
    ENCRYPT_IMAGE = "pika-encrypt_image"
    BUTTON = "pika-button"


class PressPhase(StrEnum):
    """
    How far the press (or the command) has come. Moves forward only.

    `WAITING` has certainly not left this server, so it may be sent after a restart. From `SENT` on it may have
    reached Discord and is never sent again, whatever happens. After `SETTLED` and `REFUSED` nothing comes of it any
    more: the bot has said its last word about it, or Discord refused it for certain.
    """

    WAITING = "waiting"
    SENT = "sent"
    ACCEPTED = "accepted"
    BOUND = "bound"
    SETTLED = "settled"
    REFUSED = "refused"


class Button(msgspec.Struct, frozen=True, kw_only=True):
    """A button on a bot's message: the name we show, and what Discord wants to be told when it is pressed."""

    #: Lower-case label without emoji: `retry`, `remix`.
    name: str
    custom_id: str
    #: Discord's component type; 2 is a button.
    component_type: int = 2
    disabled: bool = False


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file on a bot's message, with the keys of the contract. Sizes in bytes and pixels."""

    url: str
    proxy_url: str
    filename: str
    content_type: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    id: str
    #: What its copy in the mirror is called. None when the job completed without a mirror.
    copy_name: str | None = None


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a caller sent: its size in bytes, its type as the contract shows it, and where it is kept."""

    size: int
    type: str
    #: Name of the stored file, made by us. The caller's own file name means nothing and is not kept.
    key: str
    #: SHA-256 of its bytes, hexadecimal: tells a repeated request from another one.
    digest: str = ""


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the bot that may have announced one of several presses, and nothing said which."""

    message_id: str
    #: The jobs of those presses.
    job_ids: tuple[str, ...]


class Press(msgspec.Struct, frozen=True, kw_only=True):
    """
    All we know of one press: the links that tie it to what the bot says, each filled in as it is learnt.

    A press is a button press or a command: both are one interaction at Discord, with one nonce.
    """

    phase: PressPhase = PressPhase.WAITING
    #: Our own id for the interaction, sent to Discord and echoed by it. Unique; fixed when the job is admitted.
    nonce: str
    #: The message whose button is pressed. None for a command.
    parent_message_id: str | None = None
    #: `flags` of that message, which Discord wants to be told.
    parent_message_flags: int = 0
    #: The button pressed. None for a command.
    custom_id: str | None = None
    #: Discord's type of that component; 2 is a button.
    component_type: int = 2
    #: The bot's application. None until a command's application is looked up.
    application_id: str | None = None
    #: The bot's own user: the only author whose messages can be about this press. None until sent.
    bot_id: str | None = None
    #: Who pressed: the Discord user behind the token. None until sent.
    user_id: str | None = None
    #: No message older than this snowflake can be about this press. None until sent.
    floor_id: str | None = None
    #: When it was sent. None until then.
    sent: datetime | None = None
    #: Discord's id of the interaction. None until Discord says it, which may be never.
    interaction_id: str | None = None
    #: True once a message was tied to this job by its text alone.
    weak: bool = False
    #: What may have announced it.
    doubts: tuple[Doubt, ...] = ()

    @property
    def is_unbound(self) -> bool:
        """Whether it left this server and no message of the bot is tied to it yet."""
        return self.phase in {PressPhase.SENT, PressPhase.ACCEPTED}

    @property
    def is_over(self) -> bool:
        """Whether nothing comes of it any more."""
        return self.phase in {PressPhase.SETTLED, PressPhase.REFUSED}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One unit of work that a caller asked for."""

    job_id: str
    caller_id: str
    verb: Verb
    status: Status = Status.CREATED
    created: datetime
    updated: datetime

    prompt: str | None = None
    #: Text to hide in the video (encrypt_text).
    message: str | None = None
    #: Image to hide in the video (encrypt_image).
    message_image: Upload | None = None
    font: str | None = None
    image: Upload | None = None
    #: The button asked for, by name (button jobs).
    button: str | None = None
    parent_job_id: str | None = None

    discord_token: Secret
    channel: str
    max_jobs: int
    reply_url: str | None = None
    reply_ref: str | None = None

    press: Press

    #: The bot's message shown to callers: the first visible one, later the one with the result.
    message_id: str | None = None
    message_flags: int = 0
    content: str | None = None
    #: Discord's own text for the message's time, kept as it came.
    timestamp: str | None = None
    #: The buttons of the result. Empty until completed.
    buttons: tuple[Button, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    #: Extra information of the bot's message, in Discord's own shape.
    embeds: tuple[dict[str, Any], ...] = ()

    #: Why it failed or was moderated. None on any other status.
    error: str | None = None
    #: Discord's own words about it, as text.
    error_details: str | None = None
    #: True when Discord's 429 took the job back. Its caller was told that there is none, and nobody is shown one; it is
    #: kept as failed only to recognise what comes of its press all the same.
    is_withdrawn: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the status can never change again."""
        return self.status in FINAL

    @property
    def callback_is_due(self) -> bool:
        """Whether its caller wants to be called back, and there is something to say."""
        return self.is_final and self.reply_url is not None

    @property
    def uploads(self) -> tuple[Upload, ...]:
        """The files that live as long as it does."""
        return tuple(upload for upload in (self.image, self.message_image) if upload is not None)

    @property
    def text(self) -> str:
        """What the bot's messages about this job quote; empty when there is nothing to quote."""
        return self.prompt or ""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's Discord set-up on one channel."""

    caller_id: str
    channel: str
    discord_token: Secret
    max_jobs: int
    updated: datetime


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever holds an API token. Jobs, accounts and capacity belong to a caller."""

    caller_id: str
    name: str
    created: datetime
    #: Last day of the subscription, UTC. None means: no end.
    subscribed_until: datetime | None = None
    has_subscription: bool = True
    #: Where callbacks go when a request names no `replyUrl`.
    reply_url: str | None = None
