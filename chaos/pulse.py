"""
How long a server's event loop stands still, felt from inside its process.

A task of ours asks to be woken every five milliseconds, and writes down when it was late, and what the system says of that
time: for how long the loop's thread ran, and for how long it waited for a processor. On a machine that others use, the second
says nothing about the server. What is left of the time is a call that blocked the loop, or the interpreter's lock in the hands of
another thread. Of that, two parts are the machine's again: what threads of ours waited for a processor, which may have been with
that lock; and what a virtual machine's host took from its processors, which the system counts as nobody's time. And a
system may take pages of a program away that were not used for a while: where the loop's thread had to wait for one to be read
again (a major fault), what blocked it was the machine, too.
"""

import asyncio
import json
import os
import resource
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: How often the loop is felt.
EVERY_SECONDS = 0.005
#: Less is not worth a line.
_NOTED_SECONDS = 0.01
#: What is felt is in the file at most so much later.
FLUSH_SECONDS = 0.5
_TASKS = "/proc/self/task"
_PARTS = ("ran", "waited", "others_waited", "stolen")
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def watch(path: str, noted_seconds: float = _NOTED_SECONDS) -> None:
    """
    Let the server's loop, once it runs, write a line for each time that it was late by so much or more.

    `{"at": nanoseconds, "late", "ran", "waited", "others_waited", "stolen": seconds, "faults": how many}`
    """
    from pikarelay.bootstrap.server import Server

    run = Server.run

    async def watched(self: Server, on_ready: Callable[[], None]) -> None:
        feeling = asyncio.create_task(_feel(path, noted_seconds))
        try:
            await run(self, on_ready)
        finally:
            feeling.cancel()

    setattr(Server, "run", watched)


def stalls(path: Path) -> list[dict[str, Any]]:
    """Return what was written down so far, with `stalled`: how late the loop was by the server's doing."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{**line, "stalled": stalled(line)} for line in lines]


def stalled(line: dict[str, Any]) -> float:
    """Return for how long the loop worked in one go, or was blocked by something else than a busy machine. Pure."""
    if line["faults"]:
        return float(line["ran"])
    blocked = line["late"] - line["ran"] - line["waited"]
    return float(line["ran"] + max(0.0, blocked - line["others_waited"] - line["stolen"]))


async def _feel(path: str, noted_seconds: float) -> None:
    threads, lines = _Threads(), deque[str]()
    writing = asyncio.create_task(_write(path, lines))
    try:
        before, spent_before, faults_before = time.monotonic_ns(), threads.spent(), _faults()
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            now, spent, faults = time.monotonic_ns(), threads.spent(), _faults()
            late = (now - before) / 1e9 - EVERY_SECONDS
            if late >= noted_seconds:
                parts = {n: (b - a) / 1e9 for n, a, b in zip(_PARTS, spent_before, spent, strict=True)}
                lines.append(json.dumps({"at": now, "late": late, **parts, "faults": faults - faults_before}))
            before, spent_before, faults_before = now, spent, faults
    finally:
        writing.cancel()


async def _write(path: str, lines: deque[str]) -> None:
    """Write down what was felt, now and then, and not on the loop's thread: a busy disk would be felt as well."""
    with open(path, "a", encoding="utf-8", buffering=1) as file:  # noqa: ASYNC230, PTH123  # once, before anything is felt
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            if lines:
                text = "".join(f"{lines.popleft()}\n" for _ in range(len(lines)))
                await asyncio.to_thread(file.write, text)


def _faults() -> int:
    """Return how often this thread has waited for a page to be read from a disk."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_majflt


class _Threads:
    """The threads of this process, and what the system says of them."""

    def __init__(self) -> None:
        self._own = str(os.getpid())
        self._machine = os.open("/proc/stat", os.O_RDONLY)
        self._files: dict[str, int] = {}
        #: The last that was known of each, which stays when it ends.
        self._spent: dict[str, tuple[int, int]] = {}

    def spent(self) -> tuple[int, int, int, int]:
        """Return nanoseconds so far: that the main thread ran, that it waited, that the others waited, that were stolen."""
        for name in os.listdir(_TASKS):  # noqa: PTH208  # two hundred times a second
            if name not in self._files:
                self._files[name] = os.open(f"{_TASKS}/{name}/schedstat", os.O_RDONLY)
            self._spent[name] = self._of(name)
        ran, waited = self._spent[self._own]
        others_waited = sum(its for name, (_, its) in self._spent.items() if name != self._own)
        stolen = int(os.pread(self._machine, 128, 0).split()[8]) * _TICK_NS
        return ran, waited, others_waited, stolen

    def _of(self, name: str) -> tuple[int, int]:
        try:
            ran, waited, _ = os.pread(self._files[name], 64, 0).split()
        except OSError:
            # That thread has ended since.
            return self._spent.get(name, (0, 0))
        return int(ran), int(waited)
