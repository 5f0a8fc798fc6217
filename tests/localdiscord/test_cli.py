"""The command in a process of its own: it says when it is ready, and leaves when told."""

import ast
import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import localdiscord


async def started(*options: str) -> tuple[Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localdiscord", "serve", "--port", "0", *options, stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    return process, json.loads(await process.stdout.readline())


async def test_it_says_where_it_is_and_stops_with_its_parent(http: aiohttp.ClientSession) -> None:
    """One line of JSON says all a client needs; at the end of stdin it exits with 0."""
    process, ready = await started(
        "--no-pika", "--until-stdin-closes", "--user", "eve", "--heartbeat-interval", "7.5"
    )
    async with http.get(
        f"{ready['api']}/users/@me", headers={"Authorization": ready["user"]["token"]}
    ) as answer:
        assert (await answer.json())["username"] == "eve"
    async with http.ws_connect(ready["gateway"]) as socket:
        assert (await socket.receive_json())["d"]["heartbeat_interval"] == 7500
    assert process.stdin is not None
    process.stdin.close()

    assert await process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_end_it_with_open_sessions(http: aiohttp.ClientSession, number: signal.Signals) -> None:
    """Both signals end it with 0, open sockets or not."""
    process, ready = await started("--no-pika")
    async with http.ws_connect(ready["gateway"]) as socket:
        await socket.receive_json()
        process.send_signal(number)

        assert await process.wait() == 0


async def test_pika_is_there_by_default() -> None:
    """The user has a channel with Pika, whose commands are registered."""
    process, ready = await started("--until-stdin-closes")
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()

    assert {"Pika"} == set(ready["user"]["dm_channels"])
    assert [bool(each["commands"]) for each in ready["applications"]] == [True]


def test_it_never_imports_its_neighbour() -> None:
    """No module of localdiscord imports pikarelay: an error in reading Discord's rules must not be mirrored."""
    modules = [*Path(localdiscord.__file__).parent.rglob("*.py")]
    imported = {
        name.split(".")[0]
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert len(modules) > 40
    assert "pikarelay" not in imported
