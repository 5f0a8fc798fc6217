"""
Keeps what the Gateway sessions can be gone on with, so that whoever has them next resumes them and misses nothing.

A session that has begun is written at once: one that is not known cannot be resumed, and lingers at Discord, which allows an
account only so many. How far a session has come is written every few seconds, not with each event: after a crash the kept
state is a little old, Discord replays a little more, and whoever is told something twice takes no notice.
"""

import asyncio
from collections.abc import Container, Mapping
from datetime import timedelta

import structlog

from pikarelay.errors import Unavailable
from pikarelay.jobs.ownership import session_name_of
from pikarelay.services.ports import Clock, KeptSession, Sessions, Store
from pikarelay.workers.loop import Loop

_log = structlog.get_logger(__name__)

_LOOK_EVERY = timedelta(seconds=0.5)
_WRITE_EVERY = timedelta(seconds=5)


class SessionKeeper:
    """Starts before the sessions do, and stops after them."""

    def __init__(self, store: Store, sessions: Sessions, clock: Clock) -> None:
        self._store = store
        self._sessions = sessions
        self._clock = clock
        self._kept: Mapping[bytes, KeptSession] = {}
        self._written = clock.now()
        #: One writes at a time: what was read before another wrote is not to be written after it.
        self._writing = asyncio.Lock()
        #: How many sessions had begun, or gone on, when they were written last.
        self._lives = sessions.lives()
        self._loop = Loop("session_keeper", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def take_up(self, names: Container[str]) -> None:
        """Hand over what is kept of these sessions, before they are opened."""
        mine = await self._store.kept_sessions(names)
        self._sessions.resume(mine)
        self._kept = {**self._kept, **mine}

    async def let_go(self, names: Container[str]) -> None:
        """Keep the last state of these sessions, which are closed by now, and know nothing of them any more."""
        await self._keep()
        gone = _named(names, {**self._kept, **self._sessions.sessions()})
        self._sessions.drop(gone)
        self._kept = {digest: kept for digest, kept in self._kept.items() if digest not in gone}

    async def stop(self) -> None:
        await self._loop.stop()
        try:
            await self._keep()
        except Unavailable:
            # They are gone on with from a few seconds ago.
            _log.warning("sessions.not_kept")

    async def _once(self) -> None:
        await self._clock.sleep(_LOOK_EVERY)
        if self._sessions.lives() != self._lives or self._clock.now() - self._written >= _WRITE_EVERY:
            await self._keep()

    async def _keep(self) -> None:
        async with self._writing:
            lives = self._sessions.lives()
            current = dict(self._sessions.sessions())
            if current != self._kept:
                changed = {digest: kept for digest, kept in current.items() if self._kept.get(digest) != kept}
                await self._store.keep_sessions(changed, self._kept.keys() - current.keys())
                self._kept = current
            self._written, self._lives = self._clock.now(), lives


def _named(names: Container[str], sessions: Mapping[bytes, KeptSession]) -> dict[bytes, KeptSession]:
    return {digest: kept for digest, kept in sessions.items() if session_name_of(digest) in names}
