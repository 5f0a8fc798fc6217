"""A caller's server: takes callbacks, writes each down, and only then answers, well or badly."""

import asyncio
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from chaos.ledger import Ledger

#: What to answer to the nth try of a callback: a status, or None to cut the connection.
Manner = Callable[[str, int], int | None]
#: Turns of the event loop after which a client in this process has taken in what had arrived before the callback did.
#: The order of the two is what matters, and one loop reads several sockets in no order.
_TURNS = 25
#: So many servers of callers are played: one for each of twenty callers.
ORIGINS = 20


def kind(_callback: str, _number: int) -> int | None:
    """Always 200."""
    return 200


class Receiver:
    """Receives; see `manner`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
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

    async def _take(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        callback, body = request.headers["webhook-id"], json.loads(raw)
        self._tries[callback] += 1
        number = self._tries[callback]
        name, job = f"{callback}/{number}", body["jobid"]
        await self._ledger.noted(
            "received",
            callback=callback,
            job=job,
            digest=hashlib.sha256(raw).hexdigest(),
            body=body,
            stamp=request.headers["webhook-timestamp"],
            **{"try": name},
        )
        self.tries_of_job[job] += 1
        self.news.set()
        if number == 1:
            await self.answering.wait()
        status = self.manner(callback, number)
        await self._ledger.noted("replied", status=status, **{"try": name})
        if status is None:
            if request.transport is not None:  # else the server has hung up first
                request.transport.abort()
            return web.Response()
        if 200 <= status <= 299:
            self.delivered.add(job)
            self.news.set()
        return web.Response(status=status, text="ok")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        for number in range(1, ORIGINS + 1):
            host = f"127.0.0.{number}"
            await web.TCPSite(runner, host, 0).start()
            self.urls.append(f"http://{host}:{runner.addresses[-1][1]}/hook")
        try:
            yield self
        finally:
            self.answering.set()
            await runner.cleanup()
