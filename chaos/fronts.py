"""
Origins in front of the receiver: the first connection to each meets a fault, all others are let through.

So each fault strikes one try of one callback, at a target of its own, and the next try must bring the callback. The faults are
the seven toxics of a network (`chaos.toxics`) and what a receiver can do wrong by itself.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from chaos import toxics
from chaos.certificates import certificate
from chaos.ledger import Ledger
from chaos.receiver import Came, Receiver
from chaos.toxics import Pair, Stream, Toxic

#: Answers that are no yes. Not 410, which ends a callback: nothing would be left to deliver.
WRONG_STATUSES = (301, 302, 307, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 504, 599)
GIBIBYTE = 1 << 30
_BLOCK = b"x" * 65536

Strike = Callable[["Front", Stream], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """What the first connection to a front meets."""

    what: str
    #: None when it happens before a byte of HTTP: in the handshake.
    strike: Strike | None
    #: The class that the server must call the try; None when the callback must be delivered all the same.
    error: str | None = None
    #: Whether the receiver's answer may be kept back, so that the callback is delivered once more.
    withholds: bool = False
    scheme: str = "http"
    #: The certificate of the first connection.
    certificate: str = "good"


@dataclass
class Place:
    """Where fronts are: an address that is theirs alone, the ports that are left there, and their certificates."""

    host: str
    certificates: Mapping[str, Path]
    #: Below those that the system hands out, and more than a run needs.
    ports: Iterator[int] = field(default_factory=lambda: iter(range(10_000, 30_000)))


class Front:
    """One origin. Made by `serving`."""

    def __init__(
        self,
        fault: Fault,
        receiver: Receiver,
        killer: Ledger,
        rng: Random,
        place: "Place",
    ) -> None:
        self.fault = fault
        self.receiver = receiver
        self.rng = rng
        self._killer = killer
        self._place = place
        self._connections = 0
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"{self.fault.scheme}://{self._place.host}:{self._port}/hook"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Front"]:
        tls = self._tls() if self.fault.scheme == "https" else None
        server = await self._listen(tls)
        await self._killer.noted(
            "faulted",
            what=self.fault.what,
            url=self.url,
            errors=[] if self.fault.error is None else [self.fault.error],
            tries=int(self.fault.error is not None),
        )
        try:
            yield self
        finally:
            server.close()
            for writer in self._open:
                writer.transport.abort()

    async def _listen(self, tls: ssl.SSLContext | None) -> asyncio.Server:
        """Listen on a port that no other front has had: the server remembers targets."""
        while True:
            self._port = next(self._place.ports)
            # Somebody who listens everywhere may have it.
            with contextlib.suppress(OSError):
                return await asyncio.start_server(self._serve, self._place.host, self._port, ssl=tls)

    async def far(self) -> Stream:
        """Connect to the receiver."""
        there = urlsplit(self.receiver.urls[0])
        return await asyncio.open_connection(there.hostname, there.port)

    async def take(self, near: Stream) -> Came:
        """Read a callback in the receiver's place, and write it down."""
        head = (await near[0].readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = (line.partition(":") for line in head.split("\r\n")[1:])
        headers = {name.lower(): value.strip() for name, _, value in lines}
        return await self.receiver.taken_down(
            headers, await near[0].readexactly(int(headers["content-length"]))
        )

    def struck(self) -> bool:
        """Note that a connection has come, and return whether it is to meet the fault."""
        self._connections += 1
        if self._connections > 1:
            return False
        self._killer.note("struck", what=self.fault.what, url=self.url)
        if self.fault.withholds:
            self._killer.note("withheld", url=self.url)
        return True

    def _tls(self) -> ssl.SSLContext:
        """Return a context that shows the fault's certificate once, and then the good one."""

        def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            if self.struck():
                connection.context = _showing(self._place.certificates[self.fault.certificate])

        context = _showing(self._place.certificates["good"])
        context.sni_callback = choose
        return context

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            strikes = self.fault.strike is not None and self.struck()
            await self._killer.synced()
            if strikes and self.fault.strike is not None:
                await self.fault.strike(self, (reader, writer))
            else:
                await through(toxics.clean)(self, (reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


def through(toxic: Toxic) -> Strike:
    """Return what carries a connection to the receiver and back by this toxic."""

    async def strike(front: Front, near: Stream) -> None:
        far = await front.far()
        try:
            await toxic(Pair(near, far), front.rng)
        finally:
            far[1].transport.abort()

    return strike


async def hang_up_unread(front: Front, near: Stream) -> None:
    """Close before anything was read, with what has come still unread or not yet there."""
    if front.rng.random() < 0.5:
        toxics.reset(near[1])


async def hang_up_read(front: Front, near: Stream) -> None:
    """Read everything, and close."""
    await front.receiver.replying(await front.take(near), None)


def answer(status: int) -> Strike:
    async def strike(front: Front, near: Stream) -> None:
        await front.receiver.replying(await front.take(near), status)
        near[1].write(
            b"HTTP/1.1 %d Wrong\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nno" % status
        )
        await near[1].drain()

    return strike


async def answer_a_gibibyte(front: Front, near: Stream) -> None:
    """Say yes, and then much more."""
    await front.receiver.replying(await front.take(near), 200)
    if front.rng.random() < 0.5:
        near[1].write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIBIBYTE)
        block = _BLOCK
    else:
        near[1].write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"%x\r\n%b\r\n" % (len(_BLOCK), _BLOCK)
    await _pour(near[1], block, GIBIBYTE // len(_BLOCK))


async def head_without_end(front: Front, near: Stream) -> None:
    """Begin an answer, and never come to its body: one header for ever, ever more of them, or ever more interim answers."""
    await front.receiver.replying(await front.take(near), None)
    begin, block = front.rng.choice(
        [
            (b"HTTP/1.1 200 OK\r\nX-Long: ", _BLOCK),
            (b"HTTP/1.1 200 OK\r\n", b"X-Many: yes\r\n" * 1000),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        ]
    )
    near[1].write(begin)
    await _pour(near[1], block, GIBIBYTE // len(block))


async def _pour(writer: asyncio.StreamWriter, block: bytes, times: int) -> None:
    for _ in range(times):
        if writer.is_closing():
            return
        writer.write(block)
        await writer.drain()


def _wrong_status(rng: Random) -> Fault:
    status = rng.choice(WRONG_STATUSES)
    return Fault("wrong status", answer(status), f"http_{status}")


def _always(fault: Fault) -> Callable[[Random], Fault]:
    return lambda _rng: fault


#: Each kind of fault, and the one that is none: a good certificate, which shows that the others fail for their own reason.
KINDS: tuple[Callable[[Random], Fault], ...] = (
    _always(Fault("latency", through(toxics.latency))),
    _always(Fault("bandwidth", through(toxics.bandwidth))),
    _always(Fault("slow close", through(toxics.slow_close))),
    _always(Fault("timeout", through(toxics.timeout), "timeout", withholds=True)),
    _always(Fault("slicer", through(toxics.slicer))),
    _always(Fault("limit data", through(toxics.limit_data), "protocol", withholds=True)),
    _always(Fault("reset peer", through(toxics.reset_peer), "protocol", withholds=True)),
    _wrong_status,
    _always(Fault("1 GiB body", answer_a_gibibyte)),
    _always(Fault("endless head", head_without_end, "protocol")),
    _always(Fault("TLS expired", None, "tls", scheme="https", certificate="expired")),
    _always(Fault("TLS wrong name", None, "tls", scheme="https", certificate="wrong name")),
    _always(Fault("closed unread", hang_up_unread, "protocol")),
    _always(Fault("closed after reading", hang_up_read, "protocol")),
    _always(Fault("none, TLS", None, scheme="https")),
)


def make_certificates(folder: Path, host: str) -> dict[str, Path]:
    """Write the certificates of all fronts on a host, and `all`, which a server that trusts them is to read."""
    folder.mkdir(parents=True)
    made = {
        "good": certificate(folder, host, file="good"),
        "expired": certificate(folder, host, until=timedelta(days=-1), file="expired"),
        "wrong name": certificate(folder, "elsewhere.example", file="wrong-name"),
    }
    everything = folder / "all.pem"
    everything.write_text("".join(_public(path) for path in made.values()))
    return {**made, "all": everything}


def _public(path: Path) -> str:
    """Return the certificate of a file that has its key as well."""
    text = path.read_text()
    return text[text.index("-----BEGIN CERTIFICATE") :]


def _showing(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
