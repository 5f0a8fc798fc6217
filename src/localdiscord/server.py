"""
The composition root: a world, its edges, its applications, and the socket they are served on.

    async with LocalDiscord.start(Settings(seed=1)) as discord:
        discord.url         # http://127.0.0.1:PORT
        discord.admin       # users, faults, sessions
        discord.world       # all of it
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from localdiscord.admin import Admin
from localdiscord.apps.application import Application
from localdiscord.apps.host import Host
from localdiscord.cdn.routes import Cdn
from localdiscord.clock import Clock, WallClock
from localdiscord.gateway.edge import Gateway
from localdiscord.http import accounts, channels, interactions
from localdiscord.http.admin import AdminRoutes
from localdiscord.http.edge import RestEdge, json_errors
from localdiscord.world.rules import Rules
from localdiscord.world.world import World

#: Ten files of the largest size, and their envelope.
BODY_LIMIT = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a local Discord is started with."""

    host: str = "127.0.0.1"
    #: 0 lets the system choose.
    port: int = 0
    seed: int = 0
    #: Whether the Pika application is there.
    pika: bool = True
    #: Seconds Pika takes from a press to its result; 0 is at once.
    speed: float = 5.0
    behaviour: str = "plain"
    rules: Rules = field(default_factory=Rules)
    #: Users there from the start.
    usernames: tuple[str, ...] = ("demo",)


class LocalDiscord:
    """A running local Discord."""

    def __init__(self, settings: Settings, clock: Clock, applications: Sequence[Application]) -> None:
        self.settings = settings
        self.clock = clock
        self.world = World(
            clock=clock,
            monotonic=time.monotonic,
            monotonic_ns=time.monotonic_ns,
            later=asyncio.get_running_loop().call_later,
            seed=settings.seed,
            rules=settings.rules,
        )
        self._host = Host(self.world)
        self._gateway = Gateway(self.world)
        self._rest = RestEdge(self.world)
        self.admin = Admin(self.world, self._gateway, self._rest.limits, clock)
        for application in applications:
            self._host.install(application)
        for username in settings.usernames:
            self.admin.create_user(username)

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        settings: Settings | None = None,
        *,
        applications: Sequence[Application] = (),
        clock: Clock | None = None,
    ) -> AsyncIterator["LocalDiscord"]:
        """Serve until the block is left. `applications` come in addition to the settings' own."""
        settings = settings or Settings()
        clock = clock or WallClock()
        own = [_pika(settings, clock)] if settings.pika else []
        discord = cls(settings, clock, [*own, *applications])
        runner = web.AppRunner(
            discord.application(), handle_signals=False, access_log=None, shutdown_timeout=0.5
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
            discord.bound(*runner.addresses[0][:2])
            yield discord
        finally:
            await discord.stop()
            await runner.cleanup()

    def application(self) -> web.Application:
        """Return the aiohttp application with all edges."""
        app = web.Application(client_max_size=BODY_LIMIT, middlewares=[json_errors])
        app.add_routes(self._gateway.routes())
        app.add_routes(self._rest.definitions([*accounts.ROUTES, *channels.ROUTES, *interactions.ROUTES]))
        app.add_routes(Cdn(self.world).routes())
        app.add_routes(AdminRoutes(self.admin, self.world).routes())
        return app

    def bound(self, host: str, port: int) -> None:
        """Note where it is served: links and Gateway addresses name it."""
        shown = f"[{host}]" if ":" in host else host
        self.world.links.base_url = f"http://{shown}:{port}"

    async def stop(self) -> None:
        """Stop the applications and cut the sessions."""
        await self._host.stop()
        self._gateway.close_all()

    @property
    def url(self) -> str:
        return self.world.links.base_url

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v9"

    @property
    def gateway_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/"


def _pika(settings: Settings, clock: Clock) -> Application:
    from localdiscord.apps.pika import Pika

    pika: Application = Pika(
        clock=clock, seed=settings.seed, speed=settings.speed, behaviour=settings.behaviour
    )
    return pika
