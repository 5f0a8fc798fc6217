"""One POST to one receiver, over loopback sockets."""

import asyncio
import gzip
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from chaos.certificates import certificate

from pikarelay.callbacks.addresses import AddressPolicy, parse_exceptions
from pikarelay.callbacks.answer import MOST_INTERIM
from pikarelay.callbacks.names import Lookup, NameServers
from pikarelay.callbacks.sender import ANSWER_LIMIT, HttpCallbackSender, classify
from pikarelay.errors import Unavailable
from pikarelay.outbound import open_callback_session
from pikarelay.services.ports import Callback, CallbackSender, Delivery
from tests.callbacks.lookups import answers

NOW = datetime(2026, 8, 1, 12, 0, 0, 250_000, tzinfo=UTC)
LOOPBACK = AddressPolicy(exceptions=parse_exceptions(["127.0.0.0/8"]))
BODY = '{"jobid":"j1","content":"čaj"}'.encode()


class StoppedClock:
    """A clock that shows one time."""

    def now(self) -> datetime:
        return NOW

    def elapsed(self) -> timedelta:
        return timedelta()

    async def sleep(self, delay: timedelta) -> None:
        raise AssertionError("a sender never waits")


def callback(url: str) -> Callback:
    return Callback(callback_id="msg_1", job_id="j1", url=url, body=BODY, attempt=1, created=NOW)


Send = Callable[..., Any]


@pytest.fixture
async def send(names: NameServers) -> AsyncIterator[Send]:
    """Send one callback from a session of its own."""
    sessions = []

    async def send_one(
        url: str,
        *,
        policy: AddressPolicy = LOOPBACK,
        lookup: Lookup = names,
        total_seconds: float = 10,
        **options: Any,
    ) -> Delivery:
        session = open_callback_session(policy, lookup, user_agent="pikarelay/0.1.0", **options)
        sessions.append(session)
        sender: CallbackSender = HttpCallbackSender(session, StoppedClock(), total_seconds=total_seconds)
        return await sender.send(callback(url))

    yield send_one
    for session in sessions:
        await session.close()


async def test_stored_bytes_are_posted(open_receiver: Any, send: Send) -> None:
    """The receiver gets the very bytes, their length, and the headers that identify the callback."""
    receiver = await open_receiver()

    delivery = await send(receiver.url("/hook?a=1"))

    assert delivery.error is None
    assert delivery.status == 200
    assert delivery.address == "127.0.0.1"
    assert delivery.duration > timedelta(0)
    assert receiver.bodies == [BODY]
    assert receiver.heads[0].startswith("POST /hook?a=1 HTTP/1.1\r\n")
    assert receiver.header("Content-Type") == "application/json"
    assert str(len(BODY)) == receiver.header("Content-Length")
    assert receiver.header("Transfer-Encoding") is None
    assert receiver.header("User-Agent") == "pikarelay/0.1.0"
    assert receiver.header("webhook-id") == "msg_1"
    assert str(int(NOW.timestamp())) == receiver.header("webhook-timestamp")
    assert receiver.header("Accept-Encoding") == "identity"
    assert receiver.header("Cookie") is None


async def test_connection_ends_with_the_answer(open_receiver: Any, send: Send) -> None:
    """No connection is kept for a next callback."""
    receiver = await open_receiver()

    await send(receiver.url())

    await receiver.hung_up.wait()


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_delivers(open_receiver: Any, send: Send, status: int) -> None:
    """Every status that says yes counts, whatever the answer holds."""
    receiver = await open_receiver(f"HTTP/1.1 {status} Fine\r\nContent-Length: 0\r\n\r\n".encode())

    delivery = await send(receiver.url())

    assert (status, None) == (delivery.status, delivery.error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(open_receiver: Any, send: Send, status: int) -> None:
    """A redirect is a failure of its own, and its target hears nothing."""
    target = await open_receiver()
    answer = f"HTTP/1.1 {status} Over there\r\nLocation: {target.url()}\r\nContent-Length: 0\r\n\r\n"
    receiver = await open_receiver(answer.encode())

    delivery = await send(receiver.url())

    assert (status, f"http_{status}") == (delivery.status, delivery.error)
    assert target.connections == 0


async def test_hint_is_passed_on(open_receiver: Any, send: Send) -> None:
    """A refusal with Retry-After says how long to wait."""
    receiver = await open_receiver(
        b"HTTP/1.1 429 Slow\r\nRetry-After: 90\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    )

    delivery = await send(receiver.url())

    assert delivery.error == "http_429"
    assert timedelta(seconds=90) == delivery.retry_after


async def test_silence_times_out(open_receiver: Any, send: Send) -> None:
    """A receiver that never answers costs the whole call's time, and no more."""
    silence = asyncio.Event()

    async def never(_: asyncio.StreamWriter) -> None:
        await silence.wait()

    receiver = await open_receiver(never)

    delivery = await send(receiver.url(), total_seconds=0.2)
    silence.set()

    assert (delivery.status, delivery.error) == (None, "timeout")
    assert timedelta(seconds=0.2) <= delivery.duration


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"]
)
async def test_drip_times_out(open_receiver: Any, send: Send, head: bytes) -> None:
    """An answer that comes byte by byte is ended by the wall clock, in its head as in its body."""
    gone = asyncio.Event()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while not writer.is_closing() and not gone.is_set():
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.01)

    receiver = await open_receiver(drip)

    delivery = await send(receiver.url(), total_seconds=0.3)
    gone.set()

    assert delivery.error == "timeout"


