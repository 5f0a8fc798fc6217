"""
C4: servers are told to end, and others take their place, under load.

Two ways by turns. *Rolling*: the next server serves already when the last is told to end; the callers go over to it when `/readyz`
of the old one says so, as a proxy does that looks four times a second. *In place*: the next one starts when the last is gone, and
callers find nobody meanwhile, which they are told by a refused connection and in no other way.

Every server ends within 25 seconds with status 0. No request that was accepted fails: each has an answer, and none is a 5xx.
"""

import asyncio
import signal
import time
from collections import Counter
from random import Random

import aiohttp

from chaos.judge import History, Violation
from chaos.meanwhile import callers_at_work
from chaos.outcome import Outcome, Scene
from chaos.processes import Server, own_address
from chaos.stage import Stage, World

ENDS_WITHIN_SECONDS = 25.0
_CALLERS = 12
_LOOK_SECONDS = 0.25
#: Answers between two ends at least, so that each ends in the middle of work.
_ANSWERS = 5
#: How much longer is waited for a server that does not end, to know that it does not.
_OVERTIME_SECONDS = 20.0
_JOBS_PER_END = 5


async def run(scene: Scene, outcome: Outcome) -> None:
    ends: list[float] = []
    statuses: Counter[int] = Counter()
    number = scene.amount(20, 500)
    async with (
        World.open(scene.folder, scene.seed, identify_interval=0) as world,
        world.stage(scene.seed, seats=4, plan=scene.plan) as stage,
    ):
        await _end_under_load(stage, number, scene.rng("callers"), ends, statuses)
        await stage.settle()
        verdict = stage.verdict(no_accepted_request_fails)
        outcome.take(verdict)
    ends.sort()
    outcome.numbers["ends"] += len(ends)
    outcome.table.append(
        f"{len(ends)} ends: median {ends[len(ends) // 2]:.1f} s, longest {ends[-1]:.1f} s;"
        f" statuses {dict(statuses)}"
    )
    outcome.require(ends[-1] <= ENDS_WITHIN_SECONDS, f"a server took {ends[-1]:.1f} s to end")
    outcome.require(set(statuses) == {0}, f"servers ended with statuses {dict(statuses)}")
    outcome.require(len(ends) == number, f"{len(ends)} servers ended, {number} were to")
    floor = number * _JOBS_PER_END
    jobs = verdict.numbers["acknowledged"]
    outcome.require(jobs >= floor, f"{jobs} jobs, {floor} needed")


async def _end_under_load(
    stage: Stage, number: int, rng: Random, ends: list[float], statuses: Counter[int]
) -> None:
    await stage.open()
    async with callers_at_work(stage, stage.seats, _CALLERS, rng):
        for turn in range(number):
            await stage.more_acknowledged(_ANSWERS)
            await asyncio.sleep(rng.uniform(0, 0.3))
            seconds, status = await (_roll(stage, turn) if turn % 2 == 0 else _replace(stage, turn))
            ends.append(seconds)
            statuses[status] += 1


async def _roll(stage: Stage, turn: int) -> tuple[float, int]:
    """Let the next server serve before the last one ends; return how long that took, and its exit status."""
    old, url = stage.server, stage.clients.base_url
    assert old is not None
    new = await stage.spawn(address=own_address())
    ready = await new.wait_ready()
    await stage.ledgers.killer.noted("started", pid=await new.pid)
    began = await _tell(stage, old, turn, "rolling")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as proxy:
        while await _is_ready(proxy, url):  # noqa: ASYNC110 -- as a proxy looks
            await asyncio.sleep(_LOOK_SECONDS)
    stage.clients.base_url = ready["url"]
    return await _ended(old, began)


async def _replace(stage: Stage, turn: int) -> tuple[float, int]:
    """Start the next server at the same address when the last one is gone."""
    old, url = stage.server, stage.clients.base_url
    assert old is not None
    host, _, port = url.removeprefix("http://").rpartition(":")
    ended = await _ended(old, await _tell(stage, old, turn, "in place"))
    await stage.start(address=(host, int(port)))
    return ended


async def _tell(stage: Stage, server: Server, turn: int, how: str) -> float:
    await stage.ledgers.killer.noted("told_to_end", pid=await server.pid, turn=turn, how=how)
    await server.signal(signal.SIGTERM)
    return time.monotonic()


async def _ended(server: Server, began: float) -> tuple[float, int]:
    try:
        status = await asyncio.wait_for(asyncio.shield(server.ended), ENDS_WITHIN_SECONDS + _OVERTIME_SECONDS)
    except TimeoutError:
        await server.kill()
        status = -signal.SIGKILL
    return time.monotonic() - began, status


async def _is_ready(proxy: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with proxy.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def no_accepted_request_fails(history: History) -> list[Violation]:
    """Find requests whose connection was accepted, and that had no answer, or a 5xx that is not the job's own."""
    found = []
    for entry in history.client:
        if entry["event"] == "unanswered" and not entry.get("refused", False):
            found.append(Violation("C4", entry["request"], f"accepted, and not answered: {entry['reason']}"))
        elif entry["event"] == "answered" and entry["status"] >= 500 and "jobid" not in entry["body"]:
            found.append(
                Violation("C4", entry["request"], f"answered with {entry['status']}: {entry['body']}")
            )
    return found
