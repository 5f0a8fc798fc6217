"""Strikes on a cluster, one after the other, and what came of them."""

import asyncio
import itertools
import signal
import time
from collections.abc import Awaitable, Callable
from random import Random

from chaos.cluster.nodes import Node, digest
from chaos.cluster.stage import ClusterStage
from chaos.cluster.takeovers import ALLOWED, Takeovers
from chaos.processes import PATIENCE

_BETWEEN_SECONDS = (1.5, 4.0)
#: A worker that stands still for so long has been succeeded by then.
_SUCCEEDED_SECONDS = 20.0


class Strikes:
    """See the module."""

    def __init__(self, stage: ClusterStage, rng: Random) -> None:
        self.stage = stage
        self.cluster = stage.cluster
        self.rng = rng
        self.takeovers = Takeovers(stage)
        #: The kinds of takeovers that there have to be.
        self.wanted: frozenset[str] = frozenset()
        self.strikes: list[str] = []
        #: How long each node took that was told to end, and the status with which it did.
        self.ends: list[tuple[float, int]] = []
        self._rolling = itertools.cycle(stage.cluster.nodes)

    async def kill_worker(self, node: Node | None = None) -> None:
        node = node or await self._a_busy_worker()
        at = await self.stage.kill_node(node)
        await self.takeovers.watch("kill", await self._users_of(node), at)
        await self.stage.start_node(node)

    async def kill_api(self) -> None:
        node = self.rng.choice(self.cluster.apis)
        await self.stage.kill_node(node)
        await asyncio.sleep(self.rng.uniform(0.2, 2.0))
        await self.stage.start_node(node)

    async def stop_node(self) -> None:
        """SIGSTOP, mostly for less than a lease lasts."""
        seconds = self.rng.uniform(9, 60) if self.rng.random() < 0.25 else self.rng.uniform(1, 9)
        await self._stop(self.rng.choice(self.cluster.nodes), seconds)

    async def stop_worker_for_long(self) -> None:
        """SIGSTOP, for longer than a lease lasts."""
        await self._stop(await self._a_busy_worker(), self.rng.uniform(_SUCCEEDED_SECONDS, 60))

    async def _stop(self, node: Node, seconds: float) -> None:
        node.is_up = False
        at = await self.stage.strike_begins(f"SIGSTOP for {seconds:.0f} s", node.name)
        await node.signal(signal.SIGSTOP)
        end = time.monotonic() + seconds
        if seconds >= _SUCCEEDED_SECONDS and node.role == "worker":
            await self.takeovers.watch("stopped", await self._users_of(node), at)
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        await node.signal(signal.SIGCONT)
        await self.stage.strike_ends()
        node.is_up = True

    async def cut_connections(self) -> None:
        """Break a node's connections to the database, again and again."""
        node = self.rng.choice(self.cluster.nodes)
        await self.stage.strike_begins("connections are cut", node.name)
        for _ in range(self.rng.randrange(1, 6)):
            await node.host.reset()
            await asyncio.sleep(self.rng.uniform(0.05, 0.5))
        await self.stage.strike_ends()

    async def unplug_worker(self) -> None:
        """Cut a worker off from everything until it is succeeded, and for some seconds more."""
        node = await self._a_busy_worker()
        await self._cut("unplugged", node, node.host.unplug)

    async def part_worker(self) -> None:
        """Cut a worker off from the database alone: it still has Discord."""
        node = await self._a_busy_worker()
        await self._cut("parted from the database", node, node.host.lose_database)

    async def _cut(self, kind: str, node: Node, cut: Callable[[], Awaitable[None]]) -> None:
        at = await self.stage.strike_begins(kind, node.name, unknown=len(self.stage.seats))
        await cut()
        struck = node.host.address[0] if self.cluster.network.can_unplug else None
        await self.takeovers.watch(kind, await self._users_of(node), at, struck)
        await asyncio.sleep(self.rng.uniform(0, 8))
        await node.host.mend()
        await asyncio.sleep(2)
        await self.stage.strike_ends()

    async def cut_api(self) -> None:
        """Cut an API node off from everything or from the database alone, for up to half a minute."""
        node = self.rng.choice(self.cluster.apis)
        cuts = [node.host.lose_database, *[node.host.unplug] * self.cluster.network.can_unplug]
        node.is_up = False
        await self.stage.strike_begins("cut", node.name)
        await self.rng.choice(cuts)()
        await asyncio.sleep(self.rng.uniform(1, 30))
        await node.host.mend()
        await asyncio.sleep(2)
        await self.stage.strike_ends()
        node.is_up = True

    async def restart_database(self) -> None:
        await self.stage.strike_begins("database restarts")
        await self.cluster.database.restart(self.rng.choice([signal.SIGINT, signal.SIGQUIT]))
        await asyncio.sleep(3)
        await self.stage.strike_ends()

    async def roll_node(self, node: Node | None = None) -> None:
        """Replace a node, by default the next, in good order, as a rolling restart does: no new callers, its end, its successor."""
        node = node or next(self._rolling)
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
        """Strike in each way once, and then as it comes until time is up, kills of workers most of all."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.kill_worker, self.stop_node, self.part_worker, self.kill_worker, self.cut_connections,
            self.kill_api, self.restart_database, self.cut_api, self.stop_worker_for_long,
        ]  # fmt: skip
        self.wanted = frozenset(ALLOWED)
        if self.cluster.network.can_unplug:
            kinds.insert(2, self.unplug_worker)
        else:
            self.wanted -= {"unplugged"}
        more = (self.rng.choice([*kinds, self.kill_worker, self.kill_worker]) for _ in itertools.count())
        began = time.monotonic()
        for strike in itertools.chain(kinds, more):
            if len(self.strikes) >= len(kinds) and time.monotonic() - began > seconds:
                return
            self.strikes.append(getattr(strike, "__name__", "strike"))
            await strike()
            await asyncio.sleep(self.rng.uniform(*_BETWEEN_SECONDS))

    async def _a_busy_worker(self) -> Node:
        """Return a worker that holds half of its part at least: who was struck a moment ago may hold nothing."""
        shares = await self.cluster.database.shares()
        half = len(self.stage.seats) / len(self.cluster.workers) / 2
        busy = [node for node in self.cluster.workers if shares.get(node.worker_id, 0) >= half]
        return self.rng.choice(busy or self.cluster.workers)

    async def _users_of(self, node: Node) -> set[str]:
        held = await self.cluster.database.sessions_of(node.worker_id)
        return {seat.user_id for seat in self.stage.seats if digest(seat.token) in held}