async def test_endless_answer_is_cut(open_receiver: Any, send: Send) -> None:
    """Of an answer without end, a bounded part is read, the connection closed, and the callback delivered."""
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()
            written += 65536

    receiver = await open_receiver(flood)

    delivery = await send(receiver.url())
    await receiver.hung_up.wait()

    assert (delivery.status, delivery.error) == (200, None)
    # What was written beyond the limit sat in socket buffers: ours is small, the receiver's own may be of four MiB.
    assert written < 100 * ANSWER_LIMIT


async def test_few_interim_answers_are_passed_over(open_receiver: Any, send: Send) -> None:
    """A receiver that says "go on", and gives hints, and then takes the callback, has taken it."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * (
        MOST_INTERIM - 1
    )
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    receiver = await open_receiver(interim + ok)

    delivery = await send(receiver.url())

    assert (delivery.status, delivery.error) == (200, None)


async def test_endless_interim_answers_are_a_protocol_error(open_receiver: Any, send: Send) -> None:
    """A receiver that says "go on" for ever is hung up on, long before the try is out of time."""

    async def flood(writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await writer.drain()

    receiver = await open_receiver(flood)

    delivery = await send(receiver.url(), total_seconds=30)

    assert (delivery.status, delivery.error) == (None, "protocol")
    assert delivery.duration < timedelta(seconds=15)


async def test_compressed_answer_is_not_inflated(open_receiver: Any, send: Send) -> None:
    """A compressed answer that is no such thing cannot hurt, since nobody looks inside."""
    bomb = gzip.compress(bytes(1_000_000))[:500]
    receiver = await open_receiver(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 500\r\n\r\n" + bomb
    )

    delivery = await send(receiver.url())

    assert (delivery.status, delivery.error) == (200, None)


async def test_cut_answer_delivers(open_receiver: Any, send: Send) -> None:
    """A receiver that miscounts its own answer has still said yes."""

    async def short(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")
        await writer.drain()
        writer.close()

    receiver = await open_receiver(short)

    delivery = await send(receiver.url())

    assert (delivery.status, delivery.error) == (200, None)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 two hundred\r\n\r\n"])
async def test_nonsense_is_a_protocol_error(open_receiver: Any, send: Send, answer: bytes) -> None:
    """A receiver that does not speak HTTP is told apart from one that is not there."""
    receiver = await open_receiver(answer)

    delivery = await send(receiver.url())

    assert (delivery.status, delivery.error) == (None, "protocol")


async def test_hang_up_is_a_protocol_error(open_receiver: Any, send: Send) -> None:
    """A receiver that takes the request and hangs up has not answered."""

    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.close()

    receiver = await open_receiver(hang_up)

    delivery = await send(receiver.url())

    assert (delivery.status, delivery.error) == (None, "protocol")


@pytest.mark.parametrize(("is_tls", "error"), [(False, "protocol"), (True, "tls")])
def test_reset_before_anything_was_sent(*, is_tls: bool, error: str) -> None:
    """A receiver that resets a connection at once has hung up; with TLS it has refused the handshake."""
    key: Any = None
    reset = aiohttp.ClientConnectorError(key, ConnectionResetError(104, "Connection reset by peer"))

    assert error == classify(reset, is_tls=is_tls)


async def test_want_of_descriptors_is_no_receivers_failure(open_receiver: Any, send: Send) -> None:
    """Where no socket can be opened, nothing is said of the receiver, and nothing reaches it."""
    receiver = await open_receiver()
    url = receiver.url()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(Unavailable):
            await send(url)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert 0 == receiver.connections


async def test_nobody_there_is_a_connect_error(send: Send) -> None:
    """A refused connection says so, with the address that refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        delivery = await send(f"http://127.0.0.1:{held.getsockname()[1]}/")

    assert (delivery.status, delivery.error) == (None, "connect")
    assert delivery.address == "127.0.0.1"


SPELLINGS = [
    "127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "[::ffff:7f00:1]",
    "[::ffff:127.0.0.1]",
    "[::7f00:1]",
    "[::1]",
    "[::]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "0.0.0.0",
    "0",
    "127.0.0.1.",
    "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021",
    "127.0.0.1%00",
    "[fe80::1%25lo]",
    "[::1%25lo]",
    "user@127.0.0.1",
    "user:secret@127.0.0.1",
    "example.com@127.0.0.1",
    "127.0.0.1\\@example.com",
    "127.0.0.1%2f@example.com",
    "127.0.0.1\t",
    "169.254.169.254",
    "[fd00:ec2::254]",
]


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_reaches_loopback(open_receiver: Any, send: Send, host: str) -> None:
    """However an inside address is written, the listener there accepts no connection."""
    receiver = await open_receiver()

    delivery = await send(f"http://{host}:{receiver.port}/", policy=AddressPolicy())

    assert delivery.error in {"blocked", "dns"}
    assert delivery.address is None
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "ftp://1.1.1.1/",
        "file:///etc/passwd",
        "http://",
        "http:///x",
        "",
        "http://1.1.1.1:22/",
        "http://1.1.1.1:x/",
    ],
)
async def test_impossible_urls_are_blocked(send: Send, url: str) -> None:
    """What cannot be dialled at all never gets so far."""
    delivery = await send(url)

    assert delivery.error == "blocked"
    assert delivery.address is None


