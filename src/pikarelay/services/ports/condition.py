"""How the store does, for whoever watches over the server."""

from typing import Protocol

import msgspec


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """How a store that takes writes is otherwise."""

    #: Whether the database has the schema that this version needs. Another process may have migrated it.
    has_schema: bool
    #: Whether what is sealed can be opened.
    has_key: bool


class WatchedStore(Protocol):
    """What a watcher asks of the store."""

    async def probe(self) -> Condition:
        """Write something that changes nothing, and return once it is on the disk. Raises `Unavailable`."""
        ...
