"""
C3: power cuts.

A server works under `strace` for a while: jobs with and without images, their ends, their callbacks. From the record come thousands of disks
as a cut at a random moment may have left them (`chaos.powercut`). Each is opened with the standard library's SQLite: the file must be
whole, every job that a caller had been told of must be in it, with the ending that the caller had seen, if any, and with its image.
"""

import asyncio
import hashlib
import json
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from chaos.judge import TERMINAL
from chaos.outcome import Outcome, Scene
from chaos.pictures import png
from chaos.powercut import STRACE, Disk, cuts, read_trace
from chaos.processes import PATIENCE, Server, clean_environment
from chaos.stage import Stage, World

_JOBS = 120
_CHANNELS = 3
#: Jobs that must have been acknowledged at the moment of a cut, on average.
_JOBS_PER_CUT = 20
_STATUS_OF_FINAL = sorted(TERMINAL)


@dataclass(frozen=True)
class Told:
    """What a caller knew of a job, and since when."""

    job: str
    since: float
    #: The ending that was seen, and when; empty until then.
    ending: str = ""
    ended: float = float("inf")


async def run(scene: Scene, outcome: Outcome) -> None:
    async with World.open(scene.folder, scene.seed, speed=0.1) as world:
        await world.upstream.configure(behaviour="respond")
        async with world.stage(scene.seed, seats=_CHANNELS, max_jobs=10) as stage:
            before = await _prepare(stage)
            record = await _work_under_strace(stage, scene)
            told = list(_told(stage))
    calls = read_trace(record.read_text(encoding="ascii", errors="replace").splitlines())
    amount = scene.amount(1000, 10_000)
    disk = Disk(stage.folder / "data", before)
    images = _images(stage.folder)
    acknowledged = 0
    with tempfile.TemporaryDirectory(dir=_room()) as room:
        for number, (moment, found) in enumerate(cuts(calls, disk, amount, scene.rng("cuts"))):
            known = [each for each in told if each.since <= moment]
            acknowledged += len(known)
            for problem in _inspect(Path(room), found, known, moment, images):
                outcome.violations.append(f"cut {number}, after {len(known)} jobs: {problem}")
    outcome.numbers.update(
        {"cuts": amount, "calls": len(calls), "jobs": len(told), "acknowledged jobs looked for": acknowledged}
    )
    outcome.require(
        acknowledged >= _JOBS_PER_CUT * amount,
        f"{acknowledged} acknowledged jobs for {amount} cuts are too few",
    )
    outcome.folders.append(stage.folder)


async def _prepare(stage: Stage) -> Path:
    """Let a first server make the data folder and stop in good order; return a copy, all of which is on the disk."""
    await stage.open()
    assert stage.server is not None
    await stage.server.signal(15)
    await asyncio.wait_for(asyncio.shield(stage.server.ended), PATIENCE)
    before = stage.folder / "before"
    shutil.copytree(stage.folder / "data", before)
    return before


async def _work_under_strace(stage: Stage, scene: Scene) -> Path:
    """Run a server under strace until it has done its jobs; return the record."""
    record = stage.folder / "strace.txt"
    order = {
        "argv": [
            "serve", "--json", "--until-stdin-closes", "--port", "0", "--discord-api-url", stage.upstream.api,
            "--data-folder", str(stage.folder / "data"),
        ],
        "plan": scene.plan,
    }  # fmt: skip
    environment = clean_environment(stage.world.sources)
    settings = {f"PIKARELAY_{name.upper()}": value for name, value in stage.settings.items()}
    with (stage.folder / "pikarelay.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *STRACE, str(record), sys.executable, "-m", "chaos.child", json.dumps(order),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            env={**environment, **settings},
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        server = Server(stage.folder / "pikarelay.log")
        server.pid.set_result(process.pid)
        server.ready.set_result(json.loads(await process.stdout.readline()))
        try:
            await stage.welcome(server)
            await _work(stage, scene.rng("work"))
        finally:
            process.stdin.close()
            await process.wait()
            server.ended.set_result(0)
            stage.server = server
    return record


async def _work(stage: Stage, rng: Random) -> None:
    """Make jobs from all channels at once, and look at each when it has ended."""

    async def one(number: int) -> None:
        seat = stage.seats[number % _CHANNELS]
        picture = png(rng) if number % 4 == 0 else None
        status, body = await stage.clients.create(seat, picture=picture)
        while status == 429:
            await asyncio.sleep(0.2)
            status, body = await stage.clients.create(seat, picture=picture)
        job = body.get("jobid", "")
        await stage.until(lambda: job in stage.receiver.delivered)
        await stage.clients.look(job, final=True)

    await asyncio.gather(*(one(number) for number in range(_JOBS)))


def _told(stage: Stage) -> Iterator[Told]:
    """Return what callers were told, in seconds of the wall clock, as strace has them."""
    offset = time.time() - time.monotonic()
    since: dict[str, float] = {}
    endings: dict[str, tuple[str, float]] = {}
    for entry in map(json.loads, stage.ledgers.client.path.read_text().splitlines()):
        if entry["event"] == "answered" and entry["status"] == 200:
            since[entry["body"]["jobid"]] = entry["at"] / 1e9 + offset
        elif entry["event"] == "saw" and entry["body"].get("status") in TERMINAL:
            endings.setdefault(entry["job"], (entry["body"]["status"], entry["at"] / 1e9 + offset))
    for job, moment in since.items():
        ending, ended = endings.get(job, ("", float("inf")))
        yield Told(job, moment, ending, ended)


def _images(folder: Path) -> dict[str, str]:
    """Return the digest of each job's picture, by job."""
    requests = {}
    images = {}
    for entry in map(json.loads, (folder / "client.jsonl").read_text().splitlines()):
        if entry["event"] == "asked" and "picture" in entry:
            requests[entry["request"]] = entry["picture"]
        elif entry["event"] == "answered" and entry["status"] == 200 and entry["request"] in requests:
            images[entry["body"]["jobid"]] = requests[entry["request"]]
    return images


def _inspect(
    room: Path, found: dict[str, bytes], known: list[Told], moment: float, images: dict[str, str]
) -> Iterator[str]:
    """Put the disk together and say what is wrong with it."""
    database = room / "pikarelay.sqlite3"
    for name in ("pikarelay.sqlite3", "pikarelay.sqlite3-wal"):
        (room / name).unlink(missing_ok=True)
        if name in found:
            (room / name).write_bytes(found[name])
    (room / "pikarelay.sqlite3-shm").unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(database)) as connection:
            ((word,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
            if word != "ok":
                yield f"the file is corrupt: {word}"
                return
            stored = dict(connection.execute("SELECT job_id, status FROM jobs").fetchall())
            uploads = connection.execute("SELECT job_id, upload_key FROM uploads").fetchall()
    except sqlite3.DatabaseError as error:
        yield f"the file cannot be read: {error}"
        return
    for each in known:
        if each.job not in stored:
            yield f"{each.job} is lost"
        elif each.ended <= moment and each.ending != stored[each.job]:
            yield f"{each.job} was {each.ending} and is {stored[each.job]}"
    acknowledged = {each.job for each in known}
    keys = {job: key for job, key in uploads if job in acknowledged}
    for job in acknowledged & images.keys():
        picture = found.get(f"uploads/{keys.get(job)}")
        if picture is None or hashlib.sha256(picture).hexdigest() != images[job]:
            yield f"the picture of {job} is lost"


def _room() -> str | None:
    """Return where to put disks together: in memory, where there is such a place. What is tested was recorded on a disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
