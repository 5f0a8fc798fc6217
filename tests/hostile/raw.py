"""HTTP byte by byte: what no decent client sends, and exactly what comes back."""

import json
import socket
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.acceptance.servers import PATIENCE, Relay

MIB = 1024 * 1024
BOUNDARY = "b0undary"
MULTIPART = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"


class Answer(NamedTuple):
    """One answer."""

    code: int
    headers: dict[str, str]
    body: bytes
    #: Whether the server closed the connection after it.
    is_last: bool

    @property
    def error(self) -> str:
        """The sentence of a refusal, which is in the API's form, with a request's id, and no page."""
        told = json.loads(self.body)
        assert ["error", "code"] == list(told)
        assert self.code == told["code"]
        assert "application/json" == self.headers["content-type"]
        assert self.headers["x-request-id"]
        return str(told["error"])


def connect(server: Relay) -> socket.socket:
    parts = urlsplit(server.url)
    return socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=PATIENCE)


def head(server: Relay, path: str, headers: str = "", method: str = "POST") -> bytes:
    """Return a head with the caller's token."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api_token}\r\n{headers}\r\n"
    ).encode("latin-1")


def read(connection: socket.socket) -> Answer:
    """Read one answer, and on, if it says that it is the last, to the end of the connection."""
    file = connection.makefile("rb")
    code = int(file.readline().split()[1])
    headers = {}
    while line := file.readline().strip().decode("latin-1"):
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    body = file.read(int(headers.get("content-length", "0")))
    says_last = headers.get("connection") == "close"
    return Answer(code, headers, body, is_last=says_last and file.read() == b"")


def ask(server: Relay, request: bytes) -> Answer:
    """Send all of it, whatever comes back meanwhile, and read the answer."""
    with connect(server) as connection:
        connection.sendall(request)
        return read(connection)


def form(server: Relay, path: str, *parts: bytes, boundary: str = BOUNDARY, end: bool = True) -> bytes:
    """Return a whole request with a multipart body of these parts."""
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), part) for part in parts)
    if end:
        body += b"--%b--\r\n" % boundary.encode()
    return head(server, path, f"{MULTIPART}Content-Length: {len(body)}\r\n") + body


def field(name: str, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + raw


def file(name: str, value: bytes, filename: str = "a.png") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    return disposition.encode() + value


def cpu_ms(pid: int) -> float:
    """Return the processor time of a process's threads, in milliseconds, as exactly as the system knows it."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e6


def resident(pid: int) -> int:
    """Return the memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def events(server: Relay) -> list[dict[str, Any]]:
    """Return the log's events. A line that is none fails here."""
    return [json.loads(line) for line in server.log.read_bytes().split(b"\n") if line]
