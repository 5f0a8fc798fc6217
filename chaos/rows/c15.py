"""
C15: requests that the served document allows, and ones that it does not, made up by Schemathesis until time is up.

Every operation is played, those beside the frozen contract too. An answer is judged by the document, in the process that asks; that
process also writes down the status of each, so that it is not the server that says how many there were. The log is read at the end.
"""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from chaos.outcome import Outcome, Scene
from chaos.processes import clean_environment
from chaos.stage import Stage, World
from tests.acceptance.fuzz_checks import CHECKS

_QUICK_SECONDS, _FULL_SECONDS = 75, 3600
#: Requests at least, and paths that must be among them.
_QUICK_REQUESTS, _FULL_REQUESTS = 500, 50_000
_PATHS = ("/v1/pika/create", "/v1/pika/button", "/v1/pika/jobs", "/v2/account", "/v1/pikarelay/callbacks")
#: One, for what makes the requests up is not safe with several threads: at times it stumbles over itself.
_PARALLEL = 1


async def run(scene: Scene, outcome: Outcome) -> None:
    seconds = scene.amount(_QUICK_SECONDS, _FULL_SECONDS)
    settings = {
        "discord_answer_wait_seconds": "1",
        "log_level": "info",
        # Each operation is asked without a token too, again and again, and has to say 401.
        "http_unauthorized_per_minute": "0",
    }
    async with (
        World.open(scene.folder, scene.seed) as world,
        world.stage(scene.seed, seats=2, settings=settings, plan=scene.plan) as stage,
    ):
        await stage.open()
        statuses = await _play(stage, scene, seconds, outcome)
        _judge_log(stage.folder / "pikarelay.log", outcome)
    total = sum(statuses.values())
    outcome.numbers["requests"] += total
    outcome.table.append(", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items())))
    needed = scene.amount(_QUICK_REQUESTS, _FULL_REQUESTS)
    outcome.require(total >= needed, f"{total:,} requests, {needed:,} needed")
    outcome.require(statuses[500] == 0, f"{statuses[500]} answers of 500")


async def _play(stage: Stage, scene: Scene, seconds: int, outcome: Outcome) -> Counter[int]:
    """Let Schemathesis ask for so long; return how often each status was answered."""
    status, parent = await stage.clients.create(stage.seats[0])
    if status != 200:
        raise RuntimeError(f"the first job was answered with {status}: {parent}")
    await stage.until(lambda: parent["jobid"] in stage.receiver.delivered)
    own, other = stage.seats
    url = stage.clients.base_url
    ledger = stage.folder / "requests.jsonl"
    world = {
        "document": f"{url}/openapi.json",
        "discord": own.token,
        "channel": own.channel,
        "other_discord": other.token,
        "other_channel": other.channel,
        "jobid": parent["jobid"],
        "reply_url": stage.clients.next_url(),
    }
    report = stage.folder / "schemathesis.log"
    with report.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).parent / "st"), "run", f"{url}/openapi.json"),
            *("--header", f"Authorization: Bearer {stage.clients.api_token}"),
            *("--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
            *("--max-examples", "1000000" if scene.full else "1000", "--workers", str(_PARALLEL)),
            *("--max-time", str(seconds), "--checks", ",".join(CHECKS), "--request-timeout", "30"),
            *("--generation-database", "none", "--no-color", "--seed", str(scene.seed)),
            *("--include-path-regex", r"^/v[12]/"),
            cwd=stage.folder,
            env={
                **clean_environment(stage.world.sources),
                "SCHEMATHESIS_HOOKS": "chaos.fuzz_hooks",
                "FUZZ_LEDGER": str(ledger),
                "FUZZ_WORLD": json.dumps(world),
            },
            stdout=written,
            stderr=written,
        )
        try:
            ended = await asyncio.wait_for(process.wait(), seconds + 300)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    outcome.folders.append(stage.folder)
    tail = report.read_text(errors="replace")[-1500:]
    outcome.require(ended == 0, f"Schemathesis ended with {ended}: {tail}")
    return _statuses(ledger, outcome)


def _statuses(ledger: Path, outcome: Outcome) -> Counter[int]:
    entries: list[dict[str, Any]] = [json.loads(line) for line in ledger.read_text().splitlines()]
    asked = {entry["path"] for entry in entries}
    for path in _PATHS:
        outcome.require(any(its.startswith(path) for its in asked), f"nothing was asked of {path}")
    return Counter(entry["status"] for entry in entries)


def _judge_log(log: Path, outcome: Outcome) -> None:
    """Demand that the server logged no traceback and no failed request."""
    lines = log.read_text(errors="replace").splitlines()
    for sign in ("Traceback", "request.failed", "worker.round_failed"):
        found = [line for line in lines if sign in line]
        outcome.require(not found, f"{len(found)} lines of the log with {sign}: {found[:1]}")
    outcome.table.append(f"{len(lines):,} lines of log, {log.stat().st_size:,} bytes")