@pytest.mark.parametrize(
    "found", [("127.0.0.1",), ("93.184.215.14", "127.0.0.1"), ("127.0.0.1", "93.184.215.14"), ("::1",)]
)
async def test_one_closed_address_refuses_the_name(
    open_receiver: Any, send: Send, found: tuple[str, ...]
) -> None:
    """A name with a closed address among its answers is dialled at none of them."""
    receiver = await open_receiver()

    delivery = await send(
        f"http://mixed.example:{receiver.port}/", policy=AddressPolicy(), lookup=answers(found)
    )

    assert (delivery.status, delivery.error, delivery.address) == (None, "blocked", None)
    assert receiver.connections == 0


async def test_name_is_looked_up_for_each_try(open_receiver: Any, send: Send) -> None:
    """A name that turns from an open to a closed address is refused the moment it turns."""
    receiver = await open_receiver()
    lookup = answers(*[["127.0.0.2"], ["127.0.0.1"]] * 20)
    policy = AddressPolicy(exceptions=parse_exceptions(["127.0.0.2/32"]))

    errors = [
        (await send(f"http://turning.example:{receiver.port}/", policy=policy, lookup=lookup)).error
        for _ in range(40)
    ]

    # Nobody listens on the open address; what matters is that nobody was reached on the closed one.
    assert errors == ["connect", "blocked"] * 20
    assert receiver.connections == 0


async def test_name_is_followed_to_its_address(open_receiver: Any, send: Send) -> None:
    """A name whose addresses are all open is delivered to, under its own name."""
    receiver = await open_receiver()

    delivery = await send(f"http://open.example:{receiver.port}/", lookup=answers(["127.0.0.1"]))

    assert (delivery.status, delivery.address) == (200, "127.0.0.1")
    assert f"open.example:{receiver.port}" == receiver.header("Host")


async def test_unknown_name_is_a_dns_error(send: Send) -> None:
    """A name that nobody knows says so."""
    delivery = await send("http://nowhere.invalid/")

    assert (delivery.status, delivery.error) == (None, "dns")


async def test_empty_answer_is_a_dns_error(send: Send) -> None:
    """A name without addresses is as good as unknown."""
    delivery = await send("http://nowhere.example/", lookup=answers([]))

    assert (delivery.status, delivery.error) == (None, "dns")


async def test_environment_proxies_are_not_asked(
    open_receiver: Any, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment sees no callback."""
    receiver, proxy = await open_receiver(), await open_receiver()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url(""))

    delivery = await send(receiver.url())

    assert delivery.error is None
    assert proxy.connections == 0


def serving(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_trusted_certificate_delivers(open_receiver: Any, send: Send, tmp_path: Path) -> None:
    """A receiver whose certificate verifies is delivered to over TLS."""
    path = certificate(tmp_path, "127.0.0.1")
    receiver = await open_receiver(tls=serving(path))

    delivery = await send(
        receiver.url().replace("http:", "https:"), tls=ssl.create_default_context(cafile=path)
    )

    assert (delivery.status, delivery.error) == (200, None)


@pytest.mark.parametrize("trusted", [False, True])
async def test_unverified_certificate_is_a_tls_error(
    open_receiver: Any, send: Send, tmp_path: Path, *, trusted: bool
) -> None:
    """A certificate that nobody vouches for, or for another name, ends the call before the first byte."""
    path = certificate(tmp_path, "elsewhere.example")
    receiver = await open_receiver(tls=serving(path))
    tls = ssl.create_default_context(cafile=path) if trusted else None

    delivery = await send(receiver.url().replace("http:", "https:"), tls=tls)

    assert (delivery.status, delivery.error) == (None, "tls")
    assert receiver.heads == []


async def test_plain_server_is_a_tls_error(send: Send) -> None:
    """A receiver that does not speak TLS where https was asked for is a failure of TLS."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        delivery = await send(f"https://127.0.0.1:{port}/")

    assert (delivery.status, delivery.error) == (None, "tls")


async def test_cancellation_is_not_swallowed(open_receiver: Any, send: Send) -> None:
    """Stopping the server stops a call under way."""
    came = asyncio.Event()

    async def never(_: asyncio.StreamWriter) -> None:
        came.set()
        await asyncio.Event().wait()

    receiver = await open_receiver(never)
    task = asyncio.create_task(send(receiver.url()))
    await came.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
