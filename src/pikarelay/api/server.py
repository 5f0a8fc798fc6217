"""The HTTP server around the application: uvicorn, told to leave signals, start-up and connections to us."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from pikarelay.api.front_door import FrontDoor, House, Limits
from pikarelay.api.last_calls import refuse_new_calls

#: How long requests may go on after a stop was asked for.
DRAIN_SECONDS = 10

_BACKLOG = 2048
#: From the last connection that the system accepts for us to the end of the listening: what it has accepted is taken.
_LAST_CALLS_SECONDS = 0.2


class HttpServer:
    """Serves one application on one socket, until told to stop."""

    def __init__(self, app: ASGIApp, host: str, port: int, limits: Limits) -> None:
        """Bind at once, so that a port in use is known before anything else starts. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self._house = House(limits)
        self._server = _Server(
            uvicorn.Config(
                app,
                # uvicorn only calls it.
                http=cast("Any", partial(FrontDoor, house=self._house)),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                # Nothing here asks where a request came from.
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )

    @property
    def host(self) -> str:
        """The address that it is bound to."""
        return str(self._socket.getsockname()[0])

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections are served."""
        return len(self._house.served)

    @property
    def held_bytes(self) -> int:
        """How much memory unfinished requests hold, beyond what each connection has for itself."""
        return self._house.room.taken

    @property
    def url(self) -> str:
        """Where it can be reached on this machine."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    async def serve(self, on_ready: Callable[[], None]) -> None:
        """Answer requests until `stop`, then let those under way finish. `on_ready` is called once it answers."""
        self._server.on_ready = on_ready
        await self._server.serve(sockets=[self._socket])

    def announce_end(self) -> None:
        """Make each answer from now on the last on its connection, so that clients go elsewhere. Goes on accepting."""
        self._house.is_closing = True

    def stop(self) -> None:
        """Accept no more requests, and let `serve` return when those under way are answered, or time is up."""
        self.announce_end()
        self._server.should_exit = True

    def close(self) -> None:
        """Release the port when `serve` was never called."""
        self._socket.close()


class _Server(uvicorn.Server):
    """Calls back when it is ready, and leaves signals to the process."""

    on_ready: Callable[[], None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self.on_ready is not None:
            self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """
        End the listening so that nobody is lost who was accepted, and let requests end.

        The system completes connections before we know of them; to close the socket would cut those.
        """
        refused = [refuse_new_calls(each) for each in sockets or []]
        if any(refused):
            await asyncio.sleep(_LAST_CALLS_SECONDS)
        await super().shutdown(sockets)
