"""
C7: everything that a receiver, and the network before it, can do wrong; each many times, under load.

Each fault strikes the first try of one callback, at a target of its own; the try must have the right word in the log, and
the callback must be delivered afterwards. After a timeout the next try is five minutes away: once all else is done, the
machine's clock is moved by as much, and back. A try may take four seconds, as an operator can say.
"""

from contextlib import AsyncExitStack
from pathlib import Path

from chaos.fronts import KINDS, Front, Place, make_certificates
from chaos.meanwhile import (
    all_delivered,
    callers_at_work,
    create_all,
    have_failed,
    require_faults,
    require_health,
)
from chaos.outcome import Outcome, Scene
from chaos.processes import own_address
from chaos.stage import Stage, World
from chaos.tried import judge_tries

_TOTAL_SECONDS = 4
#: Longer than a callback waits after a timeout.
_LATER_SECONDS = 310
#: Of each kind.
_AT_ONCE = 10
_SEATS = 6
_HEALTHY_SEATS = 3
_CALLERS = 6
_MOST_GROWTH_KIB = 32 * 1024
#: So much of its file SQLite keeps in memory, as the store asks it to: thousands of jobs are stored here meanwhile.
_DATABASE_CACHE_KIB = 64 * 1024


async def run(scene: Scene, outcome: Outcome) -> None:
    each = scene.amount(20, 500)
    async with World.open(scene.folder, scene.seed) as world:
        await world.upstream.configure(behaviour="respond")
        row = _Row(scene, scene.folder)
        async with world.stage(
            scene.seed,
            seats=_SEATS,
            max_jobs=10,
            settings={"callbacks_total_seconds": str(_TOTAL_SECONDS), "callbacks_connect_seconds": "3"},
            plan={**scene.plan, "clock": str(row.clock)},
            environment={"SSL_CERT_FILE": str(row.trusted)},
        ) as stage:
            await stage.open()
            await row.warm_up(stage)
            assert stage.server is not None
            before, database = await stage.server.resident_kib(), stage.database_kib
            for done in range(0, each, _AT_ONCE):
                await row.strike(stage, min(_AT_ONCE, each - done), outcome)
            growth = await stage.server.most_resident_kib() - before
            cache = min(stage.database_kib - database, _DATABASE_CACHE_KIB)
            await stage.ledgers.killer.noted(
                "measured", what="memory", before_kib=before, growth_kib=growth, cache_kib=cache
            )
            await stage.settle(overtime=90 if scene.sabotage is None else 0, probe=False)
            verdict = stage.verdict(judge_tries)
    outcome.take(verdict)
    require_faults(outcome, verdict.history, each)
    require_health(outcome, verdict.history, 5 * each)
    outcome.table.append(
        f"memory grew by {growth / 1024:.1f} MiB from {before / 1024:.0f} MiB, {cache / 1024:.1f} MiB of it the database's"
    )
    grown = f"memory grew by {(growth - cache) / 1024:.1f} MiB beside what the database keeps of its file"
    outcome.require(growth - cache < _MOST_GROWTH_KIB, grown)


class _Row:
    """What all batches share."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self._rng = scene.rng("faults")
        # Nobody else's callbacks go there, whatever else is tested on this machine.
        host, _ = own_address()
        self._place = Place(host, make_certificates(folder / "certificates", host))
        self.trusted = self._place.certificates["all"]
        self.clock = folder / "clock"
        self.clock.write_text("0")

    async def warm_up(self, stage: Stage) -> None:
        """Let everything happen once that costs memory only once."""
        await create_all(stage, stage.seats, stage.receiver.urls * 5)
        await all_delivered(stage)

    async def strike(self, stage: Stage, each: int, outcome: Outcome) -> None:
        """Let each kind of fault strike so many callbacks, all at once, while others go on as ever."""
        faults = [kind(self._rng) for kind in KINDS for _ in range(each)]
        self._rng.shuffle(faults)
        async with AsyncExitStack() as stack:
            fronts = [
                await stack.enter_async_context(
                    Front(fault, stage.receiver, stage.ledgers.killer, self._rng, self._place).serving()
                )
                for fault in faults
            ]
            async with callers_at_work(stage, stage.seats[:_HEALTHY_SEATS], _CALLERS, self._rng):
                jobs = await create_all(stage, stage.seats[_HEALTHY_SEATS:], [front.url for front in fronts])
                of_job = {jobs[front.url]: front.fault for front in fronts}
                came = await have_failed(
                    stage, {job: {its.error} if its.error else set() for job, its in of_job.items()}
                )
                outcome.require(came, "not every fault was in the log within a minute")
            late = frozenset(job for job, fault in of_job.items() if fault.error == "timeout")
            came = await all_delivered(stage, but=late)
            outcome.require(came, "callbacks came late that nothing delayed")
            # Nothing is under way.
            await self._set_clock(stage, _LATER_SECONDS)
            came = await all_delivered(stage)
            outcome.require(came, "callbacks came late, or not at all, after a timeout")
            await self._set_clock(stage, 0)
            for job in jobs.values():
                await stage.clients.tries(job, final=True)

    async def _set_clock(self, stage: Stage, offset: int) -> None:
        await stage.fault(f"clock {offset:+} s")
        part = self.clock.with_suffix(".part")
        part.write_text(str(offset))
        part.rename(self.clock)
