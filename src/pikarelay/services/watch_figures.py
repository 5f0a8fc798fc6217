"""How much there is of everything that a watcher counts: counted every few seconds, however many ask."""

from collections.abc import Callable
from datetime import timedelta

import msgspec

from pikarelay.errors import Unavailable
from pikarelay.services.looking import Patient, Remembered, StillAsking
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
        """`seconds` is a clock that only goes forward."""
        self._store = store
        self._clock = clock
        self._counting = Patient[Figures](_PATIENCE_SECONDS)
        self._counted = Remembered(self._count, _GOOD_FOR_SECONDS, seconds)

    async def counted(self) -> Counted | None:
        """Return what there is, or was some seconds ago. None when the store cannot say, or not in time."""
        return await self._counted.get()

    async def _count(self) -> Counted | None:
        now = self._clock.now()
        try:
            figures = await self._counting.ask(lambda: self._store.figures(now))
        except (StillAsking, Unavailable):
            return None
        waits = timedelta() if figures.oldest_due is None else now - figures.oldest_due
        return Counted(figures, max(waits, timedelta()))
