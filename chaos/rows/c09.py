"""
C9: the event stream breaks under load: cuts, refused resumes, gaps, forgotten replays, no connection at all for seconds.

A session that was broken is left alone until it has lived for a while. One that is broken again and again as soon as it is there
stays away longer each time, as Discord wants it, and in the end presses wait for it no more. For the same reason connections are
refused, which meets whoever makes one, when all sessions are there.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random

from chaos.clients import Seat
from chaos.meanwhile import callers_at_work
from chaos.outcome import Outcome, Scene
from chaos.stage import Stage, World

_CALLERS = 10
_CHANNELS = 20
#: From one break of a session to the next. A connection that lives for ten seconds was a good one.
_REST_SECONDS = 14.0
#: As by default. Breaks come faster than sessions, which stay away longer after each, and nothing may fail for that.
_PATIENT = {"discord_first_message_seconds": "120", "discord_job_seconds": "1800"}
#: Jobs that must have been acknowledged for each break, on average.
_JOBS_PER_BREAK = 5


async def _cut(stage: Stage, seat: Seat) -> None:
    await stage.upstream.ask("POST", f"/sessions/{seat.user_id}/cut")


async def _reconnect(stage: Stage, seat: Seat) -> None:
    await stage.upstream.ask("POST", f"/sessions/{seat.user_id}/op7")


async def _invalid(stage: Stage, seat: Seat) -> None:
    await stage.upstream.ask("POST", f"/sessions/{seat.user_id}/op9", {"resumable": False})


async def _invalid_resumable(stage: Stage, seat: Seat) -> None:
    await stage.upstream.ask("POST", f"/sessions/{seat.user_id}/op9", {"resumable": True})


async def _close(stage: Stage, seat: Seat) -> None:
    await stage.upstream.ask("POST", f"/sessions/{seat.user_id}/close", {"code": 4000})


async def _time_out(stage: Stage, seat: Seat) -> None:
    await stage.upstream.ask("POST", f"/sessions/{seat.user_id}/close", {"code": 4009})


async def _gap(stage: Stage, seat: Seat) -> None:
    await stage.upstream.arm(
        "gateway", "lose", gap=True, match={"user_id": seat.user_id, "event": "MESSAGE_*"}
    )


async def _loss(stage: Stage, seat: Seat) -> None:
    await stage.upstream.arm("gateway", "lose", match={"user_id": seat.user_id, "event": "MESSAGE_*"})


async def _forgotten(stage: Stage, seat: Seat) -> None:
    await stage.upstream.arm("gateway", "shrink_replay", size=0, match={"user_id": seat.user_id})
    await _cut(stage, seat)


async def _refused(stage: Stage, seat: Seat) -> None:
    await stage.upstream.arm("gateway", "refuse", seconds=3.0, times=None)
    await _cut(stage, seat)
    await asyncio.sleep(3.0)


BREAKS: dict[str, Callable[[Stage, Seat], Awaitable[None]]] = {
    "cut": _cut,
    "op 7": _reconnect,
    "op 9": _invalid,
    "op 9, resumable": _invalid_resumable,
    "close 4000": _close,
    "close 4009": _time_out,
    "gap": _gap,
    "lost event": _loss,
    "replay forgotten": _forgotten,
    "refused for 3 s": _refused,
}


async def run(scene: Scene, outcome: Outcome) -> None:
    breaks = scene.amount(50, 1000)
    async with (
        World.open(scene.folder, scene.seed) as world,
        world.stage(scene.seed, seats=_CHANNELS, plan=scene.plan, settings=_PATIENT) as stage,
    ):
        await world.upstream.configure(behaviour="random", weights={"plain": 2, "respond": 2, "reply": 1})
        await stage.open()
        await _break_under_load(stage, breaks, scene.rng("breaks"), outcome)
        await world.upstream.disarm()
        await stage.settle()
        outcome.take(stage.verdict())
        broken = await world.upstream.ask("GET", "/violations")
    outcome.require(broken["total"] == 0, f"rules of Discord were broken: {broken['by_kind']}")
    enough = _JOBS_PER_BREAK * breaks
    outcome.require(
        outcome.numbers["acknowledged"] >= enough,
        f"{outcome.numbers['acknowledged']} jobs acknowledged, {enough} needed",
    )
    failed = outcome.numbers["failed"]
    outcome.require(failed == 0, f"{failed} jobs failed although Discord did all that it was asked")


async def _break_under_load(stage: Stage, breaks: int, rng: Random, outcome: Outcome) -> None:
    names = list(BREAKS)
    counted = dict.fromkeys(names, 0)
    broken: dict[str, float] = {}
    async with callers_at_work(stage, stage.seats, _CALLERS, rng):
        for number in range(breaks):
            name = names[number % len(names)]
            counted[name] += 1
            await stage.more_acknowledged(_JOBS_PER_BREAK)
            seat = await _rested(stage, broken, rng, with_all_there=BREAKS[name] is _refused)
            await stage.fault(name)
            await BREAKS[name](stage, seat)
            broken[seat.user_id] = time.monotonic()
    outcome.table.append(", ".join(f"{count} x {name}" for name, count in counted.items()))


async def _rested(stage: Stage, broken: dict[str, float], rng: Random, *, with_all_there: bool) -> Seat:
    """Wait for an account whose session was left alone long enough and is there, and draw one of those."""
    everyone = {seat.user_id for seat in stage.seats}
    while True:
        sessions = (await stage.upstream.ask("GET", "/state"))["sessions"]
        there = {session["user_id"] for session in sessions if session["connected"]}
        long_ago = time.monotonic() - _REST_SECONDS
        rested = [s for s in stage.seats if s.user_id in there and broken.get(s.user_id, 0) <= long_ago]
        if rested and (everyone <= there or not with_all_there):
            return rng.choice(rested)
        await asyncio.sleep(0.2)
