"""
C2: SIGKILL at random times under load.

Twenty callers, five channels, a receiver that fails every fifth time. The server is started again at once; the next kill comes
when twenty jobs or more have been acknowledged since, at a moment that has nothing to do with any of them.

A press that a kill has hit keeps its channel waiting for some time, so most of the row is waiting: its kills are spread over several
such worlds side by side, each with a server, a local Discord, and callers of its own.
"""

import asyncio
from collections.abc import Callable
from random import Random

from chaos.meanwhile import callers_at_work
from chaos.outcome import Outcome, Scene
from chaos.stage import Stage, World, copied_sources

CALLERS = 20
CHANNELS = 5
#: A kill counts only after so many acknowledged jobs.
JOBS_PER_KILL = 20
WORLDS = 4
_FAILS = 0.2


async def run(scene: Scene, outcome: Outcome) -> None:
    kills = scene.amount(100, 1000)
    # What a sabotage breaks shows in one.
    worlds = WORLDS if scene.sabotage is None else 1
    shares = [kills // worlds + (number < kills % worlds) for number in range(worlds)]
    await asyncio.gather(*(_world(scene, number, share, outcome) for number, share in enumerate(shares)))
    outcome.require(
        outcome.numbers["acknowledged"] >= JOBS_PER_KILL * kills,
        f"{outcome.numbers['acknowledged']} jobs acknowledged, {JOBS_PER_KILL * kills} needed",
    )
    known = outcome.numbers["failed"] - outcome.numbers["unknown"]
    outcome.require(known <= 0, f"{known} jobs failed although Discord did all that it was asked")
    outcome.require(outcome.numbers["kills"] == kills, f"{outcome.numbers['kills']} kills of {kills}")


async def _world(scene: Scene, number: int, kills: int, outcome: Outcome) -> None:
    seed = scene.rng("world", number).randrange(10_000, 100_000)
    sources = copied_sources(scene.folder.parent)
    async with (
        World.open(scene.folder / f"world-{number}", seed, sources=sources, identify_interval=0) as world,
        world.stage(seed, seats=CHANNELS, plan=scene.plan) as stage,
    ):
        await world.upstream.configure(
            behaviour="random", weights={"plain": 2, "respond": 2, "edit_in_place": 1, "reply": 1}
        )
        stage.receiver.manner = failing(scene)
        await stage.open()
        await kill_under_load(stage, kills, scene.rng("kills", number))
        await stage.settle(overtime=90 if scene.sabotage is None else 0)
        outcome.take(stage.verdict(), f"world {number}: ")


def failing(scene: Scene) -> Callable[[str, int], int | None]:
    """Return how the receiver fails: by a 500, or by a cut after it has read everything."""

    def manner(callback: str, number: int) -> int | None:
        drawn = scene.rng("receiver", callback, number)
        return drawn.choice([500, None]) if drawn.random() < _FAILS else 200

    return manner


async def kill_under_load(stage: Stage, kills: int, rng: Random) -> None:
    """Keep all callers at work, and kill the server again and again."""
    async with callers_at_work(stage, stage.seats, CALLERS, rng):
        for number in range(kills):
            if not await stage.more_acknowledged(JOBS_PER_KILL):
                raise RuntimeError(f"kill {number}: no {JOBS_PER_KILL} jobs were acknowledged in a minute")
            await asyncio.sleep(rng.random() * 0.2)
            await stage.kill(number=number)
            if number < kills - 1:
                await stage.start()
    await stage.start()
