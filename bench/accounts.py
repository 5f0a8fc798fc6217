"""
Thousands of accounts on one worker: what each takes of its memory, how soon they are back after a restart, and how late its event
loop is while all of them hear a thousand dispatches a second.

The worker, an API node, PostgreSQL, the local Discord with its crowd and the callers share this machine. How late the loop is
is felt inside the worker (`chaos.pulse`), which tells apart what the machine had to do with it.
"""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.pulse import EVERY_SECONDS, FLUSH_SECONDS, stalls

from bench.load import Client, at_rate, run
from bench.nodes import Database, api_node, create, set_up, worker
from bench.processes import Local, Relay, beside, cpu_seconds, pss_kib, unshared_kib
from bench.report import Figure, percentile
from tests.postgres import PostgresServer

FEW = 40
MANY = 2000
#: Accounts in one guild, all of which hear what is said there.
_NEIGHBOURS = 20
_EVENTS_A_SECOND = 1000
_JOBS_A_SECOND = 8
#: Between being told to talk and what is measured.
_WARM_SECONDS = 5.0
#: How long it may take until all sessions are there.
_PATIENCE_SECONDS = 600.0
_LAG_AIM_MS = 50.0


@dataclass(frozen=True)
class Stage:
    """What runs beside the worker."""

    folder: Path
    local: Local
    #: The local Discord's process.
    local_pid: int
    database: Database
    api: Relay
    postgres: PostgresServer


@dataclass(frozen=True)
class Start:
    """A worker's start with sessions to resume: seconds until all were live again, and how many of them were new ones."""

    seconds: float
    identified: int
    worst_lag: float


def measure(folder: Path, postgres: PostgresServer, *, quick: bool) -> list[Figure]:
    """Return the figures; with `quick`, of fewer seconds under load."""
    folder.mkdir()
    seconds = 20.0 if quick else 60.0
    database = Database.at(postgres.new_database())
    with beside("crowd", folder) as ready:
        local = Local(ready["url"], ready["api"])
        with api_node(folder, local, database) as api:
            stage = Stage(folder, local, ready["pid"], database, api, postgres)
            users = _users(local, FEW)
            with _working(stage, "first", 0):
                _configure(stage, users)
            with _working(stage, "few", FEW) as (pid, _):
                few = _settled(pid)
            users += _users(local, MANY - FEW)
            with _working(stage, "more", FEW):
                identifying = _configure(stage, users[FEW:])
            with _working(stage, "restarted", MANY) as (pid, resumed):
                os.kill(pid, signal.SIGKILL)
            with _working(stage, "killed", MANY) as (pid, after_kill):
                many, unshared = _settled(pid), unshared_kib(pid)
                heard = _under_load(stage, pid, users, seconds)
            if local.violations():
                raise RuntimeError(f"{local.violations()} violations of Discord's rules")
    each = (many - few) / (MANY - FEW)
    figures = [
        Figure(
            name=f"memory, each of {MANY:,} accounts", value=each, unit="KiB", compared_to=f"a worker with {FEW}",
            reference=few, samples=1, note=f"PSS {many / 1024:.0f} MiB in all, USS {unshared / 1024:.0f}",
        )
    ]  # fmt: skip
    figures += [
        Figure(
            name=f"{MANY:,} accounts back after {what}", value=its.seconds, unit="s",
            compared_to="set up anew and identified", reference=identifying, samples=1,
            note=f"{its.identified} identified, the others resumed; loop late by {its.worst_lag * 1000:.0f} ms at most",
        )
        for what, its in (("a restart", resumed), ("a kill", after_kill))
    ]  # fmt: skip
    return [*figures, *heard]


# Accounts


def _users(local: Local, count: int) -> list[tuple[str, str]]:
    """Make users, who share guilds with their neighbours. Returns their tokens and channels."""
    made = [local.post("/users", {}) for _ in range(count)]
    for start in range(0, count, _NEIGHBOURS):
        members = [user["id"] for user in made[start : start + _NEIGHBOURS]]
        local.post("/guilds", {"name": f"guild {members[0]}", "members": members})
    return [(user["token"], user["dm_channels"]["Pika"]) for user in made]


def _configure(stage: Stage, users: Sequence[tuple[str, str]]) -> float:
    """Set up these accounts, and return the seconds until all of them have a session."""
    before, began = _crowd(stage.local), time.monotonic()
    run(_set_up(stage.api, users))
    _wait_for(stage.local, before, len(users))
    return time.monotonic() - began


async def _set_up(api: Relay, users: Sequence[tuple[str, str]]) -> None:
    client, left = Client(api.port), iter(users)

    async def some() -> None:
        for token, channel in left:
            answer = await client.send(set_up(api, token, channel))
            if answer.status not in {200, 201, 204}:
                raise RuntimeError(f"HTTP status {answer.status}: {answer.body!r}")

    await asyncio.gather(*(some() for _ in range(4)))
    client.close()


