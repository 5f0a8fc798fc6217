"""
Hostile receivers, by the rows of a table: what each tries, and the clear outcome that it must get.

Rows 17 to 21 are about where a callback may go at all, 22 to 29 about receivers that misbehave. "Reached" means: a listener
that waits at the forbidden place has accepted a connection.
"""

import asyncio
import contextlib
import gc
import gzip
import ssl
import statistics
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chaos.certificates import certificate

from pikarelay.callbacks.addresses import AddressPolicy, parse_exceptions
from pikarelay.callbacks.guard import GuardedLookup
from pikarelay.callbacks.names import Lookup, NameServers
from pikarelay.callbacks.retry_after import LONGEST, parse_retry_after
from pikarelay.callbacks.sender import KEPT_LIMIT, HttpCallbackSender
from pikarelay.contract.urls import is_deliverable
from pikarelay.jobs.backoff import AFTER_TIMEOUT, SCHEDULE
from pikarelay.jobs.breaker import Health
from pikarelay.outbound import open_callback_session
from pikarelay.services.deliver_callback import outcome_of
from pikarelay.services.ports import Callback, Delivery
from pikarelay.settings import CallbackSettings
from pikarelay.system import SystemClock
from tests.callbacks.leaping import run_leaping
from tests.callbacks.lookups import answers, knowing_nothing

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
LOOPBACK = AddressPolicy(exceptions=parse_exceptions(["127.0.0.0/8"]))
BLOCKED = (None, "blocked", None)


def a_callback(url: str, **its: Any) -> Callback:
    given = {"callback_id": "cb_1", "job_id": "j1", "body": b"{}", "attempt": 1, "created": NOW, **its}
    return Callback(url=url, **given)


@contextlib.asynccontextmanager
async def a_sender(
    policy: AddressPolicy = LOOPBACK,
    lookup: Lookup | None = None,
    total_seconds: float = 10,
    **options: Any,
) -> AsyncIterator[HttpCallbackSender]:
    async with (
        knowing_nothing() as names,
        open_callback_session(policy, lookup or names, user_agent="pikarelay/test", **options) as session,
    ):
        yield HttpCallbackSender(session, SystemClock(), total_seconds=total_seconds)


async def send(url: str, policy: AddressPolicy = LOOPBACK, **options: Any) -> Delivery:
    async with a_sender(policy, **options) as sender:
        return await sender.send(a_callback(url))


def facts(delivery: Delivery) -> tuple[int | None, str | None, str | None]:
    return delivery.status, delivery.error, delivery.address


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://example.org/_x",
        "ftp://example.org/",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://",
        "http:///path",
        "https://:443/",
        "//example.org/",
        "example.org/hook",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://example.org\t/",
        "http://example.org/\r\nX: y",
        "http://exa\x00mple.org/",
        "http://example.org\\@127.0.0.1/",
        "http://[::1%25lo]/",
        "http://example.org:0/",
        "http://example.org:99999/",
    ],
)
async def test_row_17_never_deliverable(url: str) -> None:
    """An address that can never work is refused when it is given, and once more should it be stored all the same."""
    assert not is_deliverable(url)
    # The URL parser of the sender is another one, and drops some controls, so it may get as far as the look-up.
    delivery = await send(url, lookup=answers(["127.0.0.1"]), policy=AddressPolicy())
    assert BLOCKED == facts(delivery)


#: Spellings of loopback and of other inside addresses that one parser or another takes for them.
SPELLINGS = [
    *("127.0.0.1", "127.1", "127.0.1", "127.000.000.001", "2130706433", "02130706433", "0x7f000001", "0X7F000001"),
    *("0x7f.1", "0x7f.0.0.1", "0x7f.0x0.0x0.0x1", "0177.0.0.1", "0177.1", "017700000001", "00000177.0.0.1"),
    *("127.0.0.1.", "127.0.0.2", "127.255.255.254", "localhost", "localhost.", "LOCALHOST", "lOcAlHoSt.", "ip6-localhost"),
    *("0", "0.0.0.0", "0x0", "00", "0.0", "0.0.0.0."),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:7F00:1]"),
    *("[::7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]"),
    *("[::ffff:0:127.0.0.1]", "[fe80::1]", "[fe80::1%25lo]", "[::1%25lo]", "[fec0::1]", "[fd00::1]", "[ff02::1]"),
    *("\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1", "\u2460\u2461\u2466.0.0.1"),
    *("127.0.0.1%00", "127.0.0.1%2f", "127.0.0.1%09", "127.0.0.1\t", "127.0.0.1%23@example.org", "user@127.0.0.1"),
    *("127.0.0.1\\@example.org", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "198.18.0.1", "240.0.0.1"),
]  # fmt: skip


