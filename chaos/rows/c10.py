"""
C10: the machine's clock jumps under load, an hour back and a day ahead, and returns.

Ids must stay unique, nothing may be lost, and what is signed carries the time that the clock shows. While the clock is off,
new jobs are made, finished and called back as ever.
"""

import asyncio
import json
import time
from pathlib import Path

from chaos.outcome import Outcome, Scene
from chaos.stage import Stage, World

_JUMPS = (-3600.0, 86_400.0)
_JOBS = 8
_TOLERANCE_SECONDS = 5.0


async def run(scene: Scene, outcome: Outcome) -> None:
    async with World.open(scene.folder, scene.seed) as world:
        await world.upstream.configure(behaviour="respond")
        clock = Path(scene.folder / "clock")
        clock.write_text("0")
        async with world.stage(
            scene.seed, seats=2, max_jobs=_JOBS, plan={**scene.plan, "clock": str(clock)}
        ) as stage:
            await stage.open()
            for _ in range(scene.amount(5, 50)):
                for jump in _JUMPS:
                    await _jump(stage, clock, jump, outcome)
                    # Back to the right time, which is a jump as well.
                    await _jump(stage, clock, 0.0, outcome)
            await stage.settle()
            outcome.take(stage.verdict())


async def _jump(stage: Stage, clock: Path, offset: float, outcome: Outcome) -> None:
    """Set the clock while jobs are under way, and see that jobs made afterwards come to their end in time."""
    before = [asyncio.create_task(stage.clients.create(seat)) for seat in stage.seats for _ in range(2)]
    await asyncio.sleep(0.02)
    await stage.fault(f"clock {offset:+g} s")
    part = clock.with_suffix(".part")
    part.write_text(str(offset))
    part.rename(clock)
    outcome.numbers["jumps"] += 1
    await asyncio.gather(*before)
    answers = await asyncio.gather(
        *(stage.clients.create(stage.seats[n % 2]) for n in range(_JOBS)), return_exceptions=False
    )
    jobs = [body["jobid"] for status, body in answers if status == 200]
    outcome.require(len(jobs) == _JOBS, f"{offset:+g} s: {len(jobs)} of {_JOBS} jobs were taken")
    came = await stage.until(lambda: all(job in stage.receiver.delivered for job in jobs), 30)
    outcome.require(came, f"{offset:+g} s: callbacks of new jobs came late")
    stamps = _stamps(stage, set(jobs))
    now = time.time() + offset
    outcome.require(
        all(abs(stamp - now) < 30 + _TOLERANCE_SECONDS for stamp in stamps),
        f"{offset:+g} s: callbacks are stamped {stamps}, it is {now:.0f}",
    )


def _stamps(stage: Stage, jobs: set[str]) -> list[int]:
    entries = map(json.loads, stage.ledgers.receiver.path.read_text().splitlines())
    return [int(e["stamp"]) for e in entries if e["event"] == "received" and e["job"] in jobs]