def _crowd(local: Local) -> dict[str, Any]:
    return dict(local.get("/apps/Crowd/settings"))


def _wait_for(local: Local, before: dict[str, Any], sessions: int) -> None:
    """Return when so many sessions have begun, or were resumed, since `before`."""
    wanted = before["identified"] + before["resumed"] + sessions
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while (now := _crowd(local))["identified"] + now["resumed"] < wanted:
        if time.monotonic() > give_up:
            raise RuntimeError(f"{now['connected']} sessions are connected")
        time.sleep(0.1)


# The worker


@contextmanager
def _working(stage: Stage, name: str, sessions: int) -> Iterator[tuple[int, Start]]:
    """Start a worker, and wait until it has gone on with so many sessions."""
    before, began = _crowd(stage.local), time.monotonic()
    pulse = stage.folder / f"{name}.pulse"
    with worker(stage.folder, stage.local, stage.database, name, pulse) as pid:
        _wait_for(stage.local, before, sessions)
        took = time.monotonic() - began
        time.sleep(2 * FLUSH_SECONDS)
        late = max((line["late"] for line in stalls(pulse)), default=0.0)
        yield pid, Start(took, _crowd(stage.local)["identified"] - before["identified"], late)


def _settled(pid: int) -> int:
    """Return the worker's memory in KiB, once that grows no more."""
    last = 0
    for _ in range(30):
        time.sleep(2)
        before, last = last, pss_kib(pid)
        if last <= before * 1.002:
            break
    return last


# Under load


def _under_load(stage: Stage, pid: int, users: Sequence[tuple[str, str]], seconds: float) -> list[Figure]:
    """Let all sessions hear the crowd, and some of them jobs of their own. Returns how late the worker's loop was meanwhile."""
    local, pulse = stage.local, stage.folder / "killed.pulse"
    local.post("/apps/Pika/settings", {"speed": 2.0, "behaviour": "plain", "video": "stamped"})
    local.post("/apps/Crowd/settings", {"rate": _EVENTS_A_SECOND})
    time.sleep(_WARM_SECONDS)
    parts = {
        "worker": pid,
        "local Discord": stage.local_pid,
        "API node": stage.api.pid,
        "PostgreSQL": stage.postgres.pid,
    }
    used = {name: cpu_seconds(part) for name, part in parts.items()}
    heard, began = _crowd(local), time.monotonic_ns()
    answers = run(_jobs(stage.api, users, seconds))
    ended, now = time.monotonic_ns(), _crowd(local)
    took = (ended - began) / 1e9
    used = {name: (cpu_seconds(part) - used[name]) / took for name, part in parts.items()}
    local.post("/apps/Crowd/settings", {"rate": 0})
    time.sleep(2 * FLUSH_SECONDS)
    lines = [line for line in stalls(pulse) if began < line["at"] < ended]
    felt, own = (lags([line[kind] for line in lines], took) for kind in ("late", "stalled"))
    rate = (now["left"] - heard["left"]) / took
    cores = ", ".join(f"{name} {share:.2f}" for name, share in used.items())
    waiting = now["pushed"] - now["left"] - (heard["pushed"] - heard["left"])
    load = f"{rate:.0f} dispatches/s left, {max(0, waiting)} waited; cores: {cores}"
    return [
        Figure(
            name=f"event loop late, {MANY:,} accounts, p{percent}", value=percentile(felt, percent) * 1000, unit="ms",
            compared_to="of that its own doing", reference=max(percentile(own, percent) * 1000, 0.001),
            aim=_LAG_AIM_MS if percent == 99 else None, samples=len(felt), note=note,
        )
        for percent, note in ((50, load), (99, f"POST p50 {percentile(answers, 50):.0f} ms, p99 {percentile(answers, 99):.0f} ms"), (100, ""))
    ]  # fmt: skip


def lags(late: Sequence[float], seconds: float) -> list[float]:
    """
    Return how long each moment of that time waited for the loop, a moment every five milliseconds.

    Whatever came while the loop stood still waited too, each for what was left.
    """
    waited = [each - n * EVERY_SECONDS for each in late for n in range(int(each / EVERY_SECONDS) + 1)]
    return waited + [0.0] * max(0, round(seconds / EVERY_SECONDS) - len(waited))


async def _jobs(api: Relay, users: Sequence[tuple[str, str]], seconds: float) -> list[float]:
    """Create jobs at an even pace, on one account after another. Returns how many milliseconds each POST took."""
    client, places = Client(api.port), itertools.cycle(users)

    async def one(n: int) -> float:
        answer = await client.send(create(api, n, next(places)))
        if answer.status != 200:
            raise RuntimeError(f"HTTP status {answer.status}: {answer.body!r}")
        return (answer.received_ns - answer.sent_ns) / 1e6

    try:
        return await at_rate(_JOBS_A_SECOND, round(seconds * _JOBS_A_SECOND), one)
    finally:
        client.close()
