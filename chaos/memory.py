"""
A limit for the memory of a server's process, as a container has it: a control group of the system's. Takes root.

Beyond it the system takes back what it can (the cache of files), and then kills. What a process had before it joined is not
counted, so whoever wants to be sure asks for its resident memory, too.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TREE = Path("/sys/fs/cgroup")


class NoGroups(Exception):
    """This machine has no control groups of memory, or none that we may make."""


@dataclass(frozen=True)
class MemoryGroup:
    """A control group whose memory is limited."""

    folder: Path
    #: Version 1 of the system's interface, with other names.
    is_old: bool

    @property
    def members(self) -> Path:
        """The file that a process writes its number into to join."""
        return self.folder / "cgroup.procs"

    def limit(self, size: int) -> None:
        (self.folder / ("memory.limit_in_bytes" if self.is_old else "memory.max")).write_text(str(size))
        if not self.is_old and (swap := self.folder / "memory.swap.max").exists():
            swap.write_text("0")

    def most(self) -> int:
        """Return the most bytes that it held, the cache of files included."""
        return int(
            (self.folder / ("memory.max_usage_in_bytes" if self.is_old else "memory.peak")).read_text()
        )

    def kills(self) -> int:
        """Return how many of its processes the system has killed for want of memory."""
        events = (self.folder / ("memory.oom_control" if self.is_old else "memory.events")).read_text()
        return int(dict(line.split() for line in events.splitlines())["oom_kill"])


@contextmanager
def memory_group(size: int) -> Iterator[MemoryGroup]:
    """Make a group with a limit of `size` bytes, for a block in which its processes also end. Raises `NoGroups`."""
    for tree, is_old in ((_TREE, False), (_TREE / "unified", False), (_TREE / "memory", True)):
        marker = "memory.limit_in_bytes" if is_old else "cgroup.controllers"
        if (tree / marker).exists() and (is_old or "memory" in (tree / marker).read_text().split()):
            break
    else:
        raise NoGroups("there are no control groups of memory here")
    group = MemoryGroup(tree / f"pikarelay-chaos-{os.getpid()}", is_old)
    try:
        group.folder.mkdir()
    except OSError as error:
        raise NoGroups(f"no control group can be made here: {error}") from error
    try:
        group.limit(size)
        yield group
    finally:
        group.folder.rmdir()
