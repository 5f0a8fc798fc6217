"""
Keeps how the accounts fare at Discord where every process can read it: this server's operator asks with a command.

What changes is written within a second. Everything is written again every minute, so that what is older is known to be
nobody's: a server that was killed has taken nothing back.
"""

from collections.abc import Mapping
from datetime import timedelta

from pikarelay.jobs.health import AccountHealth
from pikarelay.services.ports import AccountsHealth, Clock, Store
from pikarelay.workers.loop import Loop

_LOOK_EVERY = timedelta(seconds=1)
_WRITE_EVERY = timedelta(minutes=1)


class HealthKeeper:
    """Starts and stops with the accounts."""

    def __init__(self, store: Store, accounts: AccountsHealth, clock: Clock) -> None:
        self._store = store
        self._accounts = accounts
        self._clock = clock
        self._kept: Mapping[bytes, AccountHealth] = {}
        self._written = clock.now() - _WRITE_EVERY
        self._loop = Loop("health_keeper", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        await self._loop.stop()
        await self._store.keep_health({}, self._kept.keys(), self._clock.now())
        self._kept = {}

    async def _once(self) -> None:
        await self._clock.sleep(_LOOK_EVERY)
        now, current = self._clock.now(), dict(self._accounts.health())
        if now - self._written >= _WRITE_EVERY:
            changed, self._written = current, now
        else:
            changed = {digest: its for digest, its in current.items() if self._kept.get(digest) != its}
        gone = self._kept.keys() - current.keys()
        # Before the write: one that fails is made up for within the minute, and what it may have written is taken back.
        self._kept = current
        if changed or gone:
            await self._store.keep_health(changed, gone, now)
