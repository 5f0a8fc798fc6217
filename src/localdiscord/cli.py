"""The `localdiscord` command: serve until told to stop, and say where."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from typing import Annotated, Any

from cyclopts import App, Parameter
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from localdiscord import __version__
from localdiscord.server import LocalDiscord, Settings
from localdiscord.world.rules import Rules

DISCORDS_OWN = Rules()

app = App(name="localdiscord", help="A Discord for your laptop.", version=__version__)


@app.command
def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 8190,
    seed: int = 0,
    speed: float = 5.0,
    behaviour: str = "plain",
    pika: bool = True,
    users: Annotated[tuple[str, ...], Parameter(name="--user", negative="")] = ("demo",),
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    until_stdin_closes: Annotated[bool, Parameter(negative="")] = False,
    rules: Annotated[
        Rules, Parameter(name="*", group="Discord's numbers (seconds and bytes)")
    ] = DISCORDS_OWN,
) -> None:
    """
    Serve REST, Gateway and CDN.

    When stdout is no terminal, one line of JSON says that all is ready, and where.

    Parameters
    ----------
    host
        Address to bind. The admin routes are served there too: keep it a loopback address.
    port
        Port to bind; 0 lets the system choose.
    seed
        Seed of tokens and of the bot's chance.
    speed
        Seconds the Pika bot takes from a press to its result; 0 is at once.
    behaviour
        How the Pika bot answers.
    pika
        Whether the Pika bot is there at all.
    users
        Name of a user to start with; may be given several times.
    as_json
        Say the JSON line on a terminal, too.
    until_stdin_closes
        Stop at the end of stdin, so that nothing outlives a killed parent.
    """
    settings = Settings(
        host=host,
        port=port,
        seed=seed,
        speed=speed,
        behaviour=behaviour,
        pika=pika,
        usernames=users,
        rules=rules,
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, as_json=as_json, until_stdin_closes=until_stdin_closes))


def _loop_factory() -> Any:
    """Return uvloop's loop where it is installed, else None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _serve(settings: Settings, *, as_json: bool, until_stdin_closes: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if until_stdin_closes:
        _watch_stdin(loop, stopped)
    async with LocalDiscord.start(settings) as discord:
        _announce(discord, as_json=as_json or not sys.stdout.isatty())
        await stopped.wait()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        with contextlib.suppress(OSError):
            if os.read(descriptor, 4096):
                return
        loop.remove_reader(descriptor)
        stopped.set()

    try:
        loop.add_reader(descriptor, readable)
    except OSError:
        # A file or /dev/null cannot be watched, and is at its end.
        stopped.set()


def _announce(discord: LocalDiscord, *, as_json: bool) -> None:
    state = discord.admin.state()
    users = state["users"]
    if as_json:
        ready = {
            "ready": True,
            "url": discord.url,
            "api": discord.api_url,
            "gateway": discord.gateway_url,
            "admin": f"{discord.url}/admin",
            "user": users[0] if users else None,
            "users": users,
            "applications": state["applications"],
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        return
    console = Console()
    console.print(_welcome(discord, users))
    if users:
        # Outside the panel and unwrapped, so that they can be copied whole.
        token = users[0]["token"]
        console.print(f"Try: curl -H 'Authorization: {token}' {discord.api_url}/users/@me", soft_wrap=True)


def _welcome(discord: LocalDiscord, users: list[dict[str, Any]]) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("REST", discord.api_url)
    table.add_row("Gateway", discord.gateway_url)
    table.add_row("Admin", f"{discord.url}/admin/state")
    for user in users:
        table.add_row(f"[bold]{user['username']}[/bold]", f"token {user['token']}")
        for name, channel in user["dm_channels"].items():
            table.add_row("", f"channel with {name}: {channel}")
    table.add_row("Stop", "Ctrl-C")
    return Panel(table, title=f"localdiscord {__version__}", expand=False)


def main() -> None:
    """Run the command."""
    app()
