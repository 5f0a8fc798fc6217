"""API nodes and workers on one database, and callers who keep them busy."""

import asyncio
import itertools
import json
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Client, get, post_form
from bench.processes import BIN, Json, Local, Relay, running
from bench.seats import body_of, finished

ACCOUNTS = 40
CALLERS = 24


@dataclass(frozen=True)
class Database:
    """What the nodes of one cluster have in common."""

    url: str
    root_key: str

    @classmethod
    def at(cls, url: str) -> "Database":
        return cls(url, secrets.token_hex(32))


@dataclass(frozen=True)
class Nodes:
    """A running cluster."""

    api: Relay
    workers: list[int]
    local: Local


@contextmanager
def api_node(folder: Path, local: Local, database: Database) -> Iterator[Relay]:
    with running(
        [str(BIN / "pikarelay"), *_serve(folder, local, "api")], folder / "api.log", **_environment(database)
    ) as api:
        yield Relay(api["url"], api["api_token"], api["pid"])


@contextmanager
def worker(
    folder: Path, local: Local, database: Database, name: str, pulse: Path | None = None
) -> Iterator[int]:
    """Start a worker; yield its process. With `pulse`, it writes there how late its event loop is."""
    argv = _serve(folder, local, "worker", name)
    command = [str(BIN / "pikarelay"), *argv]
    if pulse is not None:
        order: Json = {"argv": argv, "plan": {"pulse": str(pulse), "pulse_from": 0.001}}
        command = [sys.executable, "-m", "chaos.child", json.dumps(order)]
    with running(command, folder / f"{name}.log", **_environment(database)) as ready:
        yield ready["pid"]


@contextmanager
def cluster(folder: Path, local: Local, url: str, workers: int) -> Iterator[Nodes]:
    """Start one API node and so many workers on an empty database."""
    database = Database.at(url)
    with ExitStack() as stack:
        api = stack.enter_context(api_node(folder, local, database))
        pids = [stack.enter_context(worker(folder, local, database, f"worker-{n}")) for n in range(workers)]
        yield Nodes(api, pids, local)


def _serve(folder: Path, local: Local, role: str, name: str | None = None) -> list[str]:
    return [
        "serve", "--role", role, "--port", "0", "--json", "--until-stdin-closes",
        "--data-folder", str(folder / (name or role)), "--discord-api-url", local.api,
    ]  # fmt: skip


def _environment(database: Database) -> dict[str, str]:
    return {
        "PIKARELAY_DATABASE": database.url,
        "PIKARELAY_ROOT_KEY": database.root_key,
        "PIKARELAY_DISCORD_PRESS_INTERVAL_SECONDS": "0.02",
    }


# What callers do


async def configured(nodes: Nodes) -> list[tuple[str, str]]:
    """Set up the accounts, and have each do a job, so that every session is open."""
    local, client = nodes.local, Client(nodes.api.port)
    local.post("/apps/Pika/settings", {"speed": 0.0, "behaviour": "respond", "video": "stamped"})
    users = [local.new_user(f"scale-{secrets.token_hex(4)}") for _ in range(ACCOUNTS)]
    for token, channel in users:
        await client.send(set_up(nodes.api, token, channel))
    for n, user in enumerate(users):
        job = body_of(await client.send(create(nodes.api, n, user)))
        await finished(client, nodes.api, str(job["jobid"]))
    client.close()
    return users


def set_up(api: Relay, token: str, channel: str) -> bytes:
    """Return the request that makes a Discord user and its channel an account."""
    fields = {"discord": token, "channel": channel, "maxJobs": "5"}
    return post_form(api.headers, f"/v1/pika/account/{channel}", fields)


def create(api: Relay, n: int, user: tuple[str, str]) -> bytes:
    token, channel = user
    fields = {"prompt": f"paper boat number {n}", "discord": token, "channel": channel}
    return post_form(api.headers, "/v1/pika/create", fields)


async def created(nodes: Nodes, users: Sequence[tuple[str, str]], seconds: float) -> tuple[int, float]:
    """Create jobs for so long. Returns how many were completed, and the seconds until the last one was."""
    client, numbers = Client(nodes.api.port), itertools.count(1000)
    began = time.monotonic()
    jobs = 0

    async def call(first: int) -> None:
        nonlocal jobs
        for place in itertools.count(first, CALLERS):
            if time.monotonic() - began > seconds:
                return
            answer = await client.send(create(nodes.api, next(numbers), users[place % len(users)]))
            if answer.status == 200:
                jobs += 1
            elif answer.status != 429:
                raise RuntimeError(f"HTTP status {answer.status}: {answer.body!r}")

    await asyncio.gather(*map(call, range(CALLERS)))
    # Rarely asked, for what is asked costs statements too.
    while (await client.send(get(nodes.api.headers, "/v1/pika/jobs"))).body != b"[]":  # noqa: ASYNC110 -- nobody tells
        await asyncio.sleep(0.25)
    client.close()
    return jobs, time.monotonic() - began
