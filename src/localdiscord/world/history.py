"""The messages of one channel, in the order of their ids."""

from bisect import bisect_left, bisect_right

from localdiscord.world.models import Message


class History:
    """Messages by id. Ephemeral ones are kept aside: they can be edited, but no history shows them."""

    def __init__(self) -> None:
        self._messages: dict[int, Message] = {}
        self._ids: list[int] = []
        self._ephemeral: dict[int, Message] = {}

    def add(self, message: Message) -> None:
        """Add a message; its id is greater than all before."""
        if message.is_ephemeral:
            self._ephemeral[message.id] = message
            return
        self._messages[message.id] = message
        self._ids.append(message.id)

    def remove(self, message_id: int) -> None:
        if self._ephemeral.pop(message_id, None) is None:
            del self._messages[message_id]
            del self._ids[bisect_left(self._ids, message_id)]

    def get(self, message_id: int) -> Message | None:
        """Return the message, ephemeral or not."""
        return self._messages.get(message_id) or self._ephemeral.get(message_id)

    def shown(self, message_id: int) -> Message | None:
        """Return the message unless it is ephemeral."""
        return self._messages.get(message_id)

    def latest(self, limit: int) -> list[Message]:
        return self._newest_first(max(len(self._ids) - limit, 0), len(self._ids))

    def before(self, message_id: int, limit: int) -> list[Message]:
        end = bisect_left(self._ids, message_id)
        return self._newest_first(max(end - limit, 0), end)

    def after(self, message_id: int, limit: int) -> list[Message]:
        """Return the oldest `limit` messages after the id; newest first, as every answer of this route."""
        start = bisect_right(self._ids, message_id)
        return self._newest_first(start, start + limit)

    def around(self, message_id: int, limit: int) -> list[Message]:
        """Return the message of that id, if there is one, between equally many of both sides."""
        middle = bisect_left(self._ids, message_id)
        start = max(middle - limit // 2, 0)
        return self._newest_first(start, start + limit)

    def _newest_first(self, start: int, end: int) -> list[Message]:
        return [self._messages[each] for each in reversed(self._ids[start:end])]

    def __len__(self) -> int:
        return len(self._ids)
