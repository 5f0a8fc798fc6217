"""How the store does, for whoever watches over the server."""

from datetime import datetime
from typing import Protocol

import msgspec


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """How a store that takes writes is otherwise."""

    #: Whether this version may work on the database's schema. Another process may have migrated it.
    has_schema: bool
    #: Whether what is sealed can be opened.
    has_key: bool


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of what a watcher counts. Names that nothing is counted under may be absent."""

    #: Unfinished jobs by status.
    jobs: dict[str, int]
    #: Of these, jobs whose press has not left.
    presses_waiting: int
    #: Callbacks that wait for a try or are given up, by state.
    callbacks: dict[str, int]
    #: Targets of callbacks: `healthy`, `failing`, `paused` or `disabled`.
    targets: dict[str, int]
    #: When that callback was due which is due the longest, of those that may be tried. Future when none is due; None when
    #: none waits.
    oldest_due: datetime | None


class WatchedStore(Protocol):
    """What a watcher asks of the store."""

    async def probe(self) -> Condition:
        """Write something that changes nothing, and return once it is on the disk. Raises `Unavailable`."""
        ...

    async def figures(self, now: datetime) -> Figures:
        """Count, in one statement that looks at nothing finished. Raises `Unavailable`."""
        ...
