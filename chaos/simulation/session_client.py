"""One token's Gateway session, as the server sees it: connects, resumes, and hands over what it is shown, in order."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from random import Random

from chaos.simulation.book import Book
from chaos.simulation.loop import VirtualLoop
from chaos.simulation.streams import Session, Streams
from pikarelay.discord.client.delivery import Delivery
from pikarelay.discord.wire.session import SessionState
from pikarelay.errors import DiscordUnavailable
from pikarelay.jobs.messages import FeedInterrupted, Sighting
from pikarelay.services.ports import Identity, KeptSession

OnSighting = Callable[[Identity, Sighting], Awaitable[None]]


class _Connection:
    """One connection. A `streams.Listener`."""

    def __init__(self, client: "SessionClient") -> None:
        self._client = client

    def receive(self, sequence: int, sighting: Sighting | None) -> None:
        self._client.receive(self, sequence, sighting)

    def cut(self) -> None:
        self._client.lose(self)


class SessionClient:
    """See the module. Made in its process, where it connects at once."""

    def __init__(
        self,
        user_id: str,
        book: Book,
        loop: VirtualLoop,
        streams: Streams,
        on_sighting: OnSighting,
        chance: Random,
        kept: KeptSession | None,
    ) -> None:
        self.user_id = user_id
        self._book = book
        self._loop = loop
        self._streams = streams
        self._on_sighting = on_sighting
        self._chance = chance
        self._connection: _Connection | None = None
        self._session: Session | None = None
        #: The session to go on with, and its last dispatch that was received.
        self._session_id = kept.session_id if kept else None
        self._received = kept.sequence if kept else 0
        self._has_begun = kept is not None
        self._offline_since = loop.time()
        self._live, self._lost = asyncio.Event(), asyncio.Event()
        self._delivery = Delivery(self._hand_over)
        self._connecting = asyncio.create_task(self._connect())
        self._delivery.start()

    def kept(self) -> KeptSession | None:
        """Return what another process can go on with, so that it sees again what was not taken in here."""
        oldest = self._delivery.oldest
        state = self._state(self._session_id, self._received) if oldest is None else oldest.before
        if state is None:
            return None
        return KeptSession(
            user_id=state.user_id,
            session_id=state.session_id,
            sequence=state.sequence,
            resume_url=state.resume_url,
        )

    async def wait_live(self, patience: timedelta) -> None:
        """Return once there is a session. Raises `DiscordUnavailable` when there has been none for so long."""
        if self._live.is_set():
            return
        left = patience.total_seconds() - (self._loop.time() - self._offline_since)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left)):
                await self._live.wait()
        if not self._live.is_set():
            raise DiscordUnavailable("The account's Gateway session is not live", may_have_happened=False)

    async def stop(self) -> None:
        """Leave the session so that it can be gone on with, and hand over what has come."""
        self._connecting.cancel()
        self.cut()
        await self._delivery.stop()

    def cut(self) -> None:
        if self._session is not None and self._connection is not None:
            self._streams.leave(self._session, self._connection)
            self.lose(self._connection)

    def receive(self, connection: _Connection, sequence: int, sighting: Sighting | None) -> None:
        """Take in a dispatch of that connection; None: it got lost, and only its number tells."""
        if connection is self._connection and self._session is not None and sequence > self._received:
            self._received = sequence
            self._put(self._session.id, sequence, FeedInterrupted() if sighting is None else sighting)

    def lose(self, connection: _Connection) -> None:
        """Learn that the connection is gone."""
        if connection is self._connection:
            self._connection = self._session = None
            self._offline_since = self._loop.time()
            self._live.clear()
            self._lost.set()

    async def _connect(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.05, 1.0))
            if self._streams.is_down:
                continue
            self._lost.clear()
            self._begin(_Connection(self))
            await self._lost.wait()

    def _begin(self, connection: _Connection) -> None:
        session = None
        self._connection = connection
        if self._session_id is not None:
            session = self._streams.resume(self._session_id, self._received, connection)
        if session is None:
            session = self._streams.identify(self.user_id, connection)
            self._received = 0
            if self._has_begun:
                self._put(session.id, 0, FeedInterrupted())
        self._session, self._session_id, self._has_begun = session, session.id, True
        self._live.set()

    def _put(self, session_id: str, sequence: int, sighting: Sighting) -> None:
        self._delivery.put(sighting, self._state(session_id, max(0, sequence - 1)))

    def _state(self, session_id: str | None, sequence: int) -> SessionState | None:
        if session_id is None:
            return None
        return SessionState(
            user_id=self.user_id,
            session_id=session_id,
            sequence=sequence,
            resume_url="wss://gateway.example.org",
        )

    async def _hand_over(self, sighting: Sighting) -> None:
        await self._on_sighting(Identity(user_id=self.user_id), sighting)
        if (nonce := getattr(sighting, "nonce", None)) is not None:
            self._book.heard.setdefault(nonce, self._book.now)
