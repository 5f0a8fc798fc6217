"""Rows 15 and 16: who takes too long, and what leaves a doubt where a request ends. The server's own limits apply."""

import contextlib
import http.client
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.acceptance.pictures import picture
from tests.acceptance.servers import PATIENCE, Relay
from tests.hostile.raw import MULTIPART, ask, connect, cpu_ms, file, head, read

#: Of a head, and of a body's silence.
HEAD_SECONDS, IDLE_SECONDS, GRACE_SECONDS = 10.0, 15.0, 10.0
#: What a busy machine may add.
SLACK = 4.0
HALF = b"GET /v1/pika/jobs HTTP/1.1\r\nHost: x\r\nX-"


def ends(connection: socket.socket, within: float) -> tuple[float, bytes]:
    """Return after how many seconds the server closed, and what it said."""
    began, said = time.monotonic(), b""
    connection.settimeout(within)
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(65536):
            said += data
    return time.monotonic() - began, said


@pytest.mark.parametrize("begun", [b"", b"G", HALF], ids=["nothing", "a letter", "half a head"])
def test_row_15_half_a_head(server: Relay, begun: bytes) -> None:
    """Half a head, then silence: closed after ten seconds."""
    with connect(server) as connection:
        connection.sendall(begun)
        seconds, said = ends(connection, HEAD_SECONDS + SLACK)

    assert b"" == said
    assert HEAD_SECONDS - 0.5 < seconds < HEAD_SECONDS + SLACK


@pytest.mark.parametrize("begun", [0, 20_000], ids=["from the start", "after a beginning"])
@pytest.mark.usefixtures("nothing")
def test_row_15_slow_body(server: Relay, begun: int) -> None:
    """A body of a byte every ten seconds: 400 after ten seconds, or fifteen when it had begun well, and closed."""
    upload = b"--b0undary\r\n" + file("image", picture(100_000))
    with connect(server) as connection:
        connection.sendall(head(server, "/v1/pika/animate", f"{MULTIPART}Content-Length: 1000000\r\n"))
        connection.sendall(upload[: begun or 1])
        began = time.monotonic()
        while not select.select([connection], [], [], 10)[0]:
            connection.sendall(b"x")
        seconds = time.monotonic() - began
        answer = read(connection)

    assert (400, "request body is incomplete", True) == (answer.code, answer.error, answer.is_last)
    limit = IDLE_SECONDS if begun else GRACE_SECONDS
    assert GRACE_SECONDS - 0.5 < seconds < limit + 10 + SLACK


@contextmanager
def half_open(server: Relay, count: int) -> Iterator[list[socket.socket]]:
    """Hold so many connections with half a head."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = connect(server)
            connection.sendall(HALF)
            held.append(connection)
        yield held
    finally:
        for connection in held:
            connection.close()


def work(server: Relay, count: int) -> tuple[float, float]:
    """Ask so often on one connection. Return the server's processor time for each, and the longest wait, in ms."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
    longest, before = 0.0, cpu_ms(server.pid)
    for _ in range(count):
        began = time.perf_counter()
        connection.request("GET", "/v1/pika/jobs", headers=server.headers)
        answer = connection.getresponse()
        answer.read()
        longest = max(longest, (time.perf_counter() - began) * 1000)
        assert 200 == answer.status
    connection.close()
    return (cpu_ms(server.pid) - before) / count, longest


@pytest.mark.timeout(120)
def test_row_15_five_thousand(server: Relay) -> None:
    """
    Five thousand connections with half a head are closed in time, and cost those that are served next to nothing.

    Counted is the server's work from the first of them to the last one's end, for waiting times on a busy machine are
    others', and so is the moment at which the server comes to accept a connection.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    work(server, 100)
    alone, _ = work(server, 500)
    begun = cpu_ms(server.pid)
    with half_open(server, 5000) as held:
        asked, longest = 1000, work(server, 1000)[1]
        # Others go on asking while all of these run out of time.
        deadline = time.monotonic() + HEAD_SECONDS + 4 * SLACK
        while not select_closed(held):
            asked, longest = asked + 10, max(longest, work(server, 10)[1])
            assert time.monotonic() < deadline, len(held)
    spent = cpu_ms(server.pid) - begun

    # A look at each of them with each request would be five million looks.
    assert (spent - asked * alone) / 5000 < 1, (spent, asked, alone)
    # Not a wait that a client would give up after, while five thousand end at once.
    assert longest < 2000, longest


def select_closed(held: list[socket.socket]) -> bool:
    """Whether the server has closed all of them, within 20 ms. Those that it has are let go."""
    poll = select.poll()
    by_number = {connection.fileno(): connection for connection in held}
    for number in by_number:
        poll.register(number, select.POLLIN)
    for number, _ in poll.poll(20):
        held.remove(by_number[number])
        by_number[number].close()
    return not held


BODY = b"GET /v1/pika/jobs HTTP/1.1\r\nHost: x\r\n\r\n"
DOUBTS = {
    "length and chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunks and length": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two lengths": "Content-Length: 5\r\nContent-Length: 60\r\n",
    "one length twice": "Content-Length: 5\r\nContent-Length: 5\r\n",
    "two lengths in one": "Content-Length: 5, 60\r\n",
    "negative": "Content-Length: -1\r\n",
    "with a sign": "Content-Length: +5\r\n",
    "not decimal": "Content-Length: 0x10\r\n",
    "space before the colon": "Content-Length : 5\r\n",
    "unknown coding": "Transfer-Encoding: xchunked\r\n",
    "two codings": "Transfer-Encoding: gzip, chunked\r\n",
    "coding twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "coding with a tab": "Transfer-Encoding:\x0bchunked\r\n",
    "folded": "Transfer-Encoding:\r\n chunked\r\n",
    "bare line feed": "X: y\nTransfer-Encoding: chunked\r\n",
    "two hosts": "Host: y\r\n",
    "body and upgrade": f"Connection: upgrade\r\nUpgrade: x\r\nContent-Length: {len(BODY)}\r\n",
    "70 kB": f"X: {'x' * 70_000}\r\n",
    "70 kB in many": "X: y\r\n" * 12_000,
}


@pytest.mark.parametrize("lines", DOUBTS.values(), ids=DOUBTS)
@pytest.mark.usefixtures("nothing")
def test_row_16_doubtful_request(server: Relay, lines: str) -> None:
    """What two readers could understand differently is 400 in the API's form and closes; no second request is read."""
    answer = ask(server, head(server, "/v1/pika/button", lines) + BODY)

    assert (400, True) == (answer.code, answer.is_last)
    assert answer.error


@pytest.mark.parametrize("path", ["/", "/v1/pika/jobs", "/openapi.json", "/nowhere"])
def test_row_16_missing_host(server: Relay, path: str) -> None:
    """HTTP/1.1 without Host is 400 everywhere."""
    answer = ask(server, f"GET {path} HTTP/1.1\r\nAuthorization: Bearer {server.api_token}\r\n\r\n".encode())

    assert (400, "request needs one Host header", True) == (answer.code, answer.error, answer.is_last)


def test_row_16_70_kb_of_path(server: Relay) -> None:
    """70 kB of path are as much too long as 70 kB of headers."""
    answer = ask(server, head(server, "/" + "x" * 70_000, method="GET"))

    assert (400, "request header is too large", True) == (answer.code, answer.error, answer.is_last)
