"""Rows 17 to 23: where a callback may go at all, and receivers that redirect, drip, and explode. Against a running server."""

import asyncio
import contextlib
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chaos.nameserver import NameServer, Reply

from tests.acceptance.servers import Local, Relay, relay
from tests.hostile.raw import resident
from tests.hostile.receivers import Listener, listening, saying, tried

METADATA = "169.254.169.254"


@pytest.fixture(scope="module")
def names() -> Iterator[NameServer]:
    """A name server that knows hosts which are not what they seem."""

    def book(name: str, before: int) -> Reply:
        match name.split(".", maxsplit=1)[0]:
            case "turning":
                return Reply(("127.0.0.2",) if before == 0 else ("127.0.0.1",))
            case "mixed":
                return Reply(("127.0.0.2", "127.0.0.1"))
            case "metadata":
                return Reply((METADATA,))
            case _:
                return Reply(("127.0.0.1",))

    server = NameServer(book)
    stop = threading.Event()
    ready = threading.Event()

    async def serve() -> None:
        async with server.serving():
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield server
    stop.set()
    thread.join()


@pytest.fixture(scope="module")
def strict(folder: Path, local: Local, names: NameServer) -> Iterator[Relay]:
    """A server that may reach one loopback address alone, and that network of which metadata services are."""
    own = folder / "strict"
    own.mkdir()
    settings = {"discord_press_interval_seconds": "0", "callbacks_nameservers": f"127.0.0.1:{names.port}"}
    opens = ("127.0.0.2/32", "169.254.0.0/16", "fc00::/7")
    with relay(own, local, opens=opens, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def inside() -> Iterator[Listener]:
    """A service on loopback that nobody outside may reach."""
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def strict_seat(local: Local) -> tuple[str, str]:
    return local.new_user("strict")


NEVER = [
    "file:///etc/passwd", "gopher://example.org/_x", "ftp://example.org/", "javascript:alert(1)", "data:text/plain,x",
    "http://", "http:///hook", "//example.org/", "example.org/hook", "http://user:secret@example.org/",
    "http://user@example.org/", "http://example.org/\x01", "http://exam ple.org/", "http://example.org:99999/",
    "http://example.org/\r\nX-Forged: 1", "http://[::1/", "HTTP:example.org",
]  # fmt: skip


@pytest.mark.parametrize("url", NEVER)
@pytest.mark.usefixtures("nothing")
def test_row_17_never_deliverable(server: Relay, seat: tuple[str, str], url: str) -> None:
    """An address that can never work is refused at once, and makes no job."""
    token, channel = seat
    answer = server.post(
        "create", {"prompt": "a kite", "discord": token, "channel": channel, "replyUrl": url}
    )

    assert (400, {"error": "replyUrl is not a valid URL", "code": 400}) == (answer.status_code, answer.json())


SPELLINGS = [
    "127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::ffff:7f00:1]", "[::7f00:1]", "[64:ff9b::7f00:1]",
    "[::1]", "0.0.0.0", "localhost", "inside.example",
]  # fmt: skip


def owed(server: Relay, seat: tuple[str, str], url: str) -> dict[str, Any] | None:
    """Return the callback of a job after its first try; None when the address was refused with the request."""
    token, channel = seat
    fields = {"prompt": "a kite", "discord": token, "channel": channel, "replyUrl": url}
    answer = server.post("create", fields)
    if answer.status_code == 400:
        assert "replyUrl is not a valid URL" == answer.json()["error"]
        return None
    assert 200 == answer.status_code, answer.text
    job = server.finished(answer.json()["jobid"])
    return tried(server, job["jobid"])


@pytest.mark.parametrize("host", SPELLINGS)
def test_row_18_no_spelling_reaches_loopback(
    strict: Relay, strict_seat: tuple[str, str], inside: Listener, host: str
) -> None:
    """However loopback is spelt, nothing connects to it; the next look is a step of the schedule later."""
    callback = owed(strict, strict_seat, f"http://{host}:{inside.port}/hook")

    assert 0 == inside.connections
    if callback is not None:
        (attempt,) = callback["log"]
        assert attempt["error"] in {"blocked", "dns"}
        assert "address" not in attempt
        assert ("waiting", 1) == (callback["state"], callback["attempts"])
        # The second step of the schedule is five seconds, give or take a fifth.
        assert moment(callback["nextTry"]) - moment(attempt["started"]) >= timedelta(seconds=3.9)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    "host",
    [METADATA, "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[fd00:ec2::254]", "metadata.google.internal",
     "100.100.100.200"],
)  # fmt: skip
def test_row_19_metadata(strict: Relay, strict_seat: tuple[str, str], host: str) -> None:
    """Metadata services are closed, with their networks on the operator's list too, by number and by name."""
    callback = owed(strict, strict_seat, f"http://{host}/latest/meta-data/")

    assert callback is not None
    assert ["blocked"] == [attempt["error"] for attempt in callback["log"]]
    assert "address" not in callback["log"][0]