async def test_row_18_no_spelling_reaches_loopback(open_receiver: Any) -> None:
    """Of sixty and more spellings of inside addresses none is reached, however it is parsed and resolved."""
    receiver = await open_receiver()
    async with a_sender(AddressPolicy()) as sender:
        found = {
            host: facts(await sender.send(a_callback(f"http://{host}:{receiver.port}/")))
            for host in SPELLINGS
        }

    assert len(found) >= 60
    assert {} == {host: its for host, its in found.items() if its[1] not in {"blocked", "dns"} or its[2]}
    assert receiver.connections == 0


def test_row_18_no_retry_storm() -> None:
    """A blocked callback is looked at again once a step of its schedule, and at the last step given up."""
    blocked = Delivery(error="blocked", duration=timedelta())
    delays = []
    for tries in range(len(SCHEDULE) - 1):
        outcome = outcome_of(a_callback("", tries=tries), blocked, Health(), SCHEDULE, 0.5, NOW)
        assert outcome.retry_at is not None
        delays.append(outcome.retry_at - NOW)

    assert list(SCHEDULE[1:]) == delays
    last = outcome_of(a_callback("", tries=len(SCHEDULE) - 1), blocked, Health(), SCHEDULE, 0.5, NOW)
    assert last.given_up


@pytest.mark.parametrize("allowed", [(), ("169.254.0.0/16", "fc00::/7", "fe80::/10", "100.64.0.0/10")])
@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "metadata.google.internal",
    ],
)
async def test_row_19_metadata(host: str, allowed: tuple[str, ...]) -> None:
    """Metadata services are closed, also when the operator has opened the whole network around them."""
    policy = AddressPolicy(exceptions=parse_exceptions(allowed), nat64=True)
    names = {"lookup": answers(["169.254.169.254"])} if host[-1].isalpha() else {}

    assert BLOCKED == facts(await send(f"http://{host}/latest/meta-data/", policy, **names))


async def test_row_20_rebinding(open_receiver: Any) -> None:
    """Of a thousand requests to a name that alternates between open and closed, none reaches the closed address."""
    receiver = await open_receiver()
    policy = AddressPolicy(exceptions=parse_exceptions(["127.0.0.2/32"]))
    lookup = answers(*[["127.0.0.2"], ["127.0.0.1"]] * 500)
    async with a_sender(policy, lookup=lookup) as sender:
        found = [
            (await sender.send(a_callback(f"http://turning.example:{receiver.port}/"))).error
            for _ in range(1000)
        ]

    assert ["connect", "blocked"] * 500 == found
    assert receiver.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_row_21_redirects(open_receiver: Any, status: int) -> None:
    """A redirect is a failure with its status, and its target hears nothing."""
    inside = await open_receiver()
    head = f"HTTP/1.1 {status} There\r\nLocation: {inside.url()}\r\nContent-Length: 0\r\n\r\n"
    receiver = await open_receiver(head.encode())

    assert (status, f"http_{status}") == facts(await send(receiver.url()))[:2]
    assert inside.connections == 0


@pytest.mark.parametrize("header", ["Refresh: 0; url={}", "Location: {}", "Link: <{}>; rel=preload"])
async def test_row_21_other_hints(open_receiver: Any, header: str) -> None:
    """No header of a good answer leads anywhere either."""
    inside = await open_receiver()
    head = f"HTTP/1.1 200 OK\r\n{header.format(inside.url())}\r\nContent-Length: 0\r\n\r\n"
    receiver = await open_receiver(head.encode())

    assert (200, None) == facts(await send(receiver.url()))[:2]
    assert inside.connections == 0


