"""Holds everything: for a store that no other node sees, where nobody has to be asked."""

from collections.abc import Sequence

from pikarelay.jobs.ownership import EVERYTHING
from pikarelay.workers.tenants import Tenant


class SoleKeeper:
    """Starts when the tenants have."""

    def __init__(self, tenants: Sequence[Tenant]) -> None:
        """`tenants` take up in this order."""
        self._tenants = tenants

    async def start(self) -> None:
        for tenant in self._tenants:
            await tenant.take_up(EVERYTHING)

    async def stop(self) -> None:
        """Do nothing: the tenants stop by themselves, and nobody waits for what they had."""
