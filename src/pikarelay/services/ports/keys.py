"""The keys that seal secrets, as they are numbered and replaced. The keys themselves never leave the store."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

import msgspec


class KeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What may be known of a data key."""

    number: int
    #: Tells which root key it hangs on.
    root_fingerprint: str
    #: None for the first one.
    created: datetime | None = None
    #: When the last secret was sealed by it that an older key had sealed. None until then.
    finished: datetime | None = None


class Resealed(msgspec.Struct, frozen=True, kw_only=True):
    """A portion of the secrets that was gone through."""

    looked_at: int
    #: How many of them the newest key seals from now on, and did not before.
    resealed: int
    #: How many are still sealed by an older key: they cannot be opened, or were replaced meanwhile.
    left: int


class KeyStore(Protocol):
    """Data keys, and the secrets that they seal."""

    async def keys(self) -> tuple[KeyFacts, ...]:
        """Return the data keys by their number. The last one seals new secrets; there is at least one."""
        ...

    async def learn(self) -> int:
        """Take in the keys that other processes have made. Returns the number of the one that seals secrets from now on."""
        ...

    async def rotate(self, now: datetime) -> KeyFacts:
        """Make a new data key; while the newest has not replaced all older ones yet, return that one instead."""
        ...

    def reseal(self) -> AsyncIterator[Resealed]:
        """
        Go through all secrets, and seal by the newest key what an older one has sealed.

        Each portion is a small transaction of its own. A pass that ends early has lost nothing, and the next one goes on.
        """
        ...

    async def finish(self, number: int, now: datetime) -> None:
        """Note that this key has replaced all older ones."""
        ...