@pytest.mark.parametrize("name", ["turning", "mixed"])
def test_row_20_name_that_turns(
    strict: Relay, strict_seat: tuple[str, str], inside: Listener, names: NameServer, name: str
) -> None:
    """A name that answers open first and closed then, or both at once, leads to nothing that is closed."""
    callback = owed(strict, strict_seat, f"http://{name}.example:{inside.port}/hook")
    assert callback is not None
    asked = names.asked[f"{name}.example"]
    # At the open address nobody listens on that port.
    again = tried(strict, callback["jobid"], attempts=2)

    assert asked >= 1
    assert {attempt["error"] for attempt in again["log"]} <= {"blocked", "connect"}
    assert "blocked" in {attempt["error"] for attempt in again["log"]}
    assert {attempt.get("address") for attempt in again["log"]} <= {None, "127.0.0.2"}
    assert 0 == inside.connections


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_row_21_redirect(server: Relay, seat: tuple[str, str], inside: Listener, status: int) -> None:
    """A redirect is a failure with its status, tried again by the schedule; where it leads to hears nothing."""
    before = inside.connections
    head = f"HTTP/1.1 {status} There\r\nLocation: {inside.url}\r\nContent-Length: 0\r\n\r\n"
    with listening(saying(head.encode())) as there:
        callback = owed(server, seat, there.url)

    assert callback is not None
    assert (status, f"http_{status}") == (callback["log"][0]["status"], callback["log"][0]["error"])
    assert ("waiting", before) == (callback["state"], inside.connections)


@pytest.fixture(scope="module")
def hasty(folder: Path, local: Local) -> Iterator[Relay]:
    """A server that gives a receiver two seconds. That it gives sixty by itself is shown where time can be leapt over."""
    own = folder / "hasty"
    own.mkdir()
    settings = {"discord_press_interval_seconds": "0", "callbacks_total_seconds": "2"}
    with relay(own, local, callbacks_connect_seconds="2", **settings) as running:
        yield running


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        time.sleep(0.2)
        connection.sendall(b".")


def silence(connection: socket.socket) -> None:
    while connection.recv(1):
        pass


@pytest.mark.parametrize("script", [drip, silence])
def test_row_22_drip_and_silence(hasty: Relay, local: Local, script: Any) -> None:
    """A receiver that drips for ever, or is silent, is left when its time is up; the next try is five minutes off at least."""
    with listening(script) as slow:
        callback = owed(hasty, local.new_user(f"slow-{script.__name__}"), slow.url)

    assert callback is not None
    (attempt,) = callback["log"]
    assert "timeout" == attempt["error"]
    assert attempt["durationMs"] >= 2000
    assert moment(callback["nextTry"]) - moment(attempt["started"]) >= timedelta(seconds=300)


def test_row_23_answers_that_explode(server: Relay, seat: tuple[str, str]) -> None:
    """An answer that inflates to 200 MiB and one of a gibibyte deliver, are read in part, and cost next to no memory."""
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(200)) + squeeze.flush()
    sent = 0

    def explode(connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(bomb) + bomb)

    def endless(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        with contextlib.suppress(OSError):
            while sent < 1 << 30:
                connection.sendall(b"x" * 65536)
                sent += 65536

    with listening(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as usual:
        owed(server, seat, usual.url)
    before = resident(server.pid)
    for script in (explode, endless):
        with listening(script) as receiver:
            callback = owed(server, seat, receiver.url)

            assert callback is not None
            assert ("delivered", 200) == (callback["state"], callback["log"][0]["status"])
            assert len(callback["log"][0]["answer"]) <= 16 * 1024
    # A job and its callback are in it too, and pages of the database's memory.
    assert resident(server.pid) - before < 4 * 1024 * 1024
    # What the system holds for the two sides, and not more.
    assert sent < 64 * 1024 * 1024
