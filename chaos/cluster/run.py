"""One history of a cluster: strikes, one after the other, under load; then quiet, and the verdict."""

import asyncio
import itertools
import random
import secrets
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from chaos.clients import Clients
from chaos.cluster.nodes import Cluster, Database, Node, digest
from chaos.cluster.takeovers import Takeovers
from chaos.ledger import Ledgers
from chaos.processes import PATIENCE
from chaos.receiver import Receiver
from chaos.stage import SETTINGS, Stage, Verdict, World
from tests.postgres import PostgresServer

CHANNELS = 200
_MAX_JOBS = 3
_CALLERS = 16
#: Channels that are tried for lost places in the end.
_PROBED = 24
_BETWEEN_SECONDS = (1.5, 4.0)
_CLUSTER_SETTINGS = {
    # A worker that stands still is succeeded after ten seconds; the bot's answer to its press is still wanted then.
    "discord_first_message_seconds": "40",
    "discord_job_seconds": "55",
    # When what was taken over is worth knowing.
    "log_level": "info",
    "database_connections": "6",
}


class ManyDoors(Clients):
    """Callers who ask one of the API nodes, as a proxy before them would send them."""

    cluster: Cluster

    @property
    def base_url(self) -> str:
        doors = [node.url for node in self.cluster.apis if node.is_up]
        return random.choice(doors) if doors else self.cluster.apis[0].url

    @base_url.setter
    def base_url(self, _url: str) -> None:
        """Keep none: each request has its own."""


