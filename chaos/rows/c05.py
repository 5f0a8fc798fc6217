"""
C5: a server stands still and goes on later, not knowing.

Twice over. Under load it is stopped for seconds and continued. And with callbacks on their way it is stopped for longer than its claims
on them last, so that a second server on the same data takes over and delivers; what the first one then believes
to know must change nothing. The second server's clock is ahead by the length of a claim, which saves the wait.
"""

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from random import Random

from chaos.meanwhile import callers_at_work
from chaos.outcome import Outcome, Scene
from chaos.processes import own_address
from chaos.stage import Stage, World

#: Longer than a claim lasts.
_AHEAD_SECONDS = 150
_JOBS = 20
_CALLERS = 10


async def run(scene: Scene, outcome: Outcome) -> None:
    async with World.open(scene.folder, scene.seed, identify_interval=0) as world:
        await world.upstream.configure(behaviour="respond")
        for number in range(scene.amount(2, 20)):
            async with world.stage(
                scene.seed + number, seats=2, max_jobs=_JOBS // 2, plan=scene.plan
            ) as stage:
                await _outlive_a_claim(stage)
                await stage.settle()
                outcome.take(stage.verdict(), "claims: ")
        if scene.sabotage is None:
            async with world.stage(scene.seed, seats=3) as stage:
                await _stop_under_load(stage, _lengths(scene), scene.rng("callers"))
                await stage.settle()
                outcome.take(stage.verdict(), "under load: ")


async def _outlive_a_claim(stage: Stage) -> None:
    """Stop a server whose callbacks are on their way, let another deliver them, and wake the first."""
    clock = Path(stage.folder / "clock")
    clock.write_text(str(_AHEAD_SECONDS))
    stage.receiver.manner = lambda _callback, number: 500 if number == 1 else 200
    stage.receiver.answering.clear()
    await stage.open()
    first = stage.server
    assert first is not None
    await asyncio.gather(*(stage.clients.create(stage.seats[n % 2]) for n in range(_JOBS)))
    tries = stage.receiver.tries_of_job
    if not await stage.until(lambda: len(tries) == _JOBS):
        raise RuntimeError(f"{len(tries)} callbacks of {_JOBS} came")
    await stage.fault("SIGSTOP")
    await first.signal(signal.SIGSTOP)
    second = await stage.start({"clock": str(clock)}, address=own_address())
    if not await stage.until(lambda: len(stage.receiver.delivered) == _JOBS):
        raise RuntimeError(f"{len(stage.receiver.delivered)} callbacks of {_JOBS} were taken over")
    await first.signal(signal.SIGCONT)
    # Now the first server hears that its tries failed. Were it heard in turn, a third try would come after a second.
    stage.receiver.answering.set()
    await asyncio.sleep(3)
    await stage.ledgers.killer.noted("killed", pid=await first.pid)
    await first.kill()
    stage.server = second


def _lengths(scene: Scene) -> list[float]:
    """
    Return how many seconds each stop lasts: mostly some; now and then, as once in the quick run, longer than Discord waits for a
    heartbeat, than a job may take here, and than a caller waits for an answer.
    """
    rng = scene.rng("stops")
    amount = scene.amount(10, 100)
    longest = (45.0, 60.0) if amount <= 10 else (60.0, 120.0)
    return [rng.uniform(*(longest if number % 10 == 4 else (1.0, 4.0))) for number in range(amount)]


async def _stop_under_load(stage: Stage, lengths: Sequence[float], rng: Random) -> None:
    await stage.open()
    async with callers_at_work(stage, stage.seats, _CALLERS, rng):
        for number, seconds in enumerate(lengths):
            await stage.more_acknowledged(5)
            assert stage.server is not None
            await stage.stand_still(seconds, number=number)
