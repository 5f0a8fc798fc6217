"""
Servers that share a database file know of each other by a lock beside it, which each holds for as long as it lives.

The system lets go of the lock of a process that ends, however it ends. A server that finds nobody else there thus knows that
everything which is noted as under way was a dead process's.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Presence:
    """A server's own lock. Made by `announce`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        #: Whether no other server is there. Until `settle` none can come.
        self.is_alone = self._try(fcntl.LOCK_EX)

    def settle(self) -> None:
        """Let others come, after waiting until whoever is alone has settled. May wait for a moment."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def _try(self, lock: int) -> bool:
        try:
            fcntl.flock(self._descriptor, lock | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def announce(database: Path) -> Iterator[Presence]:
    """Be there, as a server on this file, until the block ends. Call `Presence.settle` soon."""
    beside = database.with_name(f"{database.name}-servers")
    descriptor = os.open(beside, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield Presence(descriptor)
    finally:
        os.close(descriptor)
