"""
How much memory unfinished requests may take, all of them together.

Each connection has a little for nothing, which is more than an ordinary request needs: whoever sends one is heard however
full it is. What goes beyond that comes out of what all share, and where nothing is left of it, is not taken.
"""

import sys
from typing import Final


class Room:
    """What the connections of one server share. Sizes are in bytes."""

    def __init__(self, size: int, own: int) -> None:
        self._size = size
        #: What every connection has for itself.
        self.own = own
        #: What is taken of that which is shared.
        self.taken = 0

    def move(self, size: int) -> bool:
        """Take so much more of it, or less. False, and nothing is taken, when that is more than there is."""
        if size > 0 and self.taken + size > self._size:
            return False
        self.taken += size
        return True


#: For who has no neighbours.
ENDLESS: Final = Room(sys.maxsize, 0)


class Place:
    """What one connection holds."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.held = 0

    def take(self, size: int) -> bool:
        """Hold so much more. False when there is no room for it: it is not counted, and must not be kept."""
        return self._hold(self.held + size)

    def give(self, size: int) -> None:
        """Hold so much less."""
        self._hold(max(0, self.held - size))

    def keep(self, size: int) -> None:
        """Hold no more than this."""
        self._hold(min(self.held, size))

    def _hold(self, held: int) -> bool:
        own = self._room.own
        has_room = self._room.move(max(0, held - own) - max(0, self.held - own))
        if has_room:
            self.held = held
        return has_room
