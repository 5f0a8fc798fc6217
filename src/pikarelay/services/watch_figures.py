"""How much there is of everything that a watcher counts: counted every few seconds, however many ask."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import msgspec

from pikarelay.errors import Unavailable
from pikarelay.services.ports import Clock, Figures, WatchedStore

#: How long a count is good for, and how long it may take.
_GOOD_FOR_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0


class Counted(msgspec.Struct, frozen=True):
    """A count, and how long the callback has been due that is due the longest."""

    figures: Figures
    oldest_due: timedelta


class FiguresWatch:
    """Counts, and remembers for some seconds."""

    def __init__(self, store: WatchedStore, clock: Clock, seconds: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        #: A clock that only goes forward.
        self._seconds = seconds
        self._looking = asyncio.Lock()
        self._counting: asyncio.Task[Figures] | None = None
        self._counted: Counted | None = None
        self._counted_at: float | None = None

    async def counted(self) -> Counted | None:
        """Return what there is, or was some seconds ago. None when the store cannot say, or not in time."""
        async with self._looking:
            if self._counted_at is None or self._seconds() - self._counted_at >= _GOOD_FOR_SECONDS:
                self._counted = await self._count()
                self._counted_at = self._seconds()
        return self._counted

    async def _count(self) -> Counted | None:
        now = self._clock.now()
        if self._counting is None:
            self._counting = asyncio.create_task(self._store.figures(now))
        # One that is stuck is waited for again by the next look, so there is never more than one.
        await asyncio.wait({self._counting}, timeout=_PATIENCE_SECONDS)
        if not self._counting.done():
            return None
        counting, self._counting = self._counting, None
        try:
            figures = counting.result()
        except Unavailable:
            return None
        waits = timedelta() if figures.oldest_due is None else now - figures.oldest_due
        return Counted(figures, max(waits, timedelta()))
