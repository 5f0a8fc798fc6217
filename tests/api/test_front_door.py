"""Connections, over real sockets: what is no request, what is too much, and who takes too long."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pikarelay.api.front_door import FrontDoor, Limits
from pikarelay.api.server import HttpServer

#: Far above what anything here needs.
PATIENCE = 20.0
OK = b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"


class App:
    """An ASGI application that notes each request, reads it to its end, and answers with its path."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, list[tuple[bytes, bytes]]]] = []
        self.bodies: list[bytes | None] = []
        #: `/wait` answers when this is set, and sets the other when it has begun.
        self.may_answer = asyncio.Event()
        self.waits = asyncio.Event()
        self.size = 8 * 1024 * 1024

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.requests.append((scope["path"], scope["headers"]))
        self.bodies.append(await read_all(receive))
        body = b"x" * self.size if scope["path"] == "/big" else scope["path"].encode()
        if scope["path"] == "/wait":
            self.waits.set()
            await self.may_answer.wait()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def read_all(receive: Any) -> bytes | None:
    """Return a body; None when it was not whole."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body, more = body + message["body"], message["more_body"]
    return body


class Served:
    """A server on loopback."""

    def __init__(self, app: App, http: HttpServer) -> None:
        self.app = app
        self.http = http

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.http.port)

    async def gone(self, count: int) -> None:
        """Return when so many connections fewer are open."""
        left = self.http.connections - count
        while self.http.connections > left:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)

    async def say(self, *pieces: bytes) -> bytes:
        """Send the pieces, and return all that comes back before the server closes."""
        reader, writer = await self.connect()
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()


@asynccontextmanager
async def served(**limits: Any) -> AsyncIterator[Served]:
    """Serve an `App`; a head has a fifth of a second unless said otherwise."""
    app = App()
    http = HttpServer(app, "127.0.0.1", 0, Limits(**{"head_seconds": 0.2, "linger_seconds": 0.2, **limits}))
    is_ready = asyncio.Event()
    serving = asyncio.create_task(http.serve(is_ready.set))
    await asyncio.wait_for(is_ready.wait(), PATIENCE)
    try:
        yield Served(app, http)
    finally:
        app.may_answer.set()
        http.stop()
        await asyncio.wait_for(serving, PATIENCE)


def answers(data: bytes) -> list[tuple[int, bytes]]:
    """Return status and body of each answer in what a connection brought."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
        size = int(headers[b"content-length"])
        found.append((int(lines[0].split()[1]), rest[:size]))
        data = rest[size:]
    return found


def refusal(data: bytes) -> tuple[int, str]:
    """Return code and sentence of the one answer, which is a refusal in the API's form and closes the connection."""
    head, _, body = data.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    told = json.loads(body)
    assert ["error", "code"] == list(told)
    assert int(head.split()[1]) == told["code"]
    assert (b"application/json", b"close") == (headers[b"content-type"], headers[b"connection"])
    assert len(headers[b"x-request-id"]) == 16
    return told["code"], told["error"]


# What is no request

