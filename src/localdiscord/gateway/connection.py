"""One websocket: a queue of what is to be sent, and the task that sends it. Knows nothing of opcodes."""

import asyncio
from collections.abc import Callable

from aiohttp import WSMsgType, web

from localdiscord.gateway.compression import Compressor, Payload, Plain
from localdiscord.world.sessions import Event

#: A client that reads so slowly that this many frames wait is cut.
OUTBOX_LIMIT = 20_000

#: Told of every event that has left.
Sent = Callable[["Socket", Event], None]


class Socket:
    """The Connection a session sends to. `close` and `cut` return at once; the writer does the rest."""

    def __init__(
        self,
        websocket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        compressor: Compressor,
        sent: Sent,
    ) -> None:
        self._websocket = websocket
        self._transport = transport
        self._compressor = compressor
        self._sent = sent
        self._outbox: asyncio.Queue[tuple[bytes, Event | None] | int] = asyncio.Queue()
        self._closing = False
        #: Code of our own close frame; None until we close.
        self.closed_with: int | None = None

    def compress_payloads(self) -> None:
        """Compress large messages one by one, unless the whole stream is compressed already."""
        if isinstance(self._compressor, Plain):
            self._compressor = Payload()

    def send(self, frame: bytes, event: Event | None = None) -> None:
        if self._closing:
            return
        if self._outbox.qsize() >= OUTBOX_LIMIT:
            self.cut()
            return
        self._outbox.put_nowait((frame, event))

    def close(self, code: int) -> None:
        if not self._closing:
            self._closing = True
            self.closed_with = code
            self._outbox.put_nowait(code)

    def cut(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    async def write(self) -> None:
        """Send what is queued until the socket is closed."""
        while True:
            item = await self._outbox.get()
            if isinstance(item, int):
                await self._websocket.close(code=item)
                return
            frame, event = item
            try:
                await self._send(frame)
            except (ConnectionError, RuntimeError):
                # The peer is gone; the reader finds out by itself.
                return
            if event is not None:
                self._sent(self, event)

    async def _send(self, frame: bytes) -> None:
        packed, is_binary = self._compressor.pack(frame)
        await self._websocket.send_frame(packed, WSMsgType.BINARY if is_binary else WSMsgType.TEXT)
