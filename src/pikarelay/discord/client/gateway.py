"""One account's Gateway connection: reads, writes and a timer around the session machine, for as long as it wants."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

import aiohttp
import msgspec
import structlog

from pikarelay.discord.client.delivery import Delivery
from pikarelay.discord.client.transport import USER_AGENT
from pikarelay.discord.wire import closecodes
from pikarelay.discord.wire.dispatches import DispatchReader, Ignored
from pikarelay.discord.wire.inflate import Inflater
from pikarelay.discord.wire.payloads import WireError
from pikarelay.discord.wire.session import (
    Attempt,
    Began,
    Dispatched,
    Gap,
    GatewaySession,
    IdentifyPace,
    Resumed,
    SessionEvent,
    SessionState,
    Stopped,
)
from pikarelay.errors import DiscordUnavailable, Unavailable
from pikarelay.jobs.messages import FeedInterrupted, Sighting
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import Identity

CONNECT_SECONDS: Final = 15.0
#: How long the other side has to answer our closing.
CLOSE_TIMEOUT: Final = aiohttp.ClientWSTimeout(ws_close=2.0)
#: Of one frame, before inflating.
LARGEST_FRAME: Final = 16 * 1024 * 1024
#: Between tries to learn the Gateway's address.
ADDRESS_RETRY_SECONDS: Final = 5.0
#: Between looks whether it may connect by now.
MAY_AGAIN_SECONDS: Final = 0.2

#: Raises `Unavailable` when it cannot take it in now. It is then told the same again, and nothing else before.
OnSighting = Callable[[Identity, Sighting], Awaitable[None]]

log = structlog.get_logger()


class Live(NamedTuple):
    """A live session, as an interaction needs it."""

    user_id: str
    session_id: str
    #: How many times this account's session was live before, resumed ones counted: two of one number are the same.
    number: int


class Gateway:
    """Keeps one account's session alive from `start` to `stop`."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        token: Secret,
        *,
        find_url: Callable[[], Awaitable[str]],
        reader: DispatchReader,
        on_sighting: OnSighting,
        on_stopped: Callable[[Stopped], None],
        on_live: Callable[[], None],
        may_connect: Callable[[], bool] = lambda: True,
        jitter: Callable[[], float],
        version: int = 9,
        intents: int | None = None,
        state: SessionState | None = None,
        identify_pace: IdentifyPace,
    ) -> None:
        """
        `find_url` returns the Gateway's address, and may fail. While `may_connect` denies it, no connection is made. `state` is a session to go on with. `identify_pace` is
        shared by the sessions of one Discord user.
        """
        self._http = http
        self._find_url = find_url
        self._reader = reader
        self._on_sighting = on_sighting
        self._on_stopped = on_stopped
        self._may_connect = may_connect
        self._on_live = on_live
        self._jitter = jitter
        self._log = log.bind(account=token.masked)
        self._token = token
        self._version = version
        self._intents = intents
        #: What to go on with while there is no session, and whose it is.
        self._state = state
        self._user_id = state.user_id if state else None
        self._identify_pace = identify_pace
        self._has_begun = state is not None
        self._session: GatewaySession | None = None
        self._private_channels: frozenset[str] = frozenset()
        self._guild_ids: set[str] = set()
        self._lives = 0
        #: On the loop's clock: since when no session is live. None while one is.
        self._offline_since: float | None = _now()
        #: Replaced each time a session becomes live or there will not be one.
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._delivery = Delivery(self._hand_over)
        #: Whether the receiver could not take in what it was told last.
        self._is_held_up = False
        self._running: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is connected or trying to be."""
        return self._running is not None and not self._running.done()

    @property
    def live(self) -> Live | None:
        """The live session. None while there is none."""
        session = self._session
        if session is None or session.user_id is None or session.session_id is None:
            return None
        return Live(session.user_id, session.session_id, self._lives)

    @property
    def offline_seconds(self) -> float:
        """For how long no session has been live; 0 while one is."""
        return 0.0 if self._offline_since is None else _now() - self._offline_since

    @property
    def user_id(self) -> str | None:
        """Whose account it is. None before the first READY."""
        return (self._session.user_id if self._session else None) or self._user_id

    @property
    def state(self) -> SessionState | None:
        """What a session, also another process's, could be resumed with."""
        return self._session.state if self._session else self._state

    @property
    def safe_state(self) -> SessionState | None:
        """What a session could be resumed with so that no sighting is lost that the receiver has not taken in yet."""
        oldest = self._delivery.oldest
        return self.state if oldest is None else oldest.before

    def is_private(self, channel: str) -> bool:
        """Whether READY named it as a direct-message channel."""
        return channel in self._private_channels

    def start(self) -> None:
        self._offline_since = _now()
        self._running = asyncio.create_task(self._run())
        self._delivery.start()

    async def hang_up(self) -> None:
        """Close the connection so that Discord keeps the session for a while. What was received is handed over still."""
        running = self._running
        if running is None:
            return
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        if self._running is running:
            self._running = None
            self._retire()

    async def stop(self) -> None:
        """Hang up, and wait until what was received is handed over, for some seconds at most."""
        await self.hang_up()
        await self._delivery.stop()

    async def wait_live(self, *, after: Live | None = None) -> Live | None:
        """Wait for a live session; with `after`, for the next one. None when there will not be one."""
        while self.is_running:
            changed = self._changed
            if (live := self.live) is not None and live != after:
                return live
            await changed.wait()
        return None

    def subscribe(self, guild_id: str) -> None:
        """Ask for the messages of a guild."""
        self._guild_ids.add(guild_id)
        if self._session is not None:
            self._session.subscribe(guild_id)
            self._wake.set()

    # The connection

    async def _run(self) -> None:
        try:
            url = await self._address()
            session = self._session = GatewaySession(
                self._token,
                url,
                jitter=self._jitter,
                version=self._version,
                intents=self._intents,
                state=self.state,
                identify_pace=self._identify_pace,
            )
            for guild_id in self._guild_ids:
                session.subscribe(guild_id)
            while (attempt := session.next_attempt(_now())) is not None:
                await asyncio.sleep(attempt.at - _now())
                # Whoever resumes a session takes it away from whoever has it.
                while not self._may_connect():  # noqa: ASYNC110 -- nobody tells
                    await asyncio.sleep(MAY_AGAIN_SECONDS)
                code = await self._connect(session, attempt)
                session.lost(code, _now())
                self._handle(session)
        finally:
            self._announce()

    def _retire(self) -> None:
        """Keep of a session without a connection what the next one needs: to nobody it is live any more."""
        if self._session is not None:
            self._user_id, self._state = self._session.user_id, self._session.state
            self._session = None
        if self._offline_since is None:
            self._offline_since = _now()

    def _announce(self) -> None:
        """Let everybody look who waits for a session."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _go_live(self) -> None:
        self._lives += 1
        self._on_live()
        self._announce()

    async def _address(self) -> str:
        while True:
            try:
                return await self._find_url()
            except DiscordUnavailable as error:
                self._log.warning("gateway.address_unknown", reason=str(error))
                await asyncio.sleep(ADDRESS_RETRY_SECONDS * (0.5 + self._jitter()))

    async def _connect(self, session: GatewaySession, attempt: Attempt) -> int | None:
        """Hold one connection. Returns the server's close code, if it sent one."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                socket = await self._http.ws_connect(
                    attempt.url,
                    headers={"User-Agent": USER_AGENT},
                    autoclose=False,
                    compress=0,
                    max_msg_size=LARGEST_FRAME,
                    timeout=CLOSE_TIMEOUT,
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._log.warning("gateway.connect_failed", reason=type(error).__name__)
            return None
        session.connected(_now())
        writing = asyncio.create_task(self._write(session, socket))
        try:
            code = await self._read(session, socket)
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            # Never 1000: that would end the session, and we mean to come back, if only after a restart.
            await socket.close(code=closecodes.COMING_BACK)
        self._log.info("gateway.closed", code=code, own=session.closing)
        return code

    async def _read(
        self, session: GatewaySession, socket: "aiohttp.ClientWebSocketResponse[bool]"
    ) -> int | None:
        inflater = Inflater()
        while True:
            message = await socket.receive()
            match message.type:
                case aiohttp.WSMsgType.BINARY:
                    data = message.data
                case aiohttp.WSMsgType.TEXT:
                    data = None
                case aiohttp.WSMsgType.CLOSE:
                    return int(message.data) if message.data else None
                case _:
                    return None
            try:
                payload = inflater.feed(data) if data is not None else str(message.data).encode()
                if payload is None:
                    continue
                session.receive(payload, _now())
            except WireError as error:
                self._log.warning("gateway.unreadable", error=str(error))
                return None
            self._handle(session)
            if session.has_work:
                self._wake.set()

    async def _write(self, session: GatewaySession, socket: "aiohttp.ClientWebSocketResponse[bool]") -> None:
        """Send what the session wants sent, when it wants it; close when it wants that."""
        with suppress(aiohttp.ClientError, ConnectionError):
            while True:
                session.tick(_now())
                if session.closing is not None:
                    break
                for frame in session.to_send(_now()):
                    await socket.send_str(frame.decode())
                await self._rest(session)
            await socket.close(code=session.closing)

    async def _rest(self, session: GatewaySession) -> None:
        deadline = session.deadline
        with suppress(TimeoutError):
            async with asyncio.timeout(None if deadline is None else max(0.0, deadline - _now())):
                await self._wake.wait()
        self._wake.clear()

    # What the session says

    def _handle(self, session: GatewaySession) -> None:
        for event in session.events():
            try:
                self._handle_one(event)
            except WireError as error:
                self._log.warning("gateway.unreadable", error=str(error))
        # A session may end with its connection, or before it: Discord can say so on one that stays.
        if self.live is not None:
            self._offline_since = None
        elif self._offline_since is None:
            self._offline_since = _now()

    def _handle_one(self, event: SessionEvent) -> None:
        match event:
            case Dispatched(name=name, payload=payload):
                sighting = self._reader.read(name, payload, _now())
                if not isinstance(sighting, Ignored):
                    self._put(sighting)
            case Began(private_channels=private_channels, has_gap=has_gap):
                self._private_channels = private_channels
                self._log.info("gateway.identified")
                if has_gap or self._has_begun:
                    self._put(FeedInterrupted())
                self._has_begun = True
                self._go_live()
            case Resumed():
                self._log.info("gateway.resumed")
                self._go_live()
            case Gap(missing=missing):
                self._log.warning("gateway.gap", missing=missing)
                self._put(FeedInterrupted())
            case Stopped(remedy=remedy, reason=reason):
                self._log.error("gateway.stopped", remedy=remedy.value, reason=reason)
                self._on_stopped(event)
            case Ignored(what=what):
                self._log.debug("gateway.ignored", what=what)

    def _put(self, sighting: Sighting) -> None:
        state = self.state
        before = (
            None if state is None else msgspec.structs.replace(state, sequence=max(0, state.sequence - 1))
        )
        self._delivery.put(sighting, before)

    async def _hand_over(self, sighting: Sighting) -> None:
        user_id = self.user_id
        if user_id is not None:
            try:
                await self._on_sighting(Identity(user_id=user_id), sighting)
            except Unavailable:
                if not self._is_held_up:
                    self._log.warning("gateway.sightings_wait", sighting=type(sighting).__name__)
                self._is_held_up = True
                raise
            except Exception:  # noqa: BLE001 -- it is the receiver's, and may be anything
                # One message that cannot be handled must not silence the account.
                self._log.exception("gateway.sighting_failed", sighting=type(sighting).__name__)
            self._is_held_up = False


def _now() -> float:
    return asyncio.get_running_loop().time()
