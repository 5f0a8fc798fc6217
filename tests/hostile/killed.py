"""
Runs a command again and again, each time in a folder of its own, and kills it at another point of its work.

Points are before each SQL statement that writes, a COMMIT among them, and before each thing that is done to a file of the
folder. As nothing that lasts happens between one point and the next, that is also after each of them; the last is the command's end.

    python -m tests.hostile.killed ORDER        in JSON: see `killed`; prints where each run was killed
"""

import os
import shutil
import signal
import sqlite3
import sqlite3.dbapi2
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
_PATIENCE = 200
_TO_FILES = ("os.link", "os.remove", "os.rename", "os.mkdir", "os.truncate")
#: At these, and right after them, a run is killed in any case.
_TURNS = ("COMMIT", "os.link", "os.rename", "end")
#: Statements that are no point: they change nothing by themselves.
_READS = ("SELECT", "BEGIN", "SAVEPOINT", "RELEASE", "PRAGMA")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Reach = Callable[[str], None]


class Order(msgspec.Struct):
    """What is to be run: a command, in copies of a folder. FOLDER in an argument stands for the copy."""

    argv: list[str]
    template: str
    folder: str
    #: Runs, at most, beside those that are killed at a turn.
    runs: int


class Killed(msgspec.Struct):
    """One run: in this folder, killed before this."""

    folder: str
    before: str


def killed(argv: Sequence[str], template: Path, folder: Path, runs: int) -> list[Killed]:
    """Run the command in copies of `template` below `folder`, and return where each was killed."""
    order = Order(list(argv), str(template), str(folder), runs)
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.killed", msgspec.json.encode(order).decode()],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=_PATIENCE,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return msgspec.json.decode(done.stdout, type=list[Killed])


def _run(order: Order) -> list[Killed]:
    # What the command imports, once for all that are forked from here.
    import alembic.command
    import uvloop

    from pikarelay import cli
    from pikarelay.cli import backups, tokens

    assert all((alembic.command, uvloop, cli, backups, tokens))
    points = Path(order.folder) / "points"
    assert 0 == _forked(order, 0, points)
    names = points.read_text().split("\n")[:-1]
    found = []
    for number in _chosen(names, order.runs):
        status = _forked(order, number, points)
        # Threads may take turns, and a run have a point less.
        assert status in {0, -signal.SIGKILL}, (number, status)
        if status:
            reached = points.read_text().split("\n")[:-1]
            found.append(Killed(str(Path(order.folder) / str(number)), reached[-1]))
    return found


def _chosen(names: Sequence[str], runs: int) -> list[int]:
    """Return numbers of points, from 1: all turns and what comes right after them, and evenly of the others."""
    turns = {number + after for number, name in enumerate(names, 1) if name in _TURNS for after in (0, 1)}
    return sorted(
        (turns | set(range(1, len(names) + 1, max(1, len(names) // runs)))) & set(range(1, len(names) + 1))
    )


def _forked(order: Order, at: int, points: Path) -> int:
    """Run the command in a process that is killed at that point, and return how it ended."""
    folder = Path(order.folder) / str(at)
    shutil.copytree(order.template, folder)
    points.unlink(missing_ok=True)
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 70
    try:
        status = _command(
            [argument.replace("FOLDER", str(folder)) for argument in order.argv], folder, at, points
        )
    finally:
        os._exit(status)


def _command(argv: list[str], folder: Path, at: int, points: Path) -> int:
    from pikarelay import cli

    os.dup2(2, 1)
    reach = _counter(at, points)
    _watch_files(str(folder), reach)
    _watch_sql(reach)
    sys.argv = ["pikarelay", *argv]
    try:
        cli.main()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    reach("end")
    return status


def _counter(at: int, points: Path) -> Reach:
    count = 0
    file = os.open(points, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def reach(name: str) -> None:
        nonlocal count
        count += 1
        os.write(file, f"{name}\n".encode())
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return reach


def _watch_files(folder: str, reach: Reach) -> None:
    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        is_writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
        if (is_writing or event in _TO_FILES) and any(str(named).startswith(folder) for named in arguments):
            reach(event)

    sys.addaudithook(hear)
    sync = os.fsync

    def counted(descriptor: int) -> None:
        reach("fsync")
        sync(descriptor)

    os.fsync = counted


def _watch_sql(reach: Reach) -> None:
    def hear(sql: str) -> None:
        word = sql.split(maxsplit=1)[0]
        if word not in _READS:
            reach(word)

    class Counted(sqlite3.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            super().set_trace_callback(hear)

        def set_trace_callback(self, _trace: object) -> None:
            """Keep ours."""

    for module in (sqlite3, sqlite3.dbapi2):
        module.connect = partial(sqlite3.connect, factory=Counted)


if __name__ == "__main__":
    found = _run(msgspec.json.decode(sys.argv[1], type=Order))
    sys.stdout.write(msgspec.json.encode(found).decode())
