"""
One connection of a client: uvicorn's protocol on httptools, with the timers, bounds and refusals that it has not.

A head (request line and headers) must be whole within some seconds and some bytes, and must leave no doubt where its request
ends: a proxy in front of us that reads a request differently would let one caller's bytes become another's request. What
is refused here never was a request, so no handler sees it; the answer is the contract's error all the same, and the
last on its connection. Bodies are timed where they are read, in `forms`.

The parser refuses by itself: a length beside chunks, two lengths, a negative one, a space before a colon, folded lines,
bare line feeds and NULs. What it lets pass is judged here, in `_head_refusal`.
"""

import asyncio
import fcntl
import sys
import termios
from typing import Any

import httptools
import msgspec
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from pikarelay.api.exchange import ANY_ORIGIN, PLACE, new_request_id
from pikarelay.api.fields import INCOMPLETE
from pikarelay.api.room import Place, Room
from pikarelay.contract.bodies import encode, error_body
from pikarelay.errors import ApiError, MalformedBody, MalformedRequest, Unavailable

_log = structlog.get_logger(__name__)

HEAD_TOO_LARGE = "request header is too large"
NO_HOST = "request needs one Host header"
CHUNKS = "Transfer-Encoding must be chunked, and nothing else"
UPGRADE = "a request with a body cannot upgrade the connection"
VERSION = "HTTP version must be 1.0 or 1.1"
TOO_MANY_AT_ONCE = "too many requests at once on one connection"

#: What a header line has besides its name and value: a colon, a space, an end of line.
_LINE_EXTRA = 4
#: And what it takes in memory, however short it is: three objects.
_LINE_HELD = 160


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may take. Seconds and bytes."""

    connections: int = 10_000
    #: From a connection's or a request's first byte to the end of its head.
    head_seconds: float = 10.0
    head_bytes: int = 32 * 1024
    #: Lines of a head, or of trailers. Each costs more than its bytes do, in time and in memory.
    head_lines: int = 128
    #: Requests that wait on one connection for the answer to the one before.
    pipelined: int = 16
    #: The same for who was let in just before the end: from the last accepted connection on.
    last_head_seconds: float = 2.0
    #: How long a client may read nothing of what is there for it.
    stalled_seconds: float = 30.0
    #: How long, and how much, a refused client may go on sending, so that it gets to see the answer.
    linger_seconds: float = 2.0
    linger_bytes: int = 1024 * 1024
    #: Connections beyond the bound that are told so; those beyond these are cut without a word.
    told: int = 100
    #: What one connection's unfinished requests may hold in memory at any time, and what all may beyond that, together.
    own_bytes: int = 4 * 1024
    shared_bytes: int = 64 * 1024 * 1024


class House:
    """What all connections of a server have in common."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.room = Room(limits.shared_bytes, limits.own_bytes)
        #: From now on each answer is the last on its connection.
        self.is_closing = False
        #: Connections that are served, and those beyond the bound that are being told so.
        self.served: set[FrontDoor] = set()
        self.refused: set[FrontDoor] = set()


