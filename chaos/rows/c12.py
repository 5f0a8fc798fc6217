"""
C12: exhaustion. File descriptors, memory, connections, and callbacks that nobody takes.

*Descriptors*: the server may have 64 open, and a crowd of 200 wants its connections. *Memory*: the server is in a control group
with 512 MiB, and thousands of clients send it all that it has to remember. *Connections*: 11,000 clients hold theirs open, idle and
slow, which is more than there is room for. *Callbacks*: 100,000 are due, and their receivers are away, and then back.

Callers are at work before, during and after each. Whoever asks meanwhile is served, or refused with 429 or 503 in the contract's
form, or hung up on, within seconds; of a request that was not answered nothing is pressed. The process lives through it,
says afterwards by itself that it is ready, and the ledgers are judged as always.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from chaos import backlog
from chaos.judge import History
from chaos.ledger import Ledger, read_entries
from chaos.meanwhile import callers_at_work, require_health
from chaos.memory import memory_group
from chaos.outcome import Outcome, Scene
from chaos.processes import PATIENCE, ROOT, clean_environment, own_address
from chaos.receiver import Receiver
from chaos.stage import Stage, World
from chaos.strain import (
    Asker,
    becomes_ready,
    crowded,
    nobody_pays_for_our_want,
    nothing_comes_of_silence,
)

_CALLERS = 4
_SEATS = 3
_RECOVERS_WITHIN = 30.0
#: Acknowledged jobs before and after each strain, and beside those that leave room for them.
_FLOOR = 15

_DESCRIPTORS = 64
_MEMORY_MIB = 512
#: What the server may hold for 10,000 connections, and for 100,000 callbacks, in all.
_MOST_MIB = {"connections": 384, "callbacks": 320}
_QUEUED = 100_000
_AWAY_SECONDS = 15.0
_DRAIN_SECONDS = 45.0
#: Callbacks of the backlog that are delivered in a second at least, on a busy machine.
_LEAST_PACE = 20


class _Strain(NamedTuple):
    """A crowd, and what is demanded beside it."""

    #: How many clients there are, of which kinds, and how many connections they open in a second at most.
    count: int
    kinds: Mapping[str, int]
    pace: float
    #: So many connections have to be open at a time, or it was no strain.
    held: int
    #: Jobs that are acknowledged meanwhile.
    floor: int
    #: Requests of its clients that are refused at least, or it met no limit.
    refused: int
    #: How long it stays once it has gathered.
    stays: float = 15.0


_STRAINS = {
    # Few connections are left for callers, and those of the crowd are many: they may have luck, and need none.
    "descriptors": _Strain(
        200,
        {"silent": 2, "half": 2, "kept": 2, "slow": 1, "upload": 1},
        pace=500,
        held=12,
        floor=0,
        refused=100,
    ),
    "memory": _Strain(
        9_000,
        {"heads": 4, "texts": 4, "body": 2, "upload": 1},
        pace=400,
        # As many as make up what they may hold all together, which is by how much each has sent.
        held=1_000,
        floor=_FLOOR,
        refused=5_000,
        stays=25,
    ),
    # More than there is room for; callers are served before it is full.
    "connections": _Strain(
        11_000,
        {"slow": 12, "silent": 1, "half": 1, "kept": 1},
        pace=250,
        held=10_000,
        floor=_FLOOR,
        refused=500,
    ),
}


async def run(scene: Scene, outcome: Outcome) -> None:
    rounds = range(1, scene.amount(1, 5) + 1)
    async with World.open(scene.folder, scene.seed) as world:
        await world.upstream.configure(behaviour="respond")
        if scene.share < 1:
            await _memory(_Round(world, scene, outcome, 1))
            return
        queue = _Queue(world, scene.folder)
        async with queue.being_filled():
            for number in rounds:
                for strain in (_memory, _descriptors, _connections):
                    await strain(_Round(world, scene, outcome, number))
            await queue.filled()
        for number in rounds:
            await _callbacks(_Round(world, scene, outcome, number), queue, whole=scene.full)


class _ServerGone(Exception):
    """The server has ended, and nothing more can be seen of it."""


class _Round:
    """What each kind has in common."""

    def __init__(self, world: World, scene: Scene, outcome: Outcome, number: int) -> None:
        self.world = world
        self.scene = scene
        self.outcome = outcome
        self.number = number

    @asynccontextmanager
    async def stage(
        self,
        kind: str,
        plan: Mapping[str, Any] | None = None,
        *,
        data: Path | None = None,
        max_jobs: int = 6,
        callers: int = _CALLERS,
    ) -> AsyncIterator[Stage]:
        """Open a stage; when its strain is over, see to it that all is well again, and judge."""
        scene, outcome = self.scene, self.outcome
        # Two jobs of a seat may run beside those of its callers, for the row's own questions.
        async with self.world.stage(
            scene.seed,
            f"{kind}-{self.number}",
            seats=_SEATS,
            max_jobs=max_jobs,
            plan={**scene.plan, **(plan or {})},
        ) as stage:
            if data is not None:
                shutil.copytree(data, stage.folder / "data")
            await stage.open()
            assert stage.server is not None
            try:
                async with callers_at_work(
                    stage, stage.seats, callers, scene.rng("callers", kind, self.number)
                ):
                    outcome.require(await stage.more_acknowledged(_FLOOR), f"{kind}: nothing is at stake")
                    yield stage
                    outcome.require(await becomes_ready(stage, _RECOVERS_WITHIN), f"{kind}: not ready again")
                    outcome.require(
                        await stage.more_acknowledged(_FLOOR), f"{kind}: no work is done afterwards"
                    )
            except _ServerGone:
                outcome.require(False, f"{kind}: the server ended with {stage.server.ended.result()}")
                return
            await stage.settle(overtime=90 if scene.sabotage is None else 0)
            for job in stage.clients.jobs:
                await stage.clients.tries(job, final=True)
            is_over = stage.server.ended.done()
            outcome.require(not is_over, f"{kind}: the server ended by itself")
            outcome.take(stage.verdict(nothing_comes_of_silence, nobody_pays_for_our_want), f"{kind}: ")
            outcome.numbers[kind] += 1

    async def strain(self, stage: Stage, kind: str) -> None:
        """Let a crowd strain the server for a while, and ask it meanwhile."""
        strain, outcome = _STRAINS[kind], self.outcome
        known = next(iter(stage.clients.jobs))
        asker = Asker(stage, known, self.scene.rng("pictures", kind, self.number), kind, outcome)
        before = stage.clients.acknowledged
        async with crowded(stage, strain.count, strain.kinds, pace=strain.pace) as crowd, asker.asking():
            gathered = await crowd.reaches(strain.held)
            await asyncio.sleep(strain.stays)
        if stage.server is None or stage.server.ended.done():
            raise _ServerGone
        crowd.judge(kind, outcome)
        outcome.require(
            crowd.refused >= strain.refused, f"{kind}: {crowd.refused} refused, {strain.refused} were to be"
        )
        outcome.require(gathered, f"{kind}: a crowd of {crowd.most:,} strained it, {strain.held:,} were to")
        asker.tell()
        done = stage.clients.acknowledged - before
        outcome.require(done >= strain.floor, f"{kind}: {done} jobs meanwhile, {strain.floor} needed")


async def _descriptors(its: _Round) -> None:
    # As many jobs in all as the server then has connections for.
    async with its.stage("descriptors", {"descriptors": _DESCRIPTORS}, max_jobs=3) as stage:
        await its.strain(stage, "descriptors")


async def _memory(its: _Round) -> None:
    outcome = its.outcome
    with memory_group(_MEMORY_MIB * 1024 * 1024) as group:
        async with its.stage("memory", {"group": str(group.members)}) as stage:
            await _resident(stage)
            await its.strain(stage, "memory")
            resident, most = await _most_resident(stage), group.most() / 1024 / 1024
            outcome.table.append(f"memory: {resident:.0f} MiB at most, {most:.0f} with the system's share")
            outcome.require(resident < _MEMORY_MIB, f"memory: the server held {resident:.0f} MiB")
            await stage.ledgers.killer.noted("measured", what="memory", most_mib=resident, group_mib=most)
        outcome.require(group.kills() == 0, f"memory: the system killed the server {group.kills()} times")


async def _connections(its: _Round) -> None:
    async with its.stage("connections") as stage:
        await _resident(stage)
        await its.strain(stage, "connections")
        await _require_within(its, stage, "connections")


async def _callbacks(its: _Round, queue: "_Queue", *, whole: bool) -> None:
    outcome = its.outcome
    # One caller: what a busy server does for callers it does not do for the backlog.
    async with its.stage("callbacks", data=queue.data, callers=1) as stage:
        await _resident(stage)
        await asyncio.sleep(_AWAY_SECONDS)
        async with queue.receiving(stage.folder) as receiver:
            pace = await _drain(stage, receiver, whole=whole)
            await _require_within(its, stage, "callbacks")
        outcome.numbers["queued callbacks"] += len(receiver.delivered)
        outcome.table.append(
            f"callbacks: {len(receiver.delivered):,} of {_QUEUED:,} drained, {pace:.0f} a second"
        )
        outcome.require(pace >= _LEAST_PACE, f"callbacks: {pace:.1f} drained a second")
    received = read_entries(receiver_ledger(stage.folder))
    outcome.violations += [
        f"callbacks: {each}" for each in backlog.judge_backlog(queue.entries, received, whole=whole)
    ]
    require_health(outcome, History.read(stage.folder), _FLOOR)


async def _drain(stage: Stage, receiver: Receiver, *, whole: bool) -> float:
    """Watch the backlog go, to its end or for a while; return how many are delivered in a second."""
    came = await stage.until(lambda: bool(receiver.delivered), 2 * PATIENCE)
    began, first = time.monotonic(), len(receiver.delivered)
    if not came:
        return 0.0
    last, seen = began, first
    while len(receiver.delivered) < _QUEUED and time.monotonic() - last < PATIENCE:
        if not whole and time.monotonic() - began > _DRAIN_SECONDS:
            break
        await asyncio.sleep(0.5)
        if len(receiver.delivered) > seen:
            last, seen = time.monotonic(), len(receiver.delivered)
    return (len(receiver.delivered) - first) / (time.monotonic() - began)


async def _resident(stage: Stage) -> None:
    assert stage.server is not None
    await stage.server.resident_kib()


async def _most_resident(stage: Stage) -> float:
    assert stage.server is not None
    return await stage.server.most_resident_kib() / 1024


async def _require_within(its: _Round, stage: Stage, kind: str) -> None:
    most = await _most_resident(stage)
    await stage.ledgers.killer.noted("measured", what=kind, most_mib=most)
    its.outcome.table.append(f"{kind}: {most:.0f} MiB at most")
    its.outcome.require(most < _MOST_MIB[kind], f"{kind}: the server held {most:.0f} MiB")


def receiver_ledger(folder: Path) -> Path:
    return folder / "backlog.jsonl"


class _Queue:
    """The backlog, made once, and copied for each round; its receivers are away until they are wanted."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self.data = folder / "queue" / "data"
        self._hosts = [f"127.0.2.{number}" for number in range(1, 21)]
        self._port = own_address()[1]
        self._process: asyncio.subprocess.Process | None = None

    @asynccontextmanager
    async def being_filled(self) -> AsyncIterator[None]:
        self.data.mkdir(parents=True, mode=0o700)
        urls = [f"http://{host}:{self._port}/hook" for host in self._hosts]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chaos.backlog", str(self.data), str(_QUEUED), *urls,
            env=clean_environment(self._world.sources), cwd=ROOT,
        )  # fmt: skip
        try:
            yield
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    async def filled(self) -> None:
        assert self._process is not None
        if await self._process.wait() != 0:
            raise RuntimeError("the backlog could not be made")

    @property
    def entries(self) -> Sequence[dict[str, Any]]:
        return read_entries(self.data.parent / backlog.LEDGER)

    @asynccontextmanager
    async def receiving(self, folder: Path) -> AsyncIterator[Receiver]:
        """Let the receivers be there until the block ends."""
        async with AsyncExitStack() as stack:
            ledger = Ledger(receiver_ledger(folder), iter(range(sys.maxsize)))
            stack.callback(ledger.close)
            yield await stack.enter_async_context(Receiver(ledger, self._hosts).serving(self._port))
