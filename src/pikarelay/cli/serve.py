"""`pikarelay serve`: everything, until told to stop."""

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

import structlog
from cyclopts import Parameter

from pikarelay import __version__, logs
from pikarelay.bootstrap.composition import open_server
from pikarelay.bootstrap.server import NOTICE, Server
from pikarelay.cli.frame import (
    Where,
    fail,
    load_settings,
    run,
    say,
)
from pikarelay.settings import Settings

_log = structlog.get_logger(__name__)

_AS_ROOT = (
    "pikarelay does not serve as root: start it as a user of its own, to whom its data folder belongs,"
    " or set node.allow_root (PIKARELAY_NODE_ALLOW_ROOT=true)"
)
_ENDING = (signal.SIGINT, signal.SIGTERM)


def serve(
    *,
    where: Where | None = None,
    role: str | None = None,
    host: str | None = None,
    port: int | None = None,
    discord_api_url: str | None = None,
    discord_gateway_url: str | None = None,
    callbacks_allow: Annotated[
        tuple[str, ...], Parameter(name=["--callbacks-allow-networks", "--callbacks-allow"], negative="")
    ] = (),
    log_level: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    until_stdin_closes: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """
    Serve the API until told to stop.

    The first start makes the data folder and an API token, which is shown once.

    Parameters
    ----------
    role
        all, api or worker; the last two for several machines with one PostgreSQL. Environment: PIKARELAY_NODE_ROLE.
    host
        Address to bind; loopback unless set. Environment: PIKARELAY_HTTP_HOST.
    port
        Port to bind; 0 lets the system choose. Environment: PIKARELAY_HTTP_PORT.
    discord_api_url
        Base of Discord's REST API. Environment: PIKARELAY_DISCORD_API_URL.
    discord_gateway_url
        Address of Discord's Gateway, where Discord is not to be asked for it. Environment:
        PIKARELAY_DISCORD_GATEWAY_URL.
    callbacks_allow
        Network (CIDR) that callbacks may reach although it is not public; may be given several times. Environment:
        PIKARELAY_CALLBACKS_ALLOW_NETWORKS.
    log_level
        debug, info, warning or error. Environment: PIKARELAY_LOG_LEVEL.
    as_json
        Say in one line of JSON on stdout that the server is ready, and log in JSON.
    until_stdin_closes
        Stop at the end of stdin, so that nothing outlives a killed parent.
    """
    settings = load_settings(
        where,
        {
            "node.role": role,
            "http.host": host,
            "http.port": port,
            "discord.api_url": discord_api_url,
            "discord.gateway_url": discord_gateway_url,
            "callbacks.allow_networks": callbacks_allow or None,
            "log.level": log_level,
        },
    )
    if os.geteuid() == 0 and not settings.node.allow_root:
        fail(_AS_ROOT, status=os.EX_CONFIG)
    logs.set_up(level=settings.log.level, as_json=as_json or settings.log.format == "json")
    run(_serve(settings, as_json=as_json, until_stdin_closes=until_stdin_closes))


async def _serve(settings: Settings, *, as_json: bool, until_stdin_closes: bool) -> None:
    async with open_server(settings) as (server, offices):
        first_token = await offices.tokens.issue_first() if settings.node.is_api else None
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, _end, loop, server, number)
        if until_stdin_closes:
            _watch_stdin(loop, server.stop)
        spare_what_stays()
        await server.run(lambda: _announce(server, settings, first_token, as_json=as_json))


def spare_what_stays() -> None:
    """
    Let the garbage collector look at nothing that is there by now.

    Modules, classes and services live as long as the process. To go through half a million of them, every minute under load,
    would hold up everybody for a tenth of a second each time.
    """
    gc.collect()
    gc.freeze()


def _end(loop: asyncio.AbstractEventLoop, server: Server, number: signal.Signals) -> None:
    """End in good order. From here on, a second signal ends the process at once, by the system's own hand."""
    for each in _ENDING:
        loop.remove_signal_handler(each)
        signal.signal(each, signal.SIG_DFL)
    # A person at a terminal waits for nobody to notice.
    server.stop(NOTICE if number == signal.SIGTERM else timedelta())


def _announce(server: Server, settings: Settings, first_token: str | None, *, as_json: bool) -> None:
    _log.info(
        "server.ready",
        role=settings.node.role,
        url=server.url,
        callbacks_allow=[str(network) for network in settings.callbacks.allow_networks],
    )
    if as_json:
        ready = {"ready": True, "url": server.url}
        say(json.dumps(ready if first_token is None else {**ready, "api_token": first_token}))
        return
    say(f"pikarelay {__version__} answers on {server.url}. Ctrl-C stops it.")
    if first_token is not None:
        say(f"Your API token, shown this once: {first_token}")


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        with contextlib.suppress(OSError):
            if os.read(descriptor, 4096):
                return
        loop.remove_reader(descriptor)
        stop()

    try:
        loop.add_reader(descriptor, readable)
    except OSError:
        # A file or /dev/null cannot be watched, and is at its end.
        stop()
