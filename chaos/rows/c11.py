"""
C11: everything that name servers can do wrong; each many times, under load.

The server asks a name server of ours on loopback (`callbacks.nameservers`). Each fault strikes one name, the target of one
callback; once the fault has shown in the log of its tries, the name is mended, and the callback must be delivered. The
server may reach 127.0.0.0/16 and nothing else of this machine; a listener waits at an address outside. Meanwhile callers
whose receivers have names, too, notice nothing, and the server's event loop never stands still (`chaos.pulse`).
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import dns.rcode

from chaos import pulse
from chaos.ledger import Ledger
from chaos.meanwhile import (
    all_delivered,
    callers_at_work,
    create_all,
    have_failed,
    require_faults,
    require_health,
)
from chaos.nameserver import NameServer, Reply
from chaos.outcome import Outcome, Scene
from chaos.stage import Stage, World
from chaos.tried import judge_tries

_RECEIVER = "127.0.0.1"
_OPEN = "127.0.0.0/16"
_CLOSED = "127.99.0.1"
#: Open, and nobody listens there.
_EMPTY = "127.0.200.1"
_DOMAIN = "chaos.test"
_HEALTHY_NAMES = 20
_AT_ONCE = 20
_SEATS = 6
_HEALTHY_SEATS = 3
_CALLERS = 6
_MOST_STALL_SECONDS = 0.05


@dataclass(frozen=True)
class Fault:
    """What is wrong with a name."""

    what: str
    #: What lookups are answered with, in turn.
    replies: tuple[Reply, ...]
    errors: tuple[str, ...]


KINDS = (
    Fault("NXDOMAIN", (Reply(code=dns.rcode.NXDOMAIN),), ("dns",)),
    Fault("SERVFAIL", (Reply(code=dns.rcode.SERVFAIL),), ("dns",)),
    Fault("5 s of silence", (Reply(is_silent=True),), ("dns",)),
    # The first is the receiver's own: were it asked, the callback would be taken.
    Fault("1,000 addresses", (Reply((_RECEIVER, *(f"127.0.{1 + n // 250}.{1 + n % 250}" for n in range(999)))),), ("dns",)),
    Fault("rebinding", (Reply((_EMPTY,)), Reply((_CLOSED,))), ("connect", "blocked")),
    Fault("mixed answers", (Reply((_RECEIVER, _CLOSED)),), ("blocked",)),
    Fault("mixed families", (Reply((_RECEIVER, "::1")),), ("blocked",)),
)  # fmt: skip


class Names:
    """The book of the name server: which names are broken, and how."""

    def __init__(self, killer: Ledger) -> None:
        self._killer = killer
        self.broken: dict[str, Fault] = {}
        #: The receiver's.
        self.port = 0
        self._struck: set[str] = set()
        self._loop = asyncio.get_running_loop()

    async def break_one(self, name: str, fault: Fault, url: str) -> None:
        await self._killer.noted(
            "faulted", what=fault.what, url=url, name=name, errors=list(fault.errors), tries=None
        )
        self.broken[name] = fault

    def mend(self, name: str) -> None:
        if self.broken.pop(name, None) is not None:
            self._killer.note("mended", name=name)

    def reply(self, name: str, before: int) -> Reply:
        fault = self.broken.get(name)
        if fault is None:
            return Reply((_RECEIVER,)) if name.endswith(_DOMAIN) else Reply(code=dns.rcode.NXDOMAIN)
        if name not in self._struck:
            self._struck.add(name)
            # Asked on the name server's thread; the ledger is this one's.
            self._loop.call_soon_threadsafe(
                partial(self._killer.note, "struck", what=fault.what, url=self.url(name))
            )
        return fault.replies[before % len(fault.replies)]

    def url(self, name: str) -> str:
        return f"http://{name}:{self.port}/hook"


async def run(scene: Scene, outcome: Outcome) -> None:
    each = scene.amount(20, 500)
    felt = scene.folder / "pulse.jsonl"
    server = NameServer(lambda _name, _before: Reply())
    async with World.open(scene.folder, scene.seed) as world, server.apart():
        await world.upstream.configure(behaviour="respond")
        async with world.stage(
            scene.seed,
            seats=_SEATS,
            max_jobs=10,
            settings={
                "callbacks_allow_networks": _OPEN,
                "callbacks_nameservers": f"127.0.0.1:{server.port}",
            },
            plan={**scene.plan, "pulse": str(felt)},
        ) as stage:
            names = Names(stage.ledgers.killer)
            names.port = urlsplit(stage.receiver.urls[0]).port or 0
            server.book = names.reply
            stage.clients.call_back_at([names.url(f"well-{n}.{_DOMAIN}") for n in range(_HEALTHY_NAMES)])
            async with _trap(names.port, stage.ledgers.killer):
                await stage.open()
                await _warm_up(stage)
                began = time.monotonic()
                for done in range(0, each, _AT_ONCE):
                    await _strike(stage, names, range(done, min(each, done + _AT_ONCE)), scene, outcome)
                await _note_stalls(stage, felt, began)
                await stage.settle(overtime=90 if scene.sabotage is None else 0, probe=False)
            verdict = stage.verdict(judge_tries)
    outcome.take(verdict)
    require_faults(outcome, verdict.history, each)
    require_health(outcome, verdict.history, 5 * each)
    (worst,) = (e["seconds"] for e in verdict.history.killer if e["event"] == "measured")
    outcome.table.append(f"the event loop stood still for {worst * 1000:.0f} ms at most")
    outcome.require(worst < _MOST_STALL_SECONDS, f"the event loop stood still for {worst * 1000:.0f} ms")


async def _warm_up(stage: Stage) -> None:
    await create_all(stage, stage.seats, [stage.clients.next_url() for _ in range(3 * _HEALTHY_NAMES)])
    await all_delivered(stage)


async def _strike(stage: Stage, names: Names, numbers: range, scene: Scene, outcome: Outcome) -> None:
    """Break a name in each way for each number, at once, and mend each when its fault has shown."""
    rng = scene.rng("faults", numbers.start)
    broken = {
        f"{kind.what.split()[-1].lower()}-{number}.{_DOMAIN}": kind for number in numbers for kind in KINDS
    }
    order = list(broken)
    rng.shuffle(order)
    for name in order:
        await names.break_one(name, broken[name], names.url(name))
    async with callers_at_work(stage, stage.seats[:_HEALTHY_SEATS], _CALLERS, rng):
        jobs = await create_all(stage, stage.seats[_HEALTHY_SEATS:], [names.url(name) for name in order])
        name_of = {jobs[names.url(name)]: name for name in order}
        came = await have_failed(
            stage,
            {job: set(broken[name].errors) for job, name in name_of.items()},
            then=lambda job: names.mend(name_of[job]),
        )
        for name in order:
            names.mend(name)
        outcome.require(came, "not every fault was in the log within a minute")
    came = await all_delivered(stage)
    outcome.require(came, "callbacks came late, or not at all, to names that were mended")
    for job in jobs.values():
        await stage.clients.tries(job, final=True)


async def _note_stalls(stage: Stage, felt: Path, began: float) -> None:
    """Put what the server's process felt of its loop, since the faults began, into the killer's ledger."""
    await asyncio.sleep(2 * pulse.FLUSH_SECONDS)
    during = [stall for stall in pulse.stalls(felt) if stall["at"] / 1e9 >= began]
    worst = max((stall["stalled"] for stall in during), default=0.0)
    latest = max((stall["late"] for stall in during), default=0.0)
    await stage.ledgers.killer.noted("measured", what="stall", seconds=worst, late=latest, lines=len(during))


@asynccontextmanager
async def _trap(port: int, killer: Ledger) -> AsyncIterator[None]:
    """Listen where nobody may connect to, and note who does."""

    async def caught(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await killer.noted("trapped", address=writer.get_extra_info("sockname")[0])
        writer.close()

    server = await asyncio.start_server(caught, _CLOSED, port)
    async with server:
        yield
