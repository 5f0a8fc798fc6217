"""Everything that `pikarelay serve` runs, from its start to its end in good order."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

import structlog

from pikarelay.api.server import DRAIN_SECONDS, HttpServer

_log = structlog.get_logger(__name__)

#: From the word that the server will end to its last accepted connection: proxies look every second or so.
NOTICE = timedelta(seconds=2)
#: When requests that wait for the bot are answered without it: early enough for the answers to leave.
_HURRY_SECONDS = DRAIN_SECONDS - 2
#: The end of it all, from the first signal on: below the time after which managers of services kill.
_STOP_SECONDS = 23


class Worker(Protocol):
    """What starts and stops with the server."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Server:
    """
    The HTTP server and the workers. Made by `open_server`.

    Its end, after `stop`: not ready at once; two seconds later, if somebody has to notice, no more connections; requests
    under way and callbacks under way have ten seconds, side by side; then the workers stop, last started first.
    """

    def __init__(
        self,
        http: HttpServer,
        workers: Sequence[Worker],
        outbox: Worker | None,
        on_ending: Sequence[Callable[[], None]],
        hurry: Callable[[], None],
    ) -> None:
        """`outbox` None: a node that calls nobody back."""
        self._http = http
        self._workers = workers
        #: The one of the workers that stops beside the requests, for it waits for others too.
        self._outbox = outbox
        self._on_ending = on_ending
        #: Lets waiting requests be answered at once.
        self._hurry = hurry
        self._closing = asyncio.Event()
        self._ends_by: float | None = None
        self.is_ending = False

    @property
    def url(self) -> str:
        return self._http.url

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until `stop`. Workers start before the first request and stop after the last."""
        closing = asyncio.create_task(self._close_outbox())
        try:
            for worker in self._workers:
                await worker.start()
            await self._http.serve(on_ready)
        finally:
            self._closing.set()
            await closing
            for worker in reversed(self._workers):
                await self._stopped(worker)

    def stop(self, notice: timedelta = timedelta()) -> None:
        """Begin to end, accepting connections for so long still. What follows is only waited for."""
        if self.is_ending:
            return
        self.is_ending = True
        _log.info("server.ending", notice_seconds=notice.total_seconds())
        loop = asyncio.get_running_loop()
        self._ends_by = loop.time() + _STOP_SECONDS
        for tell in self._on_ending:
            tell()
        self._http.announce_end()
        loop.call_later(notice.total_seconds(), self._close)

    def _close(self) -> None:
        self._http.stop()
        self._closing.set()
        asyncio.get_running_loop().call_later(_HURRY_SECONDS, self._hurry)

    async def _close_outbox(self) -> None:
        await self._closing.wait()
        if self._outbox is not None:
            await self._stopped(self._outbox)

    async def _stopped(self, worker: Worker) -> None:
        """Stop a worker. One that does not end, or fails, is left behind: what it holds is as safe as in a crash."""
        try:
            async with asyncio.timeout_at(self._ends_by):
                await worker.stop()
        except TimeoutError:
            _log.warning("worker.not_stopped", worker=type(worker).__name__)
        except Exception:  # noqa: BLE001 - whatever it is, the others are to stop in good order
            _log.exception("worker.stop_failed", worker=type(worker).__name__)
