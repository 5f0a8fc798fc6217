"""The page for Prometheus, on an address of its own, where one is set."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from pikarelay.api.app import Api
from pikarelay.api.front_door import Limits
from pikarelay.api.routing import RouteTable
from pikarelay.api.server import HttpServer
from pikarelay.discord.client.accounts import DiscordAccounts
from pikarelay.services.ports import Clock, WatchedStore
from pikarelay.services.readiness import Readiness
from pikarelay.services.tally import Tally
from pikarelay.services.watch_figures import FiguresWatch
from pikarelay.settings.metrics import MetricsSettings
from pikarelay.system import disk_bytes, free_bytes
from pikarelay.workers.lag_meter import LagMeter

if TYPE_CHECKING:
    from pikarelay.api.metrics import RequestMeter

#: Scrapers are few.
_CONNECTIONS = 100

_log = structlog.get_logger(__name__)


def _request_meter() -> "RequestMeter":
    # Here, for who does not want it should not load it.
    from pikarelay.api.metrics import RequestMeter

    return RequestMeter()


class MetricsDesk:
    """A worker: measures, and serves the page. Where no port is set there is none of it."""

    def __init__(self, settings: MetricsSettings) -> None:
        self._settings = settings
        self._lag = LagMeter()
        self._http: HttpServer | None = None
        self._serving: asyncio.Task[None] | None = None
        #: What measures requests.
        self.meter = None if settings.port is None else _request_meter()

    def open(
        self,
        stack: AsyncExitStack,
        *,
        store: WatchedStore,
        clock: Clock,
        readiness: Readiness,
        tally: Tally,
        discord: DiscordAccounts,
        main: HttpServer,
        data_folder: Path,
    ) -> Sequence[HttpServer]:
        """Bind the page's address at once. Returns all servers of this process, `main` among them. Raises OSError."""
        if self.meter is None or self._settings.port is None:
            return [main]
        from pikarelay.api.metrics import Metrics, Process

        process = Process(
            connections=lambda: main.connections,
            free_bytes=partial(free_bytes, data_folder),
            disk_bytes=partial(disk_bytes, data_folder),
            loop_lag=lambda: self._lag.worst,
        )
        figures = FiguresWatch(store, clock, time.monotonic)
        page = Metrics(self.meter, tally, figures, readiness, discord, process)
        limits = Limits(connections=_CONNECTIONS)
        self._http = HttpServer(
            Api(RouteTable(page.table())), self._settings.host, self._settings.port, limits
        )
        stack.callback(self._http.close)
        return [main, self._http]

    async def start(self) -> None:
        if self._http is not None:
            await self._lag.start()
            self._serving = asyncio.create_task(self._http.serve(self._announce))

    async def stop(self) -> None:
        if self._http is not None and self._serving is not None:
            self._http.stop()
            await self._serving
            await self._lag.stop()

    def _announce(self) -> None:
        if self._http is not None:
            _log.info("metrics.served", url=f"{self._http.url}/metrics")
