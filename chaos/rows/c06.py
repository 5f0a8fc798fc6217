"""
C6: the disk is full, takes no write, fails, or is slow; and then it is well again.

The data folder is a file system of its own, small, in memory. *Full* is a file that takes all its room. The others are played
by `strace`, which makes the server's own calls on files fail, or take their time; the sockets have other calls.

While it lasts, new work is refused within two seconds and in the contract's form, what is stored can still be read, and the
server says that it is not ready. Afterwards it goes on by itself, and the ledgers are judged as always: nothing is lost.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

from chaos.meanwhile import callers_at_work
from chaos.outcome import Outcome, Scene
from chaos.processes import PATIENCE
from chaos.stage import Stage, World

_ROOM = "64m"
_CALLERS = 3
#: New work is refused within so many seconds.
_REFUSED_WITHIN = 2.0
#: Reads take no longer than that.
_READ_WITHIN = 2.0
_UNREADY_WITHIN = 10.0
_RECOVERS_WITHIN = 15.0
#: Acknowledged jobs for each fault, or nothing is at stake.
_FLOOR = 3

#: Calls of SQLite and of uploads; the event loop's sockets are written to by others.
_WRITES = "pwrite64,fsync,fdatasync,ftruncate"
_INJECTIONS = {
    "read-only": f"{_WRITES}:error=EROFS",
    "EIO": f"{_WRITES}:error=EIO",
    "slow sync": "fsync,fdatasync:delay_enter=5000000",
}
KINDS = ("full", *_INJECTIONS)


async def run(scene: Scene, outcome: Outcome) -> None:
    async with World.open(scene.folder, scene.seed) as world:
        await world.upstream.configure(behaviour="respond")
        for kind in KINDS:
            # Two jobs of a seat may run beside those of its callers, for the row's own questions.
            async with world.stage(
                scene.seed, kind.replace(" ", "-"), seats=2, max_jobs=6, plan=scene.plan,
                settings={"least_free_mib": "4"},
            ) as stage:  # fmt: skip
                with _disk(stage.folder / "data"):
                    try:
                        await _play(stage, kind, scene, outcome)
                        await stage.settle()
                        outcome.take(stage.verdict(), f"{kind}: ")
                    finally:
                        await stage.close()


async def _play(stage: Stage, kind: str, scene: Scene, outcome: Outcome) -> None:
    await stage.open()
    status, known = await stage.clients.create(stage.seats[0])
    if status != 200:
        raise RuntimeError(f"no job to read: {status} {known}")
    async with callers_at_work(stage, stage.seats, _CALLERS, scene.rng("callers", kind)):
        for number in range(scene.amount(5, 50)):
            await _suffer(stage, kind, f"{kind} {number}", known["jobid"], outcome)
            outcome.numbers[kind] += 1


async def _suffer(stage: Stage, kind: str, context: str, known: str, outcome: Outcome) -> None:
    """Let the disk be ill once, and see what the server makes of it."""
    assert stage.server is not None
    outcome.require(await stage.more_acknowledged(_FLOOR), f"{context}: nothing is at stake")
    await stage.fault(kind)
    async with _fault(kind, stage.folder / "data", await stage.server.pid):
        reading = asyncio.create_task(_read(stage, known, context, outcome))
        outcome.require(
            await _is_refused(stage, context, outcome), f"{context}: new work was not refused in time"
        )
        outcome.require(
            await _becomes(stage, 503, _UNREADY_WITHIN), f"{context}: still says that it is ready"
        )
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    outcome.require(await _becomes(stage, 200, _RECOVERS_WITHIN), f"{context}: not ready again")


async def _is_refused(stage: Stage, context: str, outcome: Outcome) -> bool:
    """Ask for jobs until one is refused; say whether that happened, and was as it has to be."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        began = time.monotonic()
        status, body = await stage.clients.create(stage.seats[0])
        seconds = time.monotonic() - began
        if status == 503:
            outcome.require(
                body == {"error": "Service Unavailable", "code": 503}, f"{context}: the refusal is {body}"
            )
            return seconds < _REFUSED_WITHIN
        outcome.require(status in {200, 429}, f"{context}: {status} {body}")
        await asyncio.sleep(0.02)
    return False


async def _read(stage: Stage, job: str, context: str, outcome: Outcome) -> None:
    """Read a stored job over and over."""
    while True:
        began = time.monotonic()
        body = await stage.clients.look(job)
        seconds = time.monotonic() - began
        outcome.require(body is not None and body.get("jobid") == job, f"{context}: cannot be read: {body}")
        outcome.require(seconds < _READ_WITHIN, f"{context}: reading took {seconds:.1f} s")
        outcome.numbers["reads meanwhile"] += 1
        await asyncio.sleep(0.1)


async def _becomes(stage: Stage, code: int, within: float) -> bool:
    """Wait until `/readyz` answers with a code."""
    limit = time.monotonic() + within
    while time.monotonic() < limit:
        if await stage.clients.readiness() == code:
            return True
        await asyncio.sleep(0.1)
    return False


# The disk


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Make the folder a small file system of its own. Takes root."""
    folder.mkdir(mode=0o700, parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_ROOM},mode=700", "tmpfs", str(folder)], check=True, timeout=60
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=60)


def _fault(kind: str, disk: Path, pid: int) -> AbstractAsyncContextManager[None]:
    return _full(disk) if kind == "full" else _injected(pid, _INJECTIONS[kind])


@asynccontextmanager
async def _full(disk: Path) -> AsyncIterator[None]:
    filler = disk / "filler"
    await asyncio.to_thread(_fill, filler)
    try:
        yield
    finally:
        filler.unlink()


def _fill(filler: Path) -> None:
    """Take all the room that there is, to the last page."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(64 * 1024))
        except OSError:
            file.flush()


@asynccontextmanager
async def _injected(pid: int, what: str) -> AsyncIterator[None]:
    """Have calls of all the process's threads fail, or wait, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        "strace", "-f", "-p", str(pid), "-o", os.devnull, "-e", f"trace={_WRITES}", "-e", f"inject={what}",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        said = await asyncio.wait_for(process.stderr.readline(), PATIENCE)
        if b"attached" not in said:
            raise RuntimeError(f"strace: {said.decode()}")
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()
