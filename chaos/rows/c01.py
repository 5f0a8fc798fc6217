"""
C1: SIGKILL at every durable step.

A dry run of each scenario counts its steps (`chaos.points`), by name. Then it is run once for each of them with a server of its own,
which dies at that step; the next server starts without any hook, and the ledgers of the two together are judged.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from chaos.outcome import Outcome, Scene
from chaos.pictures import png
from chaos.processes import DidNotStart, Server
from chaos.stage import Stage, World

#: Servers that act at once; those that wait for something to come to rest do not count.
_AT_ONCE = 3
#: What the bot takes: long enough to cancel a job, and to be killed in the middle of it.
_BOT_SECONDS = 0.3
#: A server that has not come to its step after this long has fewer of that name this time.
_LAST_STEP_SECONDS = 8.0
#: All upkeep has begun this long after a server's start; the first look at how accounts fare comes a second after it.
_UPKEEP_SECONDS = 20.0
#: Steps of the upkeep that begins with a server and goes on beside everything, as every deletion does. Whether another
#: scenario sees them is a matter of moments; the restart, whose steps begin with the server, waits for them all.
_UPKEEP = frozenset(
    f"before {step}"
    for step in (
        "DELETE account_health", "DELETE jobs", "DELETE orphans", "DELETE owed_answers", "DELETE request_keys",
        "INSERT account_health", "UPDATE mirror_copies",
    )
)  # fmt: skip
#: So often the first step of a name is tried for: some depend on which of two things comes first.
_TRIES_FOR_FIRST = 4


async def _create(stage: Stage) -> None:
    """A job, and its callback, which the receiver takes."""
    await stage.clients.create(stage.seats[0])


async def _with_picture(stage: Stage) -> None:
    await stage.clients.create(stage.seats[0], picture=png(Random(stage.folder.name)))


async def _button(stage: Stage) -> None:
    parent = next(iter(stage.clients.jobs.values()))
    await stage.clients.press(stage.seats[0], parent)


async def _cancel(stage: Stage) -> None:
    await stage.clients.create(stage.seats[0])
    for job in list(stage.clients.jobs):
        await stage.clients.cancel(job)


async def _nothing(stage: Stage) -> None:
    """The steps are those of the start: what the last server left is taken up."""


def _fail_once(_callback: str, number: int) -> int | None:
    return 500 if number == 1 else 200


class Step(NamedTuple):
    """A durable step: its name, and which of that name it is; 1 is the first."""

    name: str
    number: int


class Scenario(NamedTuple):
    act: Callable[[Stage], Awaitable[None]]
    #: A finished job is there before the first step.
    has_parent: bool = False
    #: The receiver refuses the first try of every callback.
    fails_once: bool = False
    #: A server was killed in the middle of a job, and the steps begin with the next one's start.
    is_restart: bool = False


SCENARIOS: dict[str, Scenario] = {
    "create": Scenario(_create),
    "create with picture": Scenario(_with_picture),
    "button": Scenario(_button, has_parent=True),
    "cancel": Scenario(_cancel),
    "callback retry": Scenario(_create, fails_once=True),
    "restart": Scenario(_nothing, is_restart=True),
}


async def run(scene: Scene, outcome: Outcome) -> None:
    # What a sabotage breaks shows in the plainest of them.
    scenarios = SCENARIOS if scene.sabotage is None else {"create": SCENARIOS["create"]}
    acting = asyncio.Semaphore(_AT_ONCE)
    async with World.open(scene.folder, scene.seed, speed=_BOT_SECONDS) as world:
        await world.upstream.configure(behaviour="respond")
        steps = {name: await _count(world, scene, name, scenario) for name, scenario in scenarios.items()}
        died = {
            name: await asyncio.gather(
                *(_die_at(world, scene, (name, scenario), step, acting, outcome) for step in steps[name])
            )
            for name, scenario in scenarios.items()
        }
    for name, planned in steps.items():
        _tabulate(outcome, name, planned, died[name])
    if scene.sabotage is None:
        unseen = _UPKEEP - {step.name for step in steps["restart"]}
        outcome.require(not unseen, f"no restart came to {', '.join(sorted(unseen))}")


async def _count(world: World, scene: Scene, name: str, scenario: Scenario) -> list[Step]:
    """Return the steps of a run in which nothing dies."""
    async with world.stage(scene.seed, f"{name.replace(' ', '-')}-dry", plan=scene.plan) as stage:
        await _perform(stage, scenario, at=None)
        await stage.until(lambda: all(job in stage.receiver.delivered for job in stage.clients.jobs))
        points = stage.folder / "points"
        if scenario.is_restart:
            await stage.until(lambda: set(_read(points)) >= _UPKEEP, seconds=_UPKEEP_SECONDS)
        # The last step is the note that the callback was taken; it follows the receiver's answer.
        count = -1
        while count != (count := len(_read(points))):  # noqa: ASYNC110  # another process writes the file
            await asyncio.sleep(0.4)
        counts: Counter[str] = Counter()
        steps = []
        for step in _read(points):
            counts[step] += 1
            steps.append(Step(step, counts[step]))
        return steps


async def _die_at(
    world: World,
    scene: Scene,
    scenario: tuple[str, Scenario],
    step: Step,
    acting: asyncio.Semaphore,
    outcome: Outcome,
) -> bool:
    """Die at one step, start again, and be judged. Returns whether the step was reached."""
    name, acts = scenario
    for number in range(_TRIES_FOR_FIRST if step.number == 1 else 1):
        label = f"{name}, {step.name} {step.number}"
        folder = f"{label}-{number}".replace(", ", "-").replace(" ", "-")
        reached = False
        try:
            async with world.stage(
                scene.rng(folder).randrange(10_000, 100_000), folder, plan=scene.plan
            ) as stage:
                reached = await _live_twice(stage, acts, step, acting)
                await stage.settle(overtime=90 if scene.sabotage is None else 0, probe=False)
                outcome.take(stage.verdict(), f"{label}: ")
        except (DidNotStart, OSError, TimeoutError, RuntimeError) as error:
            outcome.violations.append(f"{label}: {type(error).__name__}: {error}  [{folder}]")
        if reached:
            return True
    return False


async def _live_twice(stage: Stage, scenario: Scenario, step: Step, acting: asyncio.Semaphore) -> bool:
    """Let a server die at a step, and start the next one, which has no hook. Returns whether it came to the step."""
    async with acting:
        server = await _perform(stage, scenario, at=step)
    await asyncio.wait({server.ended}, timeout=_LAST_STEP_SECONDS)
    reached = server.ended.done()
    if reached:
        await stage.died(server, step=step.name, number=step.number)
    else:
        await stage.kill(step="not reached", number=step.number)
    async with acting:
        await stage.start()
    return reached


async def _perform(stage: Stage, scenario: Scenario, *, at: Step | None) -> Server:
    """Come to where the steps begin, and take them; the server that takes them may be dead afterwards."""
    if scenario.fails_once:
        stage.receiver.manner = _fail_once
    begin = stage.folder / "begin"
    kill: dict[str, Any] = {"points": str(stage.folder / "points"), "at": at}
    if scenario.is_restart:
        await stage.open()
        answers = [asyncio.create_task(stage.clients.create(stage.seats[0])) for _ in range(2)]
        await stage.until(lambda: stage.clients.acknowledged > 0)
        await stage.kill(step="before the steps")
        await asyncio.gather(*answers)
        server = await stage.spawn({"kill": kill})
        either: set[asyncio.Future[Any]] = {server.ready, server.ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if server.ready.done():
            await stage.welcome(server)
        return server
    await stage.open({"kill": {**kill, "after": str(begin)}})
    assert stage.server is not None
    if scenario.has_parent:
        await stage.clients.create(stage.seats[0])
        await stage.until(lambda: bool(stage.receiver.delivered))
        for job in list(stage.clients.jobs):
            await stage.clients.look(job)
    begin.touch()
    await scenario.act(stage)
    return stage.server


def _read(points: Path) -> list[str]:
    return points.read_text(encoding="utf-8").splitlines() if points.exists() else []


def _tabulate(outcome: Outcome, name: str, steps: list[Step], reached: list[bool]) -> None:
    """Say how often each kind of step was died at, and object to kinds that never were."""
    happened = Counter(step.name for step, was in zip(steps, reached, strict=True) if was)
    needed = {step.name for step in steps}
    if not SCENARIOS[name].is_restart:
        needed = {step for step in needed - _UPKEEP if not step.startswith("before DELETE")}
    missed = sorted(needed - set(happened))
    outcome.require(not missed, f"{name}: never died {', '.join(missed)}")
    outcome.numbers["steps"] += len(steps)
    outcome.numbers["steps not reached"] += reached.count(False)
    outcome.table.append(f"{name}: {len(steps)} steps, {reached.count(False)} not reached")
    outcome.table.extend(f"    {count:3} x {step}" for step, count in sorted(happened.items()))
