"""A receiver on loopback that answers what a test tells it to, and remembers what it was sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from pikarelay.callbacks.names import NameServers
from tests.callbacks.lookups import knowing_nothing

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """
    A small HTTP/1.1 server. `answer` is the bytes of its answer, or a function that writes them.

    `heads` are the heads of the requests it saw, `bodies` their bodies, `connections` counts accepted connections.
    """

    answer: bytes | Answer = OK
    port: int = 0
    connections: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    #: Set once a connection has ended.
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._one(head.decode(), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.hung_up.set()
            writer.close()

    async def _one(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(head)
        lengths = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
        self.bodies.append(await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b"")
        if isinstance(self.answer, bytes):
            writer.write(self.answer)
            await writer.drain()
        else:
            await self.answer(writer)

    def header(self, name: str, request: int = -1) -> str | None:
        """Return a header of a request. None when it was not sent."""
        for line in self.heads[request].splitlines()[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name.lower():
                return value.strip()
        return None


@pytest.fixture
async def names() -> AsyncIterator[NameServers]:
    """A name server that knows no name, and whatever way of writing an address the system understands."""
    async with knowing_nothing() as opened:
        yield opened


OpenReceiver = Callable[..., Awaitable[Receiver]]


@pytest.fixture
async def open_receiver() -> AsyncIterator[OpenReceiver]:
    """Open receivers with the answer, and the TLS context, of the test's choice."""
    servers: list[asyncio.Server] = []

    async def open_one(answer: bytes | Answer = OK, tls: ssl.SSLContext | None = None) -> Receiver:
        receiver = Receiver(answer)
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        receiver.port = server.sockets[0].getsockname()[1]
        return receiver

    yield open_one
    for server in servers:
        server.close()
