"""
Gateway dispatches, read into the sightings that the core understands.

Only watched channels are read. The last messages seen there are remembered for an hour, at most 256 of them, because an
update may leave out what it does not change.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from msgspec import Raw, Struct, UnsetType

from pikarelay.discord.wire import payloads
from pikarelay.discord.wire.bot_messages import Prose
from pikarelay.discord.wire.messages import bot_message
from pikarelay.jobs.messages import (
    BotMessage,
    FormOpened,
    InteractionAccepted,
    InteractionAnswered,
    InteractionFailed,
    MessagesDeleted,
    Sighting,
)

REMEMBERED: Final = 256
REMEMBERED_SECONDS: Final = 3600.0


class Ignored(Struct, frozen=True):
    """Something of Discord's that means nothing to us. `what` is its name or number, never its content."""

    what: str


class _Seen(NamedTuple):
    message: payloads.Message
    at: float


class DispatchReader:
    """Reads one session's dispatches. `watched` is asked for each message, so it may change at any time."""

    def __init__(self, prose: Prose, is_watched: Callable[[str], bool]) -> None:
        self._prose = prose
        self._is_watched = is_watched
        self._seen: OrderedDict[str, _Seen] = OrderedDict()

    def read(self, name: str, payload: Raw, now: float) -> Sighting | Ignored:
        """
        Return what the dispatch `name` tells, or `Ignored`. `now` is in seconds, from any fixed start.

        Raises `WireError` when something we need is missing.
        """
        if name in {"MESSAGE_CREATE", "MESSAGE_UPDATE"}:
            return self._message(name, payload, now)
        if name in {"MESSAGE_DELETE", "MESSAGE_DELETE_BULK"}:
            return self._deletion(name, payload)
        if name.startswith("INTERACTION_"):
            return _interaction(name, payload)
        return Ignored(name)

    def _message(self, name: str, payload: Raw, now: float) -> BotMessage | Ignored:
        if not self._is_watched(payloads.read(name, payload, payloads.MessageHead).channel_id):
            return Ignored(name)
        message = payloads.read(name, payload, payloads.Message)
        seen = self._recall(message.id, now)
        if seen is not None and name == "MESSAGE_UPDATE":
            message = payloads.merge(seen, message)
        if isinstance(message.author, UnsetType) or isinstance(message.timestamp, UnsetType):
            # The edit of a message from before our time, reduced to what changed: nothing can be made of it here.
            # If it matters, it is in the channel's history.
            return Ignored(name)
        if not message.author.bot:
            return Ignored(name)
        self._remember(message, now)
        return bot_message(message, self._prose, is_edit=name == "MESSAGE_UPDATE")

    def _deletion(self, name: str, payload: Raw) -> MessagesDeleted | Ignored:
        deletion = payloads.read(name, payload, payloads.Deletion)
        if not self._is_watched(deletion.channel_id):
            return Ignored(name)
        ids = deletion.ids if deletion.id is None else (deletion.id,)
        for message_id in ids:
            self._seen.pop(message_id, None)
        return MessagesDeleted(channel_id=deletion.channel_id, message_ids=ids)

    def _recall(self, message_id: str, now: float) -> payloads.Message | None:
        while self._seen and next(iter(self._seen.values())).at < now - REMEMBERED_SECONDS:
            self._seen.popitem(last=False)
        seen = self._seen.get(message_id)
        return seen and seen.message

    def _remember(self, message: payloads.Message, now: float) -> None:
        self._seen[message.id] = _Seen(message, now)
        self._seen.move_to_end(message.id)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


def _interaction(name: str, payload: Raw) -> Sighting | Ignored:
    if name not in {
        "INTERACTION_CREATE",
        "INTERACTION_SUCCESS",
        "INTERACTION_FAILURE",
        "INTERACTION_MODAL_CREATE",
    }:
        return Ignored(name)
    notice = payloads.read(name, payload, payloads.InteractionNotice)
    if notice.nonce is None:
        return Ignored(name)
    nonce = str(notice.nonce)
    match name:
        case "INTERACTION_CREATE":
            return InteractionAccepted(nonce=nonce, interaction_id=notice.id)
        case "INTERACTION_SUCCESS":
            return InteractionAnswered(nonce=nonce, interaction_id=notice.id)
        case "INTERACTION_FAILURE":
            return InteractionFailed(nonce=nonce, interaction_id=notice.id, reason=notice.reason_code)
        case _:
            return FormOpened(nonce=nonce, interaction_id=notice.id)
