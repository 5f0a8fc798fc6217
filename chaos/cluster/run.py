"""One history of a cluster: strikes, one after the other, under load; then quiet, and the verdict."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from chaos.cluster.namespaces import Namespaces, NoNamespaces
from chaos.cluster.network import Loopback, Network
from chaos.cluster.nodes import Cluster, Database
from chaos.cluster.stage import ClusterStage, ManyDoors
from chaos.cluster.strikes import Strikes
from chaos.ledger import Ledgers
from chaos.processes import PATIENCE
from chaos.receiver import Receiver
from chaos.stage import SETTINGS, Verdict, World
from tests.postgres import PostgresServer

CHANNELS = 200
_MAX_JOBS = 3
_CALLERS = 16
_CLUSTER_SETTINGS = {
    # A worker that stands still is succeeded after ten seconds; the bot's answer to its press is still wanted then.
    "discord_first_message_seconds": "40",
    "discord_job_seconds": "55",
    # When what was taken over is worth knowing.
    "log_level": "info",
    "database_connections": "6",
}


async def run(
    folder: Path,
    seed: int,
    seconds: float,
    channels: int,
    each: int,
    *,
    play: Callable[[Strikes, float], Awaitable[None]] = Strikes.go,
) -> tuple[Verdict, Strikes]:
    """Play one history: `play` is what happens while there is load. Raises `DidNotStart`, or `NoPostgres`."""
    async with AsyncExitStack() as stack:
        network = await _network(stack)
        print(f"network: {network.words}", flush=True)
        world = await stack.enter_async_context(
            World.open(folder / "world", seed, identify_interval=0, host=network.discord_host)
        )
        server = PostgresServer(is_durable=True, interface=network.database_interface)
        stack.callback(server.close)
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(server.prepare)
        ledgers = Ledgers(folder / "cluster")
        stack.callback(ledgers.close)
        receiver = await stack.enter_async_context(
            Receiver(ledgers.receiver, network.receiver_hosts).serving()
        )
        settings = {
            **SETTINGS,
            **_CLUSTER_SETTINGS,
            "callbacks_allow_networks": network.receivers,
            "root_key": secrets.token_hex(32),
        }
        cluster = await stack.enter_async_context(
            Cluster.open(folder, world.zygote, Database(server), network, settings, world.upstream.api, each)
        )
        clients = ManyDoors(ledgers.client, await _session(stack), receiver.urls, seed)
        clients.cluster = cluster
        stage = ClusterStage(world, ledgers, receiver, clients, seats=channels, max_jobs=_MAX_JOBS)
        stage.cluster = cluster
        await stage.begin()
        await _open(stage)
        played = Strikes(stage, Random(f"{seed} strikes"))
        await _under_load(stage, Random(f"{seed} callers"), lambda: play(played, seconds))
        await stage.settle()
        return stage.verdict(), played


async def _network(stack: AsyncExitStack) -> Network:
    try:
        return await stack.enter_async_context(Namespaces.open())
    except NoNamespaces as reason:
        return Loopback(str(reason))


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
