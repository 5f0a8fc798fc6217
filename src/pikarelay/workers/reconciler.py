"""Reads channels of which something may have been missed: one reading for a channel, not for a job."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from pikarelay.jobs.job import Job
from pikarelay.jobs.reconciliation import channels_due
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.ports import Clock, Store
from pikarelay.services.read_history import HistoryReader
from pikarelay.workers.loop import Loop

_log = structlog.get_logger(__name__)

_EVERY = timedelta(seconds=5)
#: So many channels are read side by side. The reader has room for more, for those whose jobs' time is up.
_AT_ONCE = 8


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
        #: The channels that are being read.
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._loop = Loop("reconciler", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _once(self) -> None:
        await self._clock.sleep(_EVERY)
        unfinished = await self._store.unfinished()
        looked_for = [*unfinished, *await self._view.ghosts()]
        due = channels_due(looked_for, self._history.readings, self._clock.now(), self._jitter)
        for channel, jobs in due.items():
            # One that takes long holds up no other, in this round or the next.
            if channel not in self._under_way:
                await self._places.acquire()
                self._jitter[channel] = self._random()
                self._under_way[channel] = asyncio.create_task(
                    self._read(channel, jobs), name=f"history {channel}"
                )
        self._forget({job.channel for job in unfinished})

    async def _read(self, channel: str, jobs: Sequence[Job]) -> None:
        try:
            await self._history.catch_up(jobs)
        except Exception:  # noqa: BLE001 -- a defect, or the store is out of order; another round comes
            _log.exception("history.reading_failed", channel=channel)
        finally:
            del self._under_way[channel]
            self._places.release()

    def _forget(self, busy: set[str]) -> None:
        """Keep nothing about channels without unfinished jobs."""
        idle = (set(self._jitter) | set(self._history.readings)) - busy
        self._history.forget(idle)
        for channel in idle:
            self._jitter.pop(channel, None)
