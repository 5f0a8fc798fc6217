"""
What a process's descriptors are shared out for.

A connection, a file and a socket take one each. Whoever lets callers have all of them can then reach neither Discord nor
receivers, and takes its own want for their failure; so every part has a share that the others cannot use up.
"""

from typing import Self

import msgspec
import structlog

from pikarelay.system import raise_descriptor_limit

#: What a server has open by itself: files, the loop, its database.
_OWN = 32
#: What each part gets at most, and which fraction of what there is when that is not enough.
_MOST_TRIES, _TRIES = 256, 5
_MOST_UPLOADS, _UPLOADS = 128, 8
_MOST_TOLD, _TOLD = 100, 16
#: Sessions and requests at Discord, names, copies to a mirror.
_MOST_OTHERS, _OTHERS = 508, 4

_log = structlog.get_logger(__name__)


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """How many descriptors each part of a server may have open at once."""

    #: Callers' connections that are served, and those that are told that there is no room.
    connections: int
    told: int
    #: Files that are being uploaded.
    uploads: int
    #: Callbacks that are being tried.
    tries: int

    @classmethod
    def of(cls, allowed: int, connections: int) -> Self:
        """Share out so many, of which callers want `connections`."""
        rest = max(0, allowed - _OWN)
        tries, uploads = min(_MOST_TRIES, rest // _TRIES), min(_MOST_UPLOADS, rest // _UPLOADS)
        told, others = min(_MOST_TOLD, rest // _TOLD), min(_MOST_OTHERS, rest // _OTHERS)
        left = rest - tries - uploads - told - others
        return cls(
            connections=max(1, min(connections, left)),
            told=max(1, told),
            uploads=max(1, uploads),
            # One for receivers that do well, one for those that do not.
            tries=max(2, tries),
        )


def take_shares(connections: int) -> Shares:
    """Raise this process's limit to what it needs, if it may, and share out what it has."""
    wanted = connections + _OWN + _MOST_TRIES + _MOST_UPLOADS + _MOST_TOLD + _MOST_OTHERS
    allowed = raise_descriptor_limit(wanted)
    shares = Shares.of(allowed, connections)
    if allowed < wanted:
        _log.warning("server.few_descriptors", descriptors=allowed, **msgspec.structs.asdict(shares))
    return shares
