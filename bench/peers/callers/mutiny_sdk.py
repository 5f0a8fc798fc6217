"""
A caller's program that uses `mutiny-sdk`: orders come as lines of JSON on stdin, and what became of them goes to stdout.

It runs in the library's own environment and shares no process with anything of ours. The library has settings for REST, but none for
the Gateway's address nor for the bot's ids, which are constants of Midjourney's in it; those are set here before it starts.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from mutiny import Config, Mutiny
from mutiny.discord import constants, gateway_client, payload_builder, rest_client

Json = dict[str, Any]


class Token:
    """What the library asks for the Discord token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self) -> str:
        return self._token


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, "at": time.monotonic_ns(), **fields}), flush=True)


def point(place: Json) -> None:
    """Let the library's constants name the local Discord."""
    gateway_client.GATEWAY_BASE = place["gateway"].rstrip("/")
    for module in (constants, payload_builder, rest_client):
        module.APPLICATION_ID = place["application"]
    constants.IMAGINE.update(id=place["command"]["id"], version=place["command"]["version"])


def config(place: Json) -> Config:
    folder = Path(place["folder"])
    return Config.create(
        token_provider=Token(place["token"]),
        guild_id=place["guild"],
        channel_id=place["channel"],
        api_endpoint=place["api"],
        cache={
            "disk_cache_dir": str(folder / "cache"),
            "response_dump_dir": str(folder / "responses"),
        },
        # Ten by default: beyond that it refuses, and there would be nothing to measure.
        execution={"queue_size": 10_000},
    )


async def run(mutiny: Mutiny, order: Json, handles: dict[str, str]) -> None:
    call = order["call"]
    say("asked", call=call)
    try:
        if order["do"] == "recall":
            handle = order["handle"]
        elif order["do"] == "again":
            handle = (await mutiny.vary(handles[order["of"]], index=1)).id
        else:
            handle = (await mutiny.imagine(order["prompt"])).id
        handles[call] = handle
        say("taken", call=call, handle=handle)
        snapshot = await mutiny.wait_for_job(handle)
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
        say("ended", call=call, error=f"{type(error).__name__}: {error}")
        return
    # Not public, and only for the harness: which press was this call's.
    nonce = mutiny._require_job(handle).context.nonce  # noqa: SLF001
    url = getattr(snapshot.output, "image_url", None)
    if snapshot.status.value == "SUCCEEDED" and url:
        say("ended", call=call, nonce=nonce, url=url)
    else:
        say("ended", call=call, nonce=nonce, error=snapshot.fail_reason or snapshot.status.value)


async def main() -> None:
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    place = json.loads(await lines.readline())
    point(place)
    mutiny = Mutiny(config(place))
    await mutiny.start()
    if not await mutiny.wait_ready(timeout_s=30):
        raise SystemExit("not ready within 30 seconds")
    say("ready")
    handles: dict[str, str] = {}
    tasks: set[asyncio.Task[None]] = set()
    while line := await lines.readline():
        task = asyncio.create_task(run(mutiny, json.loads(line), handles))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    asyncio.run(main())
