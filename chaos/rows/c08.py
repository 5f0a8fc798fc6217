"""
C8: everything that Discord can do wrong, each many times, and the contract's answer each time.

Each kind of fault strikes as many new accounts at once as the row asks for, so that what one account learns of a fault changes nothing for
the next kind.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from chaos.clients import Seat
from chaos.judge import UNKNOWN
from chaos.outcome import Outcome, Scene
from chaos.stage import Stage, World

_PRESS = {"method": "POST", "route": "/interactions"}
_AT_ONCE = 20


@dataclass(frozen=True)
class Trouble:
    """A fault at Discord, and what the contract makes of it."""

    name: str
    where: str
    do: dict[str, Any]
    #: Statuses that the POST may have.
    answers: tuple[int, ...]
    #: How the job may end, when there is one.
    endings: tuple[str, ...] = ("completed",)
    #: What its `error` begins with, when it failed.
    error: str = ""
    match: dict[str, str] = field(default_factory=dict)
    times: int | None = 1
    #: Presses of which nobody can know.
    unknown: int = 0
    #: Whether the server's address is in trouble too, so that one account at a time is all one can ask of it.
    alone: bool = False


_STATUS = "Discord /interactions failed with HTTP status "
TROUBLES = (
    Trouble("429", "rest", {"kind": "rate_limit", "retry_after": 0.3}, (429,), match=_PRESS),
    Trouble("429 global", "rest", {"kind": "rate_limit", "scope": "global", "retry_after": 0.3}, (429,), match=_PRESS),
    Trouble("429 bare", "rest", {"kind": "rate_limit", "bare": True, "retry_after": 0.3}, (429,), match=_PRESS),
    Trouble(
        "429 of Cloudflare", "rest", {"kind": "rate_limit", "scope": "cloudflare", "bare": True, "retry_after": 0.3},
        (429,), match=_PRESS, alone=True,
    ),
    Trouble("429 although it ran", "rest", {"kind": "fail", "status": 429, "when": "after"}, (429, 200), match=_PRESS),
    Trouble("401", "rest", {"kind": "unauthorized"}, (502,), ("failed",), _STATUS + "401", match=_PRESS),
    Trouble("403", "rest", {"kind": "blocked"}, (502,), ("failed",), _STATUS + "403", match=_PRESS),
    Trouble("captcha", "rest", {"kind": "captcha"}, (502,), ("failed",), _STATUS + "400", match=_PRESS),
    Trouble("500 before", "rest", {"kind": "fail"}, (502,), ("failed",), _STATUS + "500", match=_PRESS),
    Trouble("500 after", "rest", {"kind": "fail", "when": "after"}, (200,), match=_PRESS),
    Trouble("HTML before", "rest", {"kind": "fail", "status": 502, "body": "html"}, (502,), ("failed",), _STATUS + "502", match=_PRESS),
    Trouble("HTML after", "rest", {"kind": "fail", "status": 502, "body": "html", "when": "after"}, (200,), match=_PRESS),
    Trouble("cut after it ran", "rest", {"kind": "drop_connection", "when": "after"}, (200,), match=_PRESS),
    Trouble("cut before", "rest", {"kind": "drop_connection", "when": "before"}, (200,), ("failed",), UNKNOWN, match=_PRESS, unknown=1),
    Trouble("events first", "rest", {"kind": "slow", "seconds": 0.4, "when": "after"}, (200,), match=_PRESS),
    Trouble("events twice", "gateway", {"kind": "duplicate"}, (200,), times=None),
    Trouble("events reordered", "gateway", {"kind": "reorder", "seconds": 0.3}, (200,), times=None),
    Trouble("events late", "gateway", {"kind": "delay", "seconds": 0.3}, (200,), times=None, match={"event": "INTERACTION_*"}),
    Trouble("silence", "app", {"kind": "silence"}, (200, 502), ("failed",)),
)  # fmt: skip


async def run(scene: Scene, outcome: Outcome) -> None:
    async with World.open(scene.folder, scene.seed) as world:
        for trouble in TROUBLES:
            left = scene.amount(20, 500)
            while left > 0:
                at_once = min(left, 1 if trouble.alone else _AT_ONCE)
                left -= at_once
                async with world.stage(scene.seed, seats=at_once, plan=scene.plan) as stage:
                    await _strike(stage, trouble, outcome)
        outcome.table.append(f"{len(TROUBLES)} kinds of faults: {', '.join(t.name for t in TROUBLES)}")
        broken = await world.upstream.ask("GET", "/violations")
        outcome.require(broken["total"] == 0, f"rules of Discord were broken: {broken['by_kind']}")


async def _strike(stage: Stage, trouble: Trouble, outcome: Outcome) -> None:
    """Let the fault strike each account's next press, and see what callers are told."""
    await stage.upstream.configure(behaviour="respond", speed=0.05)
    await stage.open()
    for seat in stage.seats:
        # A first job, so that the fault meets a session that lives and a command that is known.
        await stage.clients.create(seat)
    await stage.until(lambda: all(job in stage.receiver.delivered for job in stage.clients.jobs))
    for seat in stage.seats:
        await stage.fault(trouble.name, unknown=trouble.unknown)
        await stage.upstream.arm(
            trouble.where, match=_narrowed(trouble, seat), times=trouble.times, **trouble.do
        )
    answers = await asyncio.gather(*(stage.clients.create(seat) for seat in stage.seats))
    await stage.until(lambda: all(job in stage.receiver.delivered for job in stage.clients.jobs))
    await stage.upstream.disarm()
    await stage.settle(probe=False)
    for status, body in answers:
        problem = _judge(trouble, status, stage.clients.jobs.get(body.get("jobid", ""), body))
        outcome.require(problem is None, f"{trouble.name}: {problem}  [{stage.folder.name}]")
    outcome.numbers["faults"] += len(answers)
    outcome.take(stage.verdict(), f"{trouble.name}: ")


def _narrowed(trouble: Trouble, seat: Seat) -> dict[str, str]:
    # An application's fault does not know the user; it strikes as often as there are accounts.
    return trouble.match if trouble.where == "app" else {**trouble.match, "user_id": seat.user_id}


def _judge(trouble: Trouble, status: int | None, body: dict[str, Any]) -> str | None:
    """Return what is wrong with what the caller was told; None when nothing is."""
    if status not in trouble.answers:
        return f"answered {status}, not {trouble.answers}: {body}"
    if status == 429:
        details = body.get("errorDetails")
        if body.get("error") != _STATUS + "429" or not isinstance(details, str) or "executingJobs" in body:
            return f"is no 429 of the contract: {body}"
        if "Cloudflare" not in trouble.name:
            json.loads(details)
        return None
    if body.get("status") not in trouble.endings:
        return f"ended as {body.get('status')}: {body.get('error')}"
    if not str(body.get("error", "")).startswith(trouble.error):
        return f"says {body.get('error')!r}, not {trouble.error!r}"
    return None