async def test_closed_ports_look_like_open_ones(open_receiver: Any) -> None:
    """Whether an inside port is open, closed or filtered shows neither in the outcome nor in its time."""
    receiver = await open_receiver()
    urls = {
        "open": f"http://127.0.0.1:{receiver.port}/",
        "closed": "http://127.0.0.1:9999/",
        "filtered": "http://10.255.255.1:9999/",
    }
    took: dict[str, list[float]] = {name: [] for name in urls}
    async with a_sender(AddressPolicy()) as sender:
        for _ in range(100):
            for name, url in urls.items():
                began = time.perf_counter()
                assert BLOCKED == facts(await sender.send(a_callback(url)))
                took[name].append(time.perf_counter() - began)

    medians = [statistics.median(times) for times in took.values()]
    assert max(medians) - min(medians) < 0.05
    assert receiver.connections == 0


async def test_refusal_is_told_alike(names: NameServers) -> None:
    """What is told of a closed target names neither its address nor its port."""
    guard = GuardedLookup(AddressPolicy(), names, timeout_seconds=5)
    told = {
        await guard.refusal(url) for url in ("http://127.0.0.1:1234", "http://10.0.0.1", "https://[::1]:443")
    }

    assert {"target address is not public"} == told


#: What is said before a byte is dripped each second.
DRIPS = {
    "nothing": None,
    "its head": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "its body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
}


@pytest.mark.parametrize("drips", DRIPS)
def test_row_22_drip_and_silence(drips: str) -> None:
    """
    A receiver that drips a byte a second for ever, or never answers, is left after sixty seconds by the wall clock.

    As a server has it that nobody has configured; the next try is not before five minutes. The minute is leapt over.
    """

    async def meet() -> tuple[Delivery, float]:
        clock = asyncio.get_running_loop()
        held: asyncio.Future[float] = clock.create_future()

        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came = clock.time()
            await reader.readuntil(b"\r\n\r\n")
            writer.write(DRIPS[drips] or b"")
            while not reader.at_eof():
                with contextlib.suppress(TimeoutError):
                    # Returns early when the other side hangs up.
                    await asyncio.wait_for(reader.read(1000), 1)
                writer.write(b"" if DRIPS[drips] is None else b".")
            held.set_result(clock.time() - came)
            writer.close()

        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            usual = CallbackSettings()
            async with open_callback_session(
                LOOPBACK, answers([]), user_agent="pikarelay/test", connect_seconds=usual.connect_seconds
            ) as session:
                sender = HttpCallbackSender(session, SystemClock(), total_seconds=usual.total_seconds)
                delivery = await sender.send(a_callback(f"http://127.0.0.1:{port}/"))
            return delivery, await held

    began = time.monotonic()
    delivery, held_seconds = run_leaping(meet())

    assert "timeout" == delivery.error
    assert timedelta(seconds=60) <= delivery.duration < timedelta(seconds=61)
    # The receiver counts from when it was connected to.
    assert 59 < held_seconds < 61
    assert time.monotonic() - began < 30
    outcome = outcome_of(a_callback(""), delivery, Health(), SCHEDULE, 0.0, NOW)
    assert outcome.retry_at is not None
    assert AFTER_TIMEOUT <= outcome.retry_at - NOW


@pytest.mark.parametrize("kind", ["gzip bomb", "endless"])
async def test_row_23_memory(open_receiver: Any, kind: str) -> None:
    """200 kB that inflate to 200 MiB, and a gibibyte in plain, deliver, and cost less than a mebibyte of memory."""
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(200)) + squeeze.flush()

    async def explode(writer: asyncio.StreamWriter) -> None:
        if kind == "gzip bomb":
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
            )
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 4096)
            await writer.drain()

    receiver = await open_receiver(explode)
    async with a_sender() as sender:
        await sender.send(a_callback((await open_receiver()).url()))
        gc.collect()
        tracemalloc.start()
        delivery = await sender.send(a_callback(receiver.url()))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert 150_000 < len(bomb) < 250_000
    assert (200, None) == facts(delivery)[:2]
    assert delivery.answer is not None
    assert len(delivery.answer) <= KEPT_LIMIT
    assert peak < 1 << 20


