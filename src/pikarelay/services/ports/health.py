"""How accounts fare at Discord."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from pikarelay.jobs.health import AccountHealth


class HealthStore(Protocol):
    """What was last known of each account, by the SHA-256 of its Discord token."""

    async def keep_health(
        self, found: Mapping[bytes, AccountHealth], gone: Collection[bytes], now: datetime
    ) -> None:
        """
        Keep these as seen now, and forget those that are gone, and all that nobody has seen for a day.

        A worker's store passes over those whose session is not the worker's.
        """
        ...

    async def health(self, seen_since: datetime) -> dict[bytes, AccountHealth]:
        """Return all that was seen since then."""
        ...


class AccountsHealth(Protocol):
    """The accounts that this process looks after."""

    def health(self) -> Mapping[bytes, AccountHealth]:
        """Return how each fares, by the SHA-256 of its token."""
        ...
