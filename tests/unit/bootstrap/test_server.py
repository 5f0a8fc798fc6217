"""The server's end in good order."""

import asyncio
from collections.abc import Callable
from typing import Any

from pikarelay.bootstrap.server import Server
from pikarelay.errors import Unavailable


class FakeHttp:
    """An `HttpServer` that nobody calls, and that ends at once."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    async def serve(self, on_ready: Callable[[], None]) -> None:
        on_ready()
        await self._stopped.wait()

    def announce_end(self) -> None:
        """Say nothing: there is nobody."""

    def stop(self) -> None:
        self._stopped.set()


class FakeWorker:
    """Writes down that it was stopped, and then fails as it was told."""

    def __init__(self, name: str, stopped: list[str], failure: Exception | None = None) -> None:
        self._name = name
        self._stopped = stopped
        self._failure = failure

    async def start(self) -> None:
        """Begin nothing."""

    async def stop(self) -> None:
        self._stopped.append(self._name)
        if self._failure is not None:
            raise self._failure


async def test_one_fails_to_stop() -> None:
    """A worker that cannot stop, for the store is away or by a defect, keeps none of the others from it, and the server ends."""
    stopped: list[str] = []
    workers = [
        FakeWorker("first", stopped),
        FakeWorker("defect", stopped, LookupError("a defect")),
        FakeWorker("away", stopped, Unavailable()),
        FakeWorker("last", stopped),
    ]
    http: Any = FakeHttp()
    server = Server(http, workers, None, [], lambda: None)
    await server.run(server.stop)

    assert ["last", "away", "defect", "first"] == stopped
