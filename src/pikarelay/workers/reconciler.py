"""Reads channels of which something may have been missed: one reading for a channel, not for a job."""

from collections.abc import Callable
from datetime import timedelta

from pikarelay.jobs.reconciliation import channels_due
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.ports import Clock, Store
from pikarelay.services.read_history import HistoryReader
from pikarelay.workers.loop import Loop

_EVERY = timedelta(seconds=5)


class Reconciler:
    """Looks for channels that are due, for ever."""

    def __init__(
        self,
        store: Store,
        view: ChannelView,
        history: HistoryReader,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._view = view
        self._history = history
        self._clock = clock
        self._random = random
        #: Drawn anew after each reading, so that channels that began together do not stay together.
        self._jitter: dict[str, float] = {}
        self._loop = Loop("reconciler", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()

    async def _once(self) -> None:
        await self._clock.sleep(_EVERY)
        unfinished = await self._store.unfinished()
        looked_for = [*unfinished, *await self._view.ghosts()]
        due = channels_due(looked_for, self._history.readings, self._clock.now(), self._jitter)
        for channel, jobs in due.items():
            self._jitter[channel] = self._random()
            await self._history.catch_up(jobs)
        self._forget({job.channel for job in unfinished})

    def _forget(self, busy: set[str]) -> None:
        """Keep nothing about channels without unfinished jobs."""
        idle = (set(self._jitter) | set(self._history.readings)) - busy
        self._history.forget(idle)
        for channel in idle:
            self._jitter.pop(channel, None)
