"""
The load: an HTTP client that adds as little as possible to what it measures, an open loop and a closed one.

The client is for servers that announce the length of their answers. Times are nanoseconds of CLOCK_MONOTONIC, which
is the same clock in every process of the machine.

As a program, `python -m bench.load PORT CONNECTIONS SECONDS`: reads one request a line (hexadecimal) from stdin, sends
them in turn over all connections, each as soon as the last is answered, and prints how many were answered with 200.
"""

import asyncio
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import uvloop

from bench.processes import pin

T = TypeVar("T")

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Answer(NamedTuple):
    """What came back, when its request left, and when the last byte was there."""

    status: int
    body: bytes
    sent_ns: int
    received_ns: int


class Connection(asyncio.Protocol):
    """One connection, for one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._got = b""
        self._sent_ns = 0
        self._on_answer: Callable[[Answer], None] = _ignore
        self._on_loss: Callable[[], None] = _nothing

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport, always

    def data_received(self, data: bytes) -> None:
        received_ns = time.monotonic_ns()
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._got, 0, end)
        if len(self._got) < (whole := end + 4 + (int(length[1]) if length else 0)):
            return
        answer = Answer(int(self._got[9:12]), self._got[end + 4 : whole], self._sent_ns, received_ns)
        self._got = b""
        self._on_answer(answer)

    def connection_lost(self, _error: Exception | None) -> None:
        self._on_loss()

    def send(self, request: bytes, on_answer: Callable[[Answer], None], on_loss: Callable[[], None]) -> None:
        """Send a request; one of the two is called when it is over."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._on_answer, self._on_loss = on_answer, on_loss
        self._sent_ns = time.monotonic_ns()
        self._transport.write(request)

    def rest(self) -> None:
        """Wait for nothing until the next request."""
        self._on_answer, self._on_loss = _ignore, _nothing

    def close(self) -> None:
        self.rest()
        if self._transport is not None:
            self._transport.close()


def _ignore(_: Answer) -> None:
    pass


def _nothing() -> None:
    pass


class Client:
    """As many connections to one port as there are requests under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def send(self, request: bytes) -> Answer:
        # Servers close connections that idle.
        while self._idle and not self._idle[-1].is_open:
            self._idle.pop()
        connection = self._idle.pop() if self._idle else await _connect(self._port)
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        connection.send(
            request,
            answered.set_result,
            lambda: answered.set_exception(ConnectionError("the server hung up")),
        )
        answer = await answered
        connection.rest()
        self._idle.append(connection)
        return answer

    async def warm(self, connections: int) -> None:
        """Connect before it counts."""
        self._idle += [await _connect(self._port) for _ in range(connections)]

    def close(self) -> None:
        for connection in self._idle:
            connection.close()


async def _connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


async def at_rate(per_second: float, count: int, act: Callable[[int], Awaitable[T]]) -> list[T]:
    """
    Begin `act(0)`, `act(1)`, … at their times, however long the ones before take, and return what they return.

    An open loop: a server that stands still is not spared what would have come meanwhile.
    """
    loop = asyncio.get_running_loop()
    begin = loop.time() + 0.1
    tasks: list[asyncio.Future[T]] = []
    for n in range(count):
        await asyncio.sleep(begin + n / per_second - loop.time())
        tasks.append(asyncio.ensure_future(act(n)))
    return await asyncio.gather(*tasks)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it on the fast event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def get(headers: bytes, path: str) -> bytes:
    return b"GET %s HTTP/1.1\r\n%s\r\n" % (path.encode(), headers)


def post_form(headers: bytes, path: str, fields: dict[str, str]) -> bytes:
    """Return a multipart POST."""
    boundary = b"bench-0123456789abcdef"
    body = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (boundary, name.encode(), value.encode())
        for name, value in fields.items()
    )
    body += b"--%s--\r\n" % boundary
    return (
        b"POST %s HTTP/1.1\r\n%sContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n\r\n%s"
        % (
            path.encode(),
            headers,
            boundary,
            len(body),
            body,
        )
    )


def saturate(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> int:
    """Send as much as the server takes, from a process of its own; return how many were answered with 200."""
    command = [sys.executable, "-m", "bench.load", str(port), str(connections), str(seconds)]
    lines = "\n".join(request.hex() for request in requests)
    done = subprocess.run(
        command, input=lines, capture_output=True, text=True, timeout=seconds + 30, check=True
    )
    return int(done.stdout)


async def _saturate(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> int:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    over: asyncio.Future[None] = loop.create_future()
    good, active = 0, connections

    def finished() -> None:
        nonlocal active
        active -= 1
        if active == 0 and not over.done():
            over.set_result(None)

    def keep_busy(connection: Connection) -> None:
        def answered(answer: Answer) -> None:
            nonlocal good
            good += answer.status == 200
            if loop.time() < end:
                connection.send(next(requests), answered, finished)
            else:
                connection.rest()
                finished()

        connection.send(next(requests), answered, finished)

    opened = [await _connect(port) for _ in range(connections)]
    for connection in opened:
        keep_busy(connection)
    await over
    for connection in opened:
        connection.close()
    return good


if __name__ == "__main__":
    # The server has the first core.
    pin(os.getpid(), 1)
    _port, _connections, _seconds = sys.argv[1:]
    _requests = [bytes.fromhex(line) for line in sys.stdin.read().split()]
    print(run(_saturate(int(_port), itertools.cycle(_requests), int(_connections), float(_seconds))))
