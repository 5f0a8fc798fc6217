"""
Files that are made beside their place, and get their name when they are whole.

Who makes one holds a lock on it, which the system lets go of when a process ends, however it ends. One that nobody holds was a
killed process's, and `sweep_aside` deletes it.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What SQLite may put beside a database.
_COMPANIONS = ("-wal", "-shm", "-journal")


@contextmanager
def made_aside(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path`, its owner's alone, to be filled and linked to its name. Its own name goes with the block."""
    descriptor, aside = _claim(path)
    try:
        yield aside
    finally:
        # No sooner: closing it would take the locks of a database that this process has open.
        _remove(aside)
        os.close(descriptor)


def sweep_aside(path: Path) -> int:
    """Delete what killed processes left beside `path`, and return how many files. What others have under way stays."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}")
    try:
        found = [entry for entry in path.parent.iterdir() if name.fullmatch(entry.name)]
    except OSError:
        return 0
    return sum(_is_swept(entry) for entry in found)


def _claim(path: Path) -> tuple[int, Path]:
    while True:
        aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, aside
        # Swept before it was held.
        os.close(descriptor)


def _is_swept(aside: Path) -> bool:
    """Delete it, unless somebody holds it, and say whether it was."""
    try:
        if aside.stat().st_nlink > 1:
            # It has its place, and that may be open here: see `made_aside`.
            _remove(aside)
            return True
        descriptor = os.open(aside, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(aside)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _remove(aside: Path) -> None:
    # Itself last: by its name the others are found.
    for suffix in (*_COMPANIONS, ""):
        aside.with_name(aside.name + suffix).unlink(missing_ok=True)