@pytest.mark.parametrize("error", ["connect", "timeout", "http_503"])
def test_row_25_down_for_three_days(error: str) -> None:
    """A receiver that is down for three days gets its callback at the next step; only the last step gives it up."""
    down = Delivery(status=503 if error == "http_503" else None, error=error, duration=timedelta())
    now, tries, health = NOW, 0, Health()
    while now - NOW < timedelta(days=3):
        outcome = outcome_of(a_callback("", tries=tries), down, health, SCHEDULE, 0.5, now)
        assert outcome.retry_at is not None
        now, tries, health = outcome.retry_at, tries + outcome.is_counted, outcome.health
    up = outcome_of(
        a_callback("", tries=tries), Delivery(status=200, duration=timedelta()), health, SCHEDULE, 0.5, now
    )
    last = outcome_of(a_callback("", tries=len(SCHEDULE) - 1), down, health, SCHEDULE, 0.5, now)

    assert now - NOW < timedelta(days=4)
    assert (True, Health()) == (up.delivered, up.health)
    assert last.given_up


def test_row_26_hints() -> None:
    """Retry-After is bounded to ten hours, never shortens a step, and is ignored when it is nonsense."""
    texts = [
        "0",
        "-5",
        "1" + "0" * 12,
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "soon",
        "",
        "Fri, 01 Jan 2027 00:00:00 GMT",
    ]
    hints = [parse_retry_after(text, NOW) for text in texts]

    assert [timedelta(0), None, LONGEST, timedelta(0), None, None, LONGEST] == hints
    for hint in hints:
        delivery = Delivery(status=429, error="http_429", retry_after=hint, duration=timedelta())
        outcome = outcome_of(a_callback(""), delivery, Health(), SCHEDULE, 0.5, NOW)
        assert outcome.retry_at is not None
        assert SCHEDULE[1] <= outcome.retry_at - NOW <= LONGEST


async def test_row_26_gone(open_receiver: Any) -> None:
    """A receiver that answers 410 ends its callback."""
    receiver = await open_receiver(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
    delivery = await send(receiver.url())

    assert outcome_of(a_callback(""), delivery, Health(), SCHEDULE, 0.5, NOW).given_up


@pytest.mark.parametrize("flaw", ["expired", "self-signed", "wrong name"])
async def test_row_27_certificates(open_receiver: Any, tmp_path: Path, flaw: str) -> None:
    """A certificate that is out of date, vouched for by nobody, or another host's ends the try before a byte is sent."""
    path = certificate(
        tmp_path,
        "elsewhere.example" if flaw == "wrong name" else "127.0.0.1",
        until=timedelta(days=-1) if flaw == "expired" else timedelta(days=1),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    receiver = await open_receiver(tls=context)
    trust = None if flaw == "self-signed" else ssl.create_default_context(cafile=path)
    delivery = await send(receiver.url().replace("http:", "https:"), tls=trust)

    assert (None, "tls") == facts(delivery)[:2]
    assert [] == receiver.heads
    assert outcome_of(a_callback(""), delivery, Health(), SCHEDULE, 0.5, NOW).retry_at is not None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated:DeprecationWarning")
async def test_row_27_old_tls(open_receiver: Any, tmp_path: Path) -> None:
    """A receiver that speaks TLS 1.0 only is not spoken to."""
    path = certificate(tmp_path, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    receiver = await open_receiver(tls=context)
    trust = ssl.create_default_context(cafile=path)
    delivery = await send(receiver.url().replace("http:", "https:"), tls=trust)

    assert (None, "tls") == facts(delivery)[:2]
    assert [] == receiver.heads


async def test_row_29_answer_is_kept_as_text(open_receiver: Any) -> None:
    """Of an answer with a script, escape codes and secrets the text is kept, and the secrets are not."""
    token = "MTE3MDAwMDAwMDAwMDAwMDAwMQ.GaBcDe.0123456789abcdefghijklmnopqrstuvwxyz"
    body = f"<script>x</script>\x1b[31m\0 {token} whsec_{'A' * 44} Bearer abcdef \xff".encode("latin-1")
    receiver = await open_receiver(b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    answer = (await send(receiver.url())).answer

    assert answer == "<script>x</script>\x1b[31m\ufffd …secured… …secured… Bearer …secured… \ufffd"


async def test_row_29_answer_is_not_inflated(open_receiver: Any) -> None:
    """A compressed answer is kept as it came, and shown as the noise that it is."""
    body = gzip.compress(b"hello")
    head = b"HTTP/1.1 400 No\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    receiver = await open_receiver(head + body)
    answer = (await send(receiver.url())).answer

    assert answer is not None
    assert "hello" not in answer
