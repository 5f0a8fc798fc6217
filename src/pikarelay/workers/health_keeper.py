"""
Keeps how the accounts fare at Discord where every process can read it: this server's operator asks with a command.

What changes is written within a second. Everything is written again every minute, so that what is older is known to be
nobody's: a server that was killed has taken nothing back.

Of several workers each keeps and takes back only what is about sessions that it holds: another has written about the rest.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from pikarelay.errors import Unavailable
from pikarelay.jobs.health import AccountHealth
from pikarelay.services.ports import AccountsHealth, Clock, Store
from pikarelay.workers.loop import Loop

_log = structlog.get_logger(__name__)

_LOOK_EVERY = timedelta(seconds=1)
_WRITE_EVERY = timedelta(minutes=1)


class HealthKeeper:
    """Starts and stops with the accounts."""

    def __init__(
        self,
        store: Store,
        accounts: AccountsHealth,
        clock: Clock,
        keeps: Callable[[bytes], bool] = lambda _: True,
    ) -> None:
        """`store` is as this worker sees it. `keeps` says whether a session is this worker's, by the SHA-256 of its token."""
        self._keeps = keeps
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
        try:
            await self._store.keep_health({}, self._gone({}), self._clock.now())
        except Unavailable:
            # In a minute it is known to be nobody's.
            _log.warning("health.not_taken_back")
        self._kept = {}

    async def _once(self) -> None:
        await self._clock.sleep(_LOOK_EVERY)
        # Of others' accounts there may be some here as well, whose links were renewed.
        current = {digest: its for digest, its in self._accounts.health().items() if self._keeps(digest)}
        now = self._clock.now()
        if now - self._written >= _WRITE_EVERY:
            changed, self._written = current, now
        else:
            changed = {digest: its for digest, its in current.items() if self._kept.get(digest) != its}
        gone = self._gone(current)
        # Before the write: one that fails is made up for within the minute, and what it may have written is taken back.
        self._kept = current
        if changed or gone:
            await self._store.keep_health(changed, gone, now)

    def _gone(self, current: Mapping[bytes, AccountHealth]) -> list[bytes]:
        return [digest for digest in self._kept.keys() - current.keys() if self._keeps(digest)]
