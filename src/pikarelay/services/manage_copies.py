"""Look at copies, and have them made again, for the operator."""

from collections.abc import Callable, Mapping

from pikarelay.jobs.mirror import CopyCount, CopyRecord, CopyState
from pikarelay.services.ports import Clock, Store


class CopyOffice:
    """What the command line does with copies."""

    def __init__(self, store: Store, clock: Clock, wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        #: Tells whoever makes copies in this process, if anybody.
        self._wake = wake

    async def counts(self) -> Mapping[CopyState, CopyCount]:
        """Return for every state how many copies there are."""
        found = await self._store.count_copies()
        return {state: found.get(state, CopyCount(0, 0)) for state in CopyState}

    async def undone(self, limit: int) -> tuple[CopyRecord, ...]:
        """Return those that wait or have failed, oldest first."""
        return await self._store.undone_copies(limit)

    async def retry(self, job_id: str | None = None) -> int:
        """Let all that failed or wait for another try be tried now; or all of one job, made ones too. Returns how many."""
        count = await self._store.retry_copies(self._clock.now(), job_id)
        self._wake()
        return count