class ClusterStage(Stage):
    """A stage whose server is a cluster."""

    cluster: Cluster

    async def strike_begins(self, what: str, node: str = "") -> None:
        """Note from when on a node may be kept from writing down what it did."""
        await self.ledgers.killer.noted("stopped", what=what, node=node, pid=0)

    async def strike_ends(self) -> None:
        await self.ledgers.killer.noted("continued", pid=0)

    async def kill_node(self, node: Node) -> int:
        """SIGKILL a node, and return when, in nanoseconds."""
        assert node.server is not None
        pid = await node.server.pid
        node.is_up = False
        entry = await self.ledgers.killer.noted("killed", pid=pid, node=node.name)
        await node.server.kill()
        await self.ledgers.killer.noted("died", pid=pid)
        return int(entry["at"])

    async def start_node(self, node: Node) -> None:
        pid = await self.cluster.start(node)
        await self.ledgers.killer.noted("started", pid=pid, node=node.name)

    async def _probe(self) -> None:
        every = self.seats
        self.seats = every[:: max(1, len(every) // _PROBED)]
        try:
            await super()._probe()
        finally:
            self.seats = every

    async def close(self) -> None:
        await self.cluster.close()


class Run:
    """Strikes and what came of them."""

    def __init__(self, stage: ClusterStage, rng: Random) -> None:
        self.stage = stage
        self.cluster = stage.cluster
        self.rng = rng
        self.takeovers = Takeovers(stage)
        self.strikes: list[str] = []
        #: How long each node took that was told to end, and the status with which it did.
        self.ends: list[tuple[float, int]] = []
        self._rolling = itertools.cycle(stage.cluster.nodes)

    async def kill_worker(self) -> None:
        node = self.rng.choice(self.cluster.workers)
        users = await self._users_of(node)
        at = await self.stage.kill_node(node)
        await self.takeovers.watch("kill", users, at)
        await self.stage.start_node(node)

    async def kill_api(self) -> None:
        node = self.rng.choice(self.cluster.apis)
        await self.stage.kill_node(node)
        await asyncio.sleep(self.rng.uniform(0.2, 2.0))
        await self.stage.start_node(node)

    async def stop_node(self) -> None:
        """SIGSTOP, mostly for seconds, now and then for longer than a lease lasts."""
        node = self.rng.choice(self.cluster.nodes)
        seconds = self.rng.uniform(12, 60) if self.rng.random() < 0.25 else self.rng.uniform(1, 6)
        node.is_up = False
        await self.stage.strike_begins(f"SIGSTOP for {seconds:.0f} s", node.name)
        await node.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        await node.signal(signal.SIGCONT)
        await self.stage.strike_ends()
        node.is_up = True

    async def cut_connections(self) -> None:
        """Break a node's connections to the database, again and again."""
        node = self.rng.choice(self.cluster.nodes)
        await self.stage.strike_begins("connections are cut", node.name)
        for _ in range(self.rng.randrange(1, 6)):
            node.proxy.cut()
            await asyncio.sleep(self.rng.uniform(0.05, 0.5))
        await self.stage.strike_ends()

    async def partition(self) -> None:
        """Let nothing pass between a worker and the database for half a minute; the worker still has Discord."""
        node = self.rng.choice(self.cluster.workers)
        users = await self._users_of(node)
        await self.stage.strike_begins("network is cut", node.name)
        at = time.monotonic_ns()
        node.proxy.stall()
        await self.takeovers.watch("cut", users, at)
        node.proxy.flow()
        await asyncio.sleep(2)
        await self.stage.strike_ends()

    async def restart_database(self) -> None:
        await self.stage.strike_begins("database restarts")
        await self.cluster.database.restart(self.rng.choice([signal.SIGINT, signal.SIGQUIT]))
        await asyncio.sleep(3)
        await self.stage.strike_ends()

    async def roll_node(self) -> None:
        """Replace the next node in good order, as a rolling restart does: no new callers, its end, its successor."""
        node = next(self._rolling)
        assert node.server is not None
        node.is_up = False
        await self.stage.ledgers.killer.noted("told_to_end", pid=await node.server.pid, node=node.name)
        began = time.monotonic()
        await node.signal(signal.SIGTERM)
        status = await asyncio.wait_for(asyncio.shield(node.server.ended), PATIENCE)
        self.ends.append((time.monotonic() - began, status))
        await self.stage.start_node(node)

    async def roll(self, seconds: float) -> None:
        """Replace one node after the other until time is up, and each once at least."""
        began = time.monotonic()
        while len(self.ends) < len(self.cluster.nodes) or time.monotonic() - began < seconds:
            self.strikes.append("roll_node")
            await self.roll_node()
            await asyncio.sleep(self.rng.uniform(*_BETWEEN_SECONDS))

    async def go(self, seconds: float) -> None:
        """Strike until time is up: each kind first once, then as it comes, kills of workers most of all."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.kill_worker, self.stop_node, self.partition, self.kill_worker, self.cut_connections,
            self.kill_api, self.restart_database,
        ]  # fmt: skip
        more = (self.rng.choice([*kinds, self.kill_worker, self.kill_worker]) for _ in itertools.count())
        began = time.monotonic()
        for strike in itertools.chain(kinds, more):
            if time.monotonic() - began > seconds:
                return
            self.strikes.append(getattr(strike, "__name__", "strike"))
            await strike()
            await asyncio.sleep(self.rng.uniform(*_BETWEEN_SECONDS))

    async def _users_of(self, node: Node) -> set[str]:
        held = await self.cluster.database.sessions_of(node.worker_id)
        return {seat.user_id for seat in self.stage.seats if digest(seat.token) in held}


async def run(
    folder: Path, seed: int, seconds: float, channels: int, each: int, *, rolling: bool = False
) -> tuple[Verdict, Run]:
    """Play one history; `rolling`: one of nodes that end in good order. Raises `DidNotStart`, or `NoPostgres`."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(World.open(folder / "world", seed, identify_interval=0))
        server = PostgresServer(is_durable=True)
        stack.callback(server.close)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.prepare)
        ledgers = Ledgers(folder / "cluster")
        stack.callback(ledgers.close)
        receiver = await stack.enter_async_context(Receiver(ledgers.receiver).serving())
        settings = {**SETTINGS, **_CLUSTER_SETTINGS, "root_key": secrets.token_hex(32)}
        cluster = await stack.enter_async_context(
            Cluster.open(folder, world.zygote, Database(server), settings, world.upstream.api, each)
        )
        clients = ManyDoors(ledgers.client, await _session(stack), receiver.urls, seed)
        clients.cluster = cluster
        stage = ClusterStage(world, ledgers, receiver, clients, seats=channels, max_jobs=_MAX_JOBS)
        stage.cluster = cluster
        await stage.begin()
        await _open(stage)
        played = Run(stage, Random(f"{seed} strikes"))
        strikes = played.roll if rolling else played.go
        await _under_load(stage, Random(f"{seed} callers"), lambda: strikes(seconds))
        await stage.settle()
        return stage.verdict(), played


async def _session(stack: AsyncExitStack) -> Any:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    return await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))


async def _open(stage: ClusterStage) -> None:
    """Start all nodes, set up all accounts, and wait until every channel is somebody's, evenly."""
    for node in stage.cluster.nodes:
        await stage.start_node(node)
        stage.clients.api_token = stage.cluster.api_token
    for start in range(0, len(stage.seats), 20):
        await asyncio.gather(*map(stage.clients.configure, stage.seats[start : start + 20]))
    workers = len(stage.cluster.workers)
    async with asyncio.timeout(240):
        while True:
            shares = (await stage.cluster.database.shares()).values()
            if len(shares) == workers and sum(shares) == len(stage.seats) and max(shares) - min(shares) <= 2:
                break
            await asyncio.sleep(0.5)
    stage.clients.up.set()


async def _under_load(stage: ClusterStage, rng: Random, strikes: Callable[[], Awaitable[None]]) -> None:
    enough = asyncio.Event()
    callers = [
        asyncio.create_task(stage.clients.load(stage.seats, Random(f"{rng.random()}"), enough))
        for _ in range(_CALLERS)
    ]
    try:
        await strikes()
    finally:
        enough.set()
        await asyncio.gather(*callers)
