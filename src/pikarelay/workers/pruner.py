"""Deletes jobs that are older than the contract promises to keep them."""

from datetime import timedelta

import structlog

from pikarelay.services.ports import Clock, Store
from pikarelay.workers.loop import Loop

_log = structlog.get_logger(__name__)

_EVERY = timedelta(hours=1)


class Pruner:
    """Deletes old final jobs once an hour."""

    def __init__(self, store: Store, clock: Clock, keep_for: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._keep_for = keep_for
        self._loop = Loop("pruner", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _once(self) -> None:
        deleted = await self._store.prune(self._clock.now() - self._keep_for)
        if deleted:
            _log.info("jobs.pruned", count=deleted)
        await self._clock.sleep(_EVERY)
