"""Receivers of callbacks that misbehave, on loopback, and what they saw."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.servers import PATIENCE, Relay

EXTENSION = "/v1/pikarelay/callbacks"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

#: What a receiver does with a connection whose request it has read.
Script = Callable[[socket.socket], None]


@dataclass
class Listener:
    """Somebody who listens, and counts."""

    host: str
    port: int
    scheme: str = "http"
    #: Connections that were made, whatever came of them.
    connections: int = 0
    #: Requests that were read whole.
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/hook"


def saying(answer: bytes) -> Script:
    def say(connection: socket.socket) -> None:
        connection.sendall(answer)

    return say


@contextlib.contextmanager
def listening(
    script: Script | None = None, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[Listener]:
    """Read each request whole, play the script (by default: take it), and hang up."""
    play = script or saying(OK)
    with socket.create_server((host, 0), backlog=1000) as server:
        found = Listener(host, server.getsockname()[1], "http" if tls is None else "https")
        threads: list[threading.Thread] = []

        def serve(raw: socket.socket) -> None:
            # A client that hangs up in the middle, or will not shake hands, is what many of these scripts are about.
            with contextlib.suppress(OSError), raw:
                connection = raw if tls is None else tls.wrap_socket(raw, server_side=True)
                with connection:
                    found.requests.append(_read(connection))
                    play(connection)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    raw, _ = server.accept()
                    raw.settimeout(PATIENCE)
                    found.connections += 1
                    threads.append(threading.Thread(target=serve, args=(raw,), daemon=True))
                    threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield found
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join(PATIENCE)


def _read(connection: socket.socket) -> bytes:
    content = b""
    while b"\r\n\r\n" not in content:
        content += _some(connection)
    head, _, body = content.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    if not (some := connection.recv(65536)):
        raise ConnectionError("the other side hung up")
    return some


def shown(server: Relay, job_id: str) -> dict[str, Any]:
    """Return a callback with its log."""
    body: dict[str, Any] = server.get(f"{EXTENSION}/{job_id}").json()
    return body


def tried(server: Relay, job_id: str, attempts: int = 1, seconds: float = PATIENCE) -> dict[str, Any]:
    """Return a callback once so many of its tries are over."""
    deadline = time.monotonic() + seconds
    while len((callback := shown(server, job_id)).get("log", [])) < attempts:
        assert time.monotonic() < deadline, callback
        time.sleep(0.02)
    return callback