class FrontDoor(HttpToolsProtocol):
    """One connection. Made by uvicorn, by way of `functools.partial`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        house: House,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._house = house
        self._limits = house.limits
        #: Ends a head that does not; later, a connection that was refused.
        self._patience: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._unread = 0
        self._in_head = False
        #: What the parser has handed over of a head and its trailers.
        self._head_bytes = 0
        self._head_lines = 0
        #: What came since a head began, or since the last of a body: the parser keeps a line to itself until it ends.
        self._kept_bytes = 0
        #: Whether the bytes being parsed are not counted among those, for part of them may be something else.
        self._is_new = False
        #: Why the head is refused, while the parser is being left.
        self._refusal: ApiError | None = None
        #: No request is taken from this connection any more.
        self._is_deaf = False
        self._discarded = 0
        #: What is in memory of requests that have no whole answer yet.
        self._place = Place(house.room)

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        house = self._house
        if len(house.served) < self._limits.connections:
            house.served.add(self)
            self._wait_for_head()
        elif len(house.refused) < self._limits.told:
            house.refused.add(self)
            self._refuse(Unavailable())
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.served.discard(self)
        self._house.refused.discard(self)
        self._place.keep(0)
        self._end_patience()
        if self._stall is not None:
            self._stall.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self._may_ask_yet():
            self._end_patience()
            self._wait_for_head(self._limits.last_head_seconds)
        else:
            super().shutdown()
            self._watch_reader()

    def _may_ask_yet(self) -> bool:
        """
        Whether a request is on its way, or its client has every reason to send one: it was let in, and has not asked yet.

        One that has had an answer knows that a kept connection may end at any time.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if self._is_deaf or self._is_busy:
            return False
        return cycle is None or self._in_head or self._has_unread_bytes()

    # What the client sends

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        if not self._place.take(len(data)):
            self._refuse(Unavailable())
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # What follows is in no protocol that we speak; the request before it is answered.
            self._is_deaf = True
        except httptools.HttpParserError:
            self._refuse(self._refusal or MalformedRequest())
        else:
            self._mind_head(len(data))

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's own signature
        """Answer a client that has ended its side: it may wait for what it asked for. True leaves our side open."""
        is_busy, are_others = self._is_busy, bool(self.pipeline)
        is_cut = is_busy and self.cycle.more_body
        if is_cut:
            self._refuse(MalformedBody(INCOMPLETE))
        self._is_deaf = True
        return is_busy and (are_others or not is_cut)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._is_new = True
        self._head_bytes = self._head_lines = self._kept_bytes = 0
        self.scope["state"][PLACE] = self._place

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_lines += 1
        self._count(len(name) + len(value) + _LINE_EXTRA)
        # A trailer is none: nobody here asks for one, and the handler is at work with the headers already.
        if self._in_head:
            if not self._place.take(_LINE_HELD):
                self._stop_parsing(Unavailable())
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._end_patience()
        refusal = self._head_refusal()
        if refusal is not None:
            self._stop_parsing(MalformedRequest(refusal))
        super().on_headers_complete()
        if self._house.is_closing or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._is_new = True
        super().on_body(body)

    def _head_refusal(self) -> str | None:
        """Return what is wrong with a head that the parser has let pass."""
        version = self.parser.get_http_version()
        names = [name for name, _ in self.headers]
        if version not in {"1.1", "1.0"}:
            return VERSION
        if names.count(b"host") != 1 and (version == "1.1" or b"host" in names):
            return NO_HOST
        if b"transfer-encoding" in names:
            codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
            if version == "1.0" or codings != [b"chunked"]:
                return CHUNKS
        has_body = b"transfer-encoding" in names or b"content-length" in names
        if has_body and self.parser.should_upgrade():
            # The parser would take the body for the next request.
            return UPGRADE
        return TOO_MANY_AT_ONCE if len(self.pipeline) >= self._limits.pipelined else None

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes or self._head_lines > self._limits.head_lines:
            self._stop_parsing(MalformedRequest(HEAD_TOO_LARGE))

    def _mind_head(self, size: int) -> None:
        """Bound a head that is under way, after `size` bytes more."""
        # A new head may share these bytes with the request before it; alone, they are all its own.
        self._kept_bytes = 0 if self._is_new and self._is_busy else self._kept_bytes + size
        self._is_new = False
        if self._kept_bytes > self._limits.head_bytes:
            self._refuse(MalformedRequest(HEAD_TOO_LARGE))
        elif self._patience is None and (self._in_head or not self._is_busy):
            self._wait_for_head()

    def _stop_parsing(self, refusal: ApiError) -> None:
        self._refusal = refusal
        raise refusal

    # Timers

    def _wait_for_head(self, seconds: float | None = None) -> None:
        seconds = self._limits.head_seconds if seconds is None else seconds
        self._patience = self.loop.call_later(seconds, self._on_head_late)

    def _on_head_late(self) -> None:
        self._patience = None
        if self.flow.read_paused:
            # It is we who do not read: an answer before it is not finished.
            self._wait_for_head()
        elif self._is_busy:
            self._is_deaf = True
        else:
            # Without a word: who sends half a head reads no answer, and thousands of answers at once delay others.
            self.transport.close()

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_reader()

    def _watch_reader(self) -> None:
        """Cut the connection when the client reads nothing of what waits for it."""
        if self._stall is None and self.transport.get_write_buffer_size():
            self._unread = self._waiting_bytes()
            self._stall = self.loop.call_later(self._limits.stalled_seconds, self._on_stall)

    def _on_stall(self) -> None:
        self._stall = None
        if self._waiting_bytes() >= self._unread:
            self.transport.abort()
        else:
            self._watch_reader()

    def _waiting_bytes(self) -> int:
        """Return how much the client has not acknowledged. The system's share shrinks long before it takes more of ours."""
        connection = self.transport.get_extra_info("socket")
        unsent = bytearray(4)
        fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unsent)
        return self.transport.get_write_buffer_size() + int.from_bytes(unsent, sys.byteorder)

    def _has_unread_bytes(self) -> bool:
        """Whether the system has something from the client that was not taken yet."""
        connection = self.transport.get_extra_info("socket")
        waiting = bytearray(4)
        fcntl.ioctl(connection.fileno(), termios.FIONREAD, waiting)
        return any(waiting)

    # Refusals

    @property
    def _is_busy(self) -> bool:
        """Whether a request of this connection has no whole answer yet."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last:
            # All but the beginning of the next, if that is there.
            self._place.keep(self._kept_bytes if self._in_head else 0)
        if self._is_deaf and is_last:
            self.transport.close()
        if self.transport.is_closing():
            self._watch_reader()

    def _refuse(self, refusal: ApiError) -> None:
        """Answer what was no request, as soon as it is its turn, and take nothing more from this connection."""
        self._is_deaf = True
        self._end_patience()
        cycle = self.cycle
        if not self._is_busy:
            self._answer(refusal)
        elif cycle.more_body and self.pipeline:
            # It is the body of one that waits for its turn: that one is none. Those before it are answered.
            self.pipeline.popleft()
        elif cycle.more_body and not cycle.response_started:
            # Its handler waits for the rest of a body that is none.
            cycle.disconnected = True
            cycle.message_event.set()
            self._answer(refusal)

    def _answer(self, refusal: ApiError) -> None:
        request_id = new_request_id()
        _log.info("request.refused", request_id=request_id, code=refusal.code, error=refusal.message)
        body = encode(error_body(refusal))
        headers = [
            *self.server_state.default_headers,
            (b"x-request-id", request_id.encode()),
            ANY_ORIGIN,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[refusal.code], lines, body))
        self._linger()

    def _linger(self) -> None:
        """Close for writing, and for reading a little later: to close with bytes unread takes the answer from the client."""
        self.transport.write_eof()
        self.flow.resume_reading()
        self._patience = self.loop.call_later(self._limits.linger_seconds, self.transport.abort)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self._limits.linger_bytes:
            self.transport.abort()