NOT_UNDERSTOOD = "malformed request"
HOST = "request needs one Host header"
CHUNKED = "Transfer-Encoding must be chunked, and nothing else"
AMBIGUOUS = [
    ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length: 5\r\nContent-Length: 5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length: 5\r\nContent-Length: 6\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length: 5, 5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length: -5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length: +5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length: 0x5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length: 5 5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length:\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length: 99999999999999999999999\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Content-Length : 5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Transfer-Encoding : chunked\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Transfer-Encoding: xchunked\r\n", "HTTP/1.1", CHUNKED),
    ("Transfer-Encoding: gzip, chunked\r\n", "HTTP/1.1", CHUNKED),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Transfer-Encoding: chunked, identity\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Transfer-Encoding: \x0bchunked\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Transfer-Encoding: chunked\r\n", "HTTP/1.0", CHUNKED),
    ("X: a\x00b\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("X: a\nContent-Length: 5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("X: a\rContent-Length: 5\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("X: a\r\n folded: b\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    (" X: a\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("no colon\r\n", "HTTP/1.1", NOT_UNDERSTOOD),
    ("Host: y\r\n", "HTTP/1.1", HOST),
    ("Host: y\r\n", "HTTP/1.0", HOST),
    ("", "HTTP/2.0", "HTTP version must be 1.0 or 1.1"),
    ("", "HTTP/1.2", NOT_UNDERSTOOD),
    ("", "HTTP/0.9", "HTTP version must be 1.0 or 1.1"),
    ("", "http/1.1", NOT_UNDERSTOOD),
    (
        "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 29\r\n",
        "HTTP/1.1",
        "a request with a body cannot upgrade the connection",
    ),
]


@pytest.mark.parametrize("is_whole", [True, False])
async def test_ambiguous_request(is_whole: bool) -> None:
    """A request that two readers could understand differently is 400, closes, and is shown to no handler."""
    async with served(head_seconds=PATIENCE) as server:
        for lines, version, sentence in AMBIGUOUS:
            raw = f"POST /a {version}\r\nHost: x\r\n{lines}\r\n".encode("latin-1") + OK
            pieces = [raw] if is_whole else [raw[:-1][i : i + 3] for i in range(0, len(raw) - 1, 3)]

            assert (400, sentence) == refusal(await server.say(*pieces)), lines
        assert [] == server.app.requests


NO_REQUEST = (
    b"GET /ok HTTP/1.1\r\n\r\n",
    b"GET /ok HTTP/1.1\r\nX: y\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /ünïcode HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"\x00" * 100,
)


async def test_no_request() -> None:
    """What is no request at all, or has no Host, is 400 in the API's form."""
    async with served() as server:
        for raw in NO_REQUEST:
            assert 400 == refusal(await server.say(raw))[0], raw
        assert [] == server.app.requests


CLEAR = (
    b"GET /ok HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
    b"GET /ok HTTP/1.0\r\n\r\n",
    b"GET /ok HTTP/1.0\r\nHost: x\r\n\r\n",
    b"GET http://elsewhere/ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"\r\n\r\nGET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
    # What Java's client sends by default.
    b"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
)


async def test_odd_requests_that_are_clear() -> None:
    """What is unusual and leaves no doubt is served."""
    async with served() as server:
        for raw in CLEAR:
            assert [(200, b"/ok")] == answers(await server.say(raw)), raw


async def test_trailers_are_no_headers() -> None:
    """What comes after a chunked body adds nothing to the headers that a handler has."""
    raw = (
        b"POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"2\r\nhi\r\n0\r\nAuthorization: Bearer forged\r\n\r\n"
    )
    async with served() as server:
        assert [(200, b"/ok")] == answers(await server.say(raw))

        ((_, headers),) = server.app.requests
        assert [b"hi"] == server.app.bodies
        assert b"authorization" not in [name for name, _ in headers]


async def test_nonsense_after_a_request() -> None:
    """What follows a request cannot take its answer: that one comes, whole, and is the last on its connection."""
    async with served() as server:
        reader, writer = await server.connect()
        writer.write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.app.waits.wait()
        writer.write(b"nonsense\r\n\r\n" + OK)
        await writer.drain()
        # Another connection has been served after that: the nonsense has been read.
        await server.say(b"GET /ok HTTP/1.0\r\n\r\n")
        server.app.may_answer.set()

        assert [(200, b"/wait")] == answers(await asyncio.wait_for(reader.read(), PATIENCE))
        assert ["/wait", "/ok"] == [path for path, _ in server.app.requests]
        writer.close()


async def test_body_that_is_none() -> None:
    """A chunk that is none is 400 at once, and the handler hears that the body will not be whole."""
    raw = b"POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n"
    async with served() as server:
        assert (400, "malformed request") == refusal(await server.say(raw))
        assert [None] == server.app.bodies


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
async def test_client_that_stops_in_its_body(framing: bytes) -> None:
    """A client that ends its side in the middle of a body is told so, and its handler hears that the body is cut."""
    async with served() as server:
        reader, writer = await server.connect()
        writer.write(b"POST /ok HTTP/1.1\r\nHost: x\r\n" + framing)
        writer.write_eof()

        told = refusal(await asyncio.wait_for(reader.read(), PATIENCE))
        assert (400, "request body is incomplete") == told
        assert [None] == server.app.bodies
        writer.close()


async def test_client_that_waits_with_its_side_ended() -> None:
    """A client that ends its side after a whole request gets its answer, and nothing more."""
    async with served() as server:
        reader, writer = await server.connect()
        writer.write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + OK + b"GET /half HTTP")
        writer.write_eof()
        await server.app.waits.wait()
        server.app.may_answer.set()

        assert [(200, b"/wait"), (200, b"/ok")] == answers(await asyncio.wait_for(reader.read(), PATIENCE))
        writer.close()


async def test_client_that_goes_between_requests() -> None:
    """A client that ends its side without a request, or in the middle of a head, is let go at once."""
    async with served(head_seconds=PATIENCE) as server:
        for begun in (b"", OK, b"GET /half HTTP"):
            reader, writer = await server.connect()
            writer.write(begun)
            if begun == OK:
                await reader.readuntil(b"/ok")
            writer.write_eof()

            assert b"" == await asyncio.wait_for(reader.read(), PATIENCE / 2)
            writer.close()


async def test_queued_body_that_is_none() -> None:
    """A broken body behind another request takes neither that one's answer nor a handler."""
    broken = b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    async with served() as server:
        assert [(200, b"/ok")] == answers(await server.say(OK + broken))
        assert ["/ok"] == [path for path, _ in server.app.requests]


# What is too much


def headers_of(size: int) -> bytes:
    return b"".join(b"X-%04d: %b\r\n" % (number, b"x" * 490) for number in range(size // 500))


LARGE = {
    "one line": b"GET /ok HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "many lines": b"GET /ok HTTP/1.1\r\nHost: x\r\n" + headers_of(70_000) + b"\r\n",
    "many short lines": b"GET /ok HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * 200 + b"\r\n",
    "path": b"GET /ok?" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "name": b"GET /ok HTTP/1.1\r\nHost: x\r\n" + b"x" * 70_000 + b": y\r\n\r\n",
    # There is no end to wait for.
    "endless line": b"GET /ok HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000,
    "endless path": b"GET /" + b"x" * 70_000,
}


@pytest.mark.parametrize("size", [1000, 1_000_000])
async def test_large_head(size: int) -> None:
    """A head of 70 kB is 400, wherever its bytes are, and however they come."""
    async with served(head_seconds=PATIENCE, linger_seconds=PATIENCE) as server:
        for name, head in LARGE.items():
            pieces = [head[start : start + size] for start in range(0, len(head), size)]

            assert (400, "request header is too large") == refusal(await server.say(*pieces)), name
        assert [] == server.app.requests


async def test_head_below_the_limit() -> None:
    """A head of 30 kB is served."""
    async with served() as server:
        raw = b"GET /ok HTTP/1.0\r\nHost: x\r\n" + headers_of(30_000) + b"\r\n"

        assert [(200, b"/ok")] == answers(await server.say(raw))


@pytest.mark.parametrize("endless", [b"0\r\nX: ", b"0\r\n" + b"X: y\r\n" * 8_000, b"1;"])
async def test_endless_end_of_a_body(endless: bytes) -> None:
    """Trailers and extensions of chunks are bounded as a head is."""
    begun = b"POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
    async with served(linger_seconds=PATIENCE) as server:
        told = refusal(await server.say(begun, endless, *[b"x" * 1000] * 600))

        assert (400, "request header is too large") == told
        assert [None] == server.app.bodies


async def test_long_body_after_its_head() -> None:
    """What a head may not have, a body may: its bytes are not counted among the head's."""
    body = b"x" * 200_000
    raw = b"POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    chunked = b"POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in [body[:50_000]] * 4]
    async with served() as server:
        assert 2 == len(answers(await server.say(raw, body, chunked, *chunks, b"0\r\n\r\n")))
        assert [body, body] == server.app.bodies


async def test_many_requests_at_once() -> None:
    """Of a thousand requests sent in one go a few are answered, in their order; then the connection closes."""
    async with served(pipelined=16) as server:
        found = answers(await server.say(OK * 1000))

        # The one under way, and those that wait for it.
        assert [(200, b"/ok")] * 17 == found
        assert 17 == len(server.app.requests)


#: Short lines take more room in memory than on the wire.
MANY_LINES = b"GET /ok HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * 120 + b"X: " + b"x" * 20_000
HALF_A_BODY = b"POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"x" * 40_000


@pytest.mark.parametrize("large", [MANY_LINES, HALF_A_BODY], ids=["short header lines", "a body"])
async def test_unfinished_requests_share_memory(large: bytes) -> None:
    """Where unfinished requests hold all that they may, a large one is 503, a small one served; what ends makes room."""
    async with served(head_seconds=PATIENCE, linger_seconds=PATIENCE, shared_bytes=90_000) as server:
        held = [await server.connect() for _ in range(2)]
        for count, (_, writer) in enumerate(held, start=1):
            writer.write(large)
            while server.http.held_bytes < count * 35_000:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)

        assert (503, "Service Unavailable") == refusal(await server.say(large))
        assert [(200, b"/ok")] == answers(await server.say(OK.replace(b"1.1", b"1.0")))

        for _, writer in held:
            writer.close()
        await server.gone(len(held))
        assert 0 == server.http.held_bytes


async def test_kept_connection() -> None:
    """One connection serves one request after the other."""
    async with served() as server:
        reader, writer = await server.connect()
        for _ in range(5):
            writer.write(OK)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head
            assert b"/ok" == await reader.readexactly(3)
        writer.close()


async def test_connections_are_bounded() -> None:
    """Beyond the bound a connection is told 503 and closed; when one ends, its place is free."""
    async with served(connections=3, head_seconds=PATIENCE, linger_seconds=PATIENCE) as server:
        open_ = [await server.connect() for _ in range(3)]
        # All three are in: each is served.
        for reader, writer in open_:
            writer.write(OK)
            await reader.readuntil(b"/ok")

        assert (503, "Service Unavailable") == refusal(await server.say(b""))
        assert 3 == len(server.app.requests)

        open_[0][1].close()
        # What the server sees first, this end or the next connection, is its own affair.
        while not (answer := await server.say(b"GET /ok HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200"):
            assert (503, "Service Unavailable") == refusal(answer)
        for _, writer in open_[1:]:
            writer.close()


async def test_flood_of_connections_is_cut() -> None:
    """Connections far beyond the bound are not even told."""
    async with served(connections=1, told=2, head_seconds=PATIENCE, linger_seconds=PATIENCE) as server:
        first = await server.connect()
        first[1].write(OK)
        await first[0].readuntil(b"/ok")
        rest = [await server.connect() for _ in range(4)]

        heard = [await outcome(reader) for reader, _ in rest]

        assert [True, True, False, False] == heard
        for _, writer in [first, *rest]:
            writer.close()


async def outcome(reader: asyncio.StreamReader) -> bool:
    """Return whether a connection that ends was told why."""
    try:
        return b" 503 " in await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionError:
        return False


# Who takes too long


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX: y", b"\r\n"])
async def test_half_a_head(begun: bytes) -> None:
    """A connection that begins no request, or half of one, is closed in time, without a word."""
    async with served(head_seconds=0.2) as server:
        began = asyncio.get_running_loop().time()

        assert b"" == await server.say(begun)
        assert 0.15 < asyncio.get_running_loop().time() - began < PATIENCE / 2


async def test_dripping_head() -> None:
    """A head that comes byte by byte has no more time than one that does not come."""
    async with served(head_seconds=0.3) as server:
        reader, writer = await server.connect()
        ends = asyncio.create_task(reader.read())
        sent = 0
        while not ends.done():
            writer.write(b"x")
            sent += 1
            await asyncio.wait([ends], timeout=0.01)

        assert sent < 1000
        writer.close()


async def test_half_a_head_after_a_request() -> None:
    """On a kept connection the time begins with the first byte of the next head."""
    async with served(head_seconds=0.2) as server:
        found = answers(await server.say(OK + b"GET / HTTP/1.1\r\nHo"))

        assert [(200, b"/ok")] == found


async def test_half_a_head_takes_no_answer() -> None:
    """Half a head behind a request that is being answered ends the connection after that answer, not before."""
    async with served(head_seconds=0.05) as server:
        reader, writer = await server.connect()
        writer.write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\nGET /ok HT")
        await server.app.waits.wait()
        # Longer than the head's time: another such connection comes to its end.
        assert b"" == await server.say(b"GET /ok HT")
        assert b"" == await server.say(b"GET /ok HT")
        server.app.may_answer.set()

        assert [(200, b"/wait")] == answers(await asyncio.wait_for(reader.read(), PATIENCE))
        writer.close()


async def test_many_half_heads_delay_nobody() -> None:
    """While hundreds of connections hold half a head, another client is served as many times as it asks."""
    async with served(head_seconds=PATIENCE) as server:
        held = [await server.connect() for _ in range(400)]
        for _, writer in held:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-")
        reader, writer = await server.connect()
        for _ in range(50):
            writer.write(OK)
            assert b"/ok" in await reader.readuntil(b"/ok")

        for _, held_writer in [*held, (reader, writer)]:
            held_writer.close()


async def unread(server: Served) -> tuple[asyncio.AbstractEventLoop, socket.socket]:
    """Ask for much with a small window."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await loop.sock_connect(connection, ("127.0.0.1", server.http.port))
    await loop.sock_sendall(connection, b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return loop, connection


async def test_client_that_reads_nothing() -> None:
    """A client that does not read its answer is cut off, and its connection is no more."""
    async with served(stalled_seconds=0.2) as server:
        loop, connection = await unread(server)
        with connection:
            # Another one is served: by then the first has its answer under way.
            await server.say(b"GET /ok HTTP/1.0\r\n\r\n")
            assert 1 == server.http.connections
            async with asyncio.timeout(PATIENCE):
                await server.gone(1)

            # What the system had taken comes; the rest does not.
            received = 0
            while chunk := await loop.sock_recv(connection, 65536):
                received += len(chunk)
            assert received < server.app.size


async def test_client_that_reads_slowly() -> None:
    """A client that reads on gets all of its answer, although it takes longer than one may read nothing."""
    async with served(stalled_seconds=0.2) as server:
        loop, connection = await unread(server)
        slow_until, received = loop.time() + 0.6, 0
        with connection:
            while chunk := await loop.sock_recv(connection, 4096):
                received += len(chunk)
                await asyncio.sleep(0.01 if loop.time() < slow_until else 0)

        assert server.app.size < received


def test_uvicorn_has_what_is_built_on() -> None:
    """The names of uvicorn's protocol that ours overrides are still its own."""
    overridden = {name for name, value in vars(FrontDoor).items() if isinstance(value, Callable)}  # type: ignore[arg-type]
    ours = {name for name in overridden if not name.startswith("_")}
    uvicorns = {name for base in FrontDoor.__mro__[1:] for name in vars(base)}

    assert set() == ours - uvicorns


# At the end


async def refused_after_stop(server: Served) -> None:
    """Tell the server to end, and return when nobody listens any more."""
    server.http.stop()
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await server.connect()
            except ConnectionRefusedError:
                return
            writer.close()


async def test_who_was_let_in_is_heard_at_the_end() -> None:
    """Whoever has connected, and has not asked yet, is answered though nobody listens any more, for the last time."""
    async with served(head_seconds=PATIENCE, last_head_seconds=PATIENCE) as server:
        reader, writer = await server.connect()
        await refused_after_stop(server)
        writer.write(OK)
        told = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()

    assert [(200, b"/ok")] == answers(told)
    assert b"connection: close" in told.lower()


async def test_half_a_head_at_the_end() -> None:
    """A head that is under way at the end may still be finished."""
    async with served(head_seconds=PATIENCE, last_head_seconds=PATIENCE) as server:
        reader, writer = await server.connect()
        writer.write(OK[:10])
        await refused_after_stop(server)
        writer.write(OK[10:])
        told = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()

    assert [(200, b"/ok")] == answers(told)


async def test_who_never_asks_is_not_waited_for() -> None:
    """A connection that says nothing is closed soon after the end has begun, however much time a head has otherwise."""
    async with served(head_seconds=PATIENCE * 10, last_head_seconds=0.1) as server:
        reader, writer = await server.connect()
        server.http.stop()
        told = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()

    assert b"" == told


@pytest.mark.parametrize("asked_again", [True, False])
async def test_request_that_nobody_has_read_yet(asked_again: bool) -> None:
    """On a kept connection, what has arrived by the end is answered; one without a request is closed at once."""
    async with served(head_seconds=PATIENCE, last_head_seconds=PATIENCE) as server:
        reader, writer = await server.connect()
        writer.write(OK)
        told = await asyncio.wait_for(reader.readuntil(b"/ok"), PATIENCE)
        (door,) = server.http._house.served
        writer.write(OK if asked_again else b"")
        server.http.announce_end()
        door.shutdown()
        told += await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()

    assert [(200, b"/ok")] * (2 if asked_again else 1) == answers(told)


async def test_nobody_is_cut_off_at_the_end() -> None:
    """Callers that come and go while the listening ends are answered or refused; none is let in and left alone."""
    async with served(head_seconds=PATIENCE, last_head_seconds=PATIENCE) as server:
        heard: list[bytes] = []

        async def call_until_refused() -> None:
            while True:
                try:
                    reader, writer = await server.connect()
                except ConnectionRefusedError:
                    return
                await asyncio.sleep(0)
                writer.write(OK)
                heard.append(await asyncio.wait_for(reader.readuntil(b"/ok"), PATIENCE))
                writer.close()

        calling = [asyncio.create_task(call_until_refused()) for _ in range(20)]
        while len(heard) < 100:  # noqa: ASYNC110 - callers have no event for it
            await asyncio.sleep(0.01)
        server.http.stop()
        await asyncio.gather(*calling)

    assert len(heard) >= 100
    assert {b"HTTP/1.1 200"} == {told[:12] for told in heard}
