"""Discord's channels: messages with their history, and who hears of them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import count

import msgspec

from chaos.simulation.book import Book, Interaction
from pikarelay.jobs.job import Attachment, Button
from pikarelay.jobs.messages import BotMessage, Kind, MessagesDeleted, Sighting
from pikarelay.jobs.snowflakes import first_of

BOT = "8001"
APPLICATION = "8002"


@dataclass
class _Shown:
    message: BotMessage
    #: None for one that is in the history of everybody who reads it.
    only_for: str | None
    is_deleted: bool = False


class Channels:
    """All of them. `tell` hands a sighting to the sessions of a user."""

    def __init__(
        self, book: Book, now: Callable[[], datetime], tell: Callable[[str, Sighting], None]
    ) -> None:
        self._book = book
        self._now = now
        self._tell = tell
        self._serial = count(1)
        self.members: dict[str, tuple[str, ...]] = {}
        self._messages: dict[str, dict[str, _Shown]] = {}

    def open(self, channel: str, members: tuple[str, ...]) -> None:
        self.members[channel] = members
        self._messages[channel] = {}

    def new_id(self) -> str:
        """Return a snowflake of Discord's clock, greater than all before."""
        return str(first_of(self._now()) + next(self._serial))

    def post(self, cause: Interaction, message: BotMessage, *, nonce: str | None = None) -> BotMessage:
        """Put a new message of the bot into the channel; only the presser's sessions see the nonce."""
        only_for = cause.user_id if message.is_ephemeral else None
        self._messages[cause.channel][message.id] = _Shown(message, only_for)
        self._remember(cause, message)
        for user in self.members[cause.channel]:
            if only_for in {None, user}:
                seen = msgspec.structs.replace(message, nonce=nonce if user == cause.user_id else None)
                self._tell(user, seen)
        return message

    def edit(self, cause: Interaction, message_id: str, **changes: object) -> BotMessage | None:
        """Change a message. None when it is gone."""
        shown = self._messages[cause.channel][message_id]
        if shown.is_deleted:
            return None
        stamp = self._now().isoformat()
        shown.message = msgspec.structs.replace(
            shown.message, **{"edited_timestamp": stamp, "is_edit": True, **changes}
        )
        self._remember(cause, shown.message)
        for user in self.members[cause.channel]:
            if shown.only_for in {None, user}:
                self._tell(user, shown.message)
        return shown.message

    def delete(self, channel: str, message_id: str) -> None:
        self._messages[channel][message_id].is_deleted = True
        self._book.note("bot", "deletes {}", message_id)
        for user in self.members[channel]:
            self._tell(user, MessagesDeleted(channel_id=channel, message_ids=(message_id,)))

    def keep(self, message: BotMessage) -> None:
        """Let a message have been there before."""
        self._messages[message.channel_id][message.id] = _Shown(message, None)

    def message(self, channel: str, message_id: str) -> BotMessage | None:
        shown = self._messages.get(channel, {}).get(message_id)
        return None if shown is None or shown.is_deleted or shown.only_for is not None else shown.message

    def history(self, channel: str, after: str) -> tuple[BotMessage, ...]:
        """Return what Discord's history has: no hidden messages, no deleted ones, no nonces."""
        floor = int(after)
        found = (
            shown.message
            for message_id, shown in self._messages[channel].items()
            if int(message_id) > floor and shown.only_for is None and not shown.is_deleted
        )
        return tuple(msgspec.structs.replace(message, is_edit=False) for message in found)

    def _remember(self, cause: Interaction, message: BotMessage) -> None:
        book = self._book
        book.cause_of_message[message.id] = cause
        for file in message.attachments:
            book.cause_of_video[file.id] = cause
        if cause.announced is None and message.kind is not Kind.HIDDEN:
            cause.announced = book.now
        if message.kind is Kind.RESULT and cause.video is None:
            cause.video, cause.message_id = message.attachments[0].id, message.id
            cause.shown = None if message.is_ephemeral else book.now
        if message.kind in {Kind.RESULT, Kind.MODERATED, Kind.FAILED}:
            cause.over = cause.over or book.now
        book.note(
            "bot",
            "says {} about {} in {}: {!r}",
            message.kind.value,
            cause.nonce,
            message.id,
            message.content,
        )
        book.moment("said")


def video(attachment_id: str) -> Attachment:
    url = f"https://cdn.example.org/{attachment_id}/video.mp4"
    return Attachment(
        url=url, proxy_url=url, filename="video.mp4", content_type="video/mp4", size=1, id=attachment_id
    )


def retry_button(custom_id: str) -> tuple[Button, ...]:
    return (Button(name="retry", custom_id=custom_id),)
