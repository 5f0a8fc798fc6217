"""A caller's server: takes callbacks, writes each down, and only then answers, well or badly."""

import asyncio
import hashlib
import json
import socket
import struct
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from chaos.ledger import Ledger

#: What to answer to the nth try of a callback: a status, or None to cut the connection.
Manner = Callable[[str, int], int | None]
#: Turns of the event loop after which a client in this process has taken in what had arrived before the callback did.
#: The order of the two is what matters, and one loop reads several sockets in no order.
_TURNS = 25
#: Where Linux's `tcp_info` says for how many milliseconds nothing has arrived.
_LAST_DATA_RECEIVED = 52
#: So many servers of callers are played: one for each of twenty callers.
ORIGINS = 20
LOOPBACK = tuple(f"127.0.0.{number}" for number in range(1, ORIGINS + 1))


def kind(_callback: str, _number: int) -> int | None:
    """Always 200."""
    return 200


@dataclass(frozen=True)
class Came:
    """One try of a callback, as it came in."""

    callback: str
    number: int
    job: str

    @property
    def name(self) -> str:
        return f"{self.callback}/{self.number}"


def _arrived(transport: asyncio.BaseTransport | None) -> int | None:
    """Return when the system was given what a connection has sent last, to some milliseconds, on the ledger's clock."""
    peer = None if transport is None else transport.get_extra_info("socket")
    if peer is None:
        return None
    (ago_ms,) = struct.unpack_from(
        "I", peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), _LAST_DATA_RECEIVED
    )
    return time.monotonic_ns() - int(ago_ms) * 1_000_000


class Receiver:
    """Receives; see `manner`."""

    def __init__(self, ledger: Ledger, hosts: Sequence[str] = LOOPBACK) -> None:
        self._ledger = ledger
        self._hosts = hosts
        self._tries: Counter[str] = Counter()
        self.manner: Manner = kind
        #: Where it listens: several origins, each a caller's server of its own in the eyes of the sender.
        self.urls: list[str] = []
        #: Jobs whose callback was taken.
        self.delivered: set[str] = set()
        self.tries_of_job: dict[str, int] = defaultdict(int)
        #: Set and replaced whenever a callback came.
        self.news = asyncio.Event()
        #: While it is clear, first tries are written down but not answered.
        self.answering = asyncio.Event()
        self.answering.set()

    async def taken_down(
        self, headers: Mapping[str, str], raw: bytes, *, arrived: int | None = None
    ) -> "Came":
        """
        Write down a callback that has come in, and return which try of it that was.

        `arrived` is when the system had it, on the ledger's clock; a busy receiver comes to read it later.
        """
        callback, body = headers["webhook-id"], json.loads(raw)
        self._tries[callback] += 1
        came = Came(callback, self._tries[callback], body["jobid"])
        await self._ledger.noted(
            "received",
            callback=callback,
            job=came.job,
            digest=hashlib.sha256(raw).hexdigest(),
            body=body,
            stamp=headers["webhook-timestamp"],
            arrived=arrived or time.monotonic_ns(),
            **{"try": came.name},
        )
        self.tries_of_job[came.job] += 1
        self.news.set()
        return came

    async def replying(self, came: "Came", status: int | None) -> None:
        """Write down what is about to be answered; None is a connection that is cut."""
        await self._ledger.noted("replied", status=status, **{"try": came.name})
        if status is not None and 200 <= status <= 299:
            self.delivered.add(came.job)
            self.news.set()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        arrived = _arrived(request.transport)
        raw = await request.read()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        came = await self.taken_down(request.headers, raw, arrived=arrived)
        if came.number == 1:
            await self.answering.wait()
        status = self.manner(came.callback, came.number)
        await self.replying(came, status)
        if status is None:
            if request.transport is not None:  # else the server has hung up first
                request.transport.abort()
            return web.Response()
        return web.Response(status=status, text="ok")

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        for host in self._hosts:
            await web.TCPSite(runner, host, port).start()
            self.urls.append(f"http://{host}:{runner.addresses[-1][1]}/hook")
        try:
            yield self
        finally:
            self.answering.set()
            await runner.cleanup()
