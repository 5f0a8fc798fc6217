"""
A folder of copies, which this server gives out itself.

A file under way has a name of its own that ends in `.part`, and gets the copy's name when all of it is on the disk. So a
name that is there is a whole file, whatever died on the way; and two that make the same copy at once do not meet.
Everything that may wait for a disk runs in a thread.
"""

import asyncio
import os
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

from pikarelay.services.ports import CopyFailed, Download

_NAME = re.compile(r"[0-9a-z]{1,64}(-[0-9]{1,2})?\.[0-9a-z]{1,5}")
_UNFINISHED = ".part"
#: A try under way writes more often. One that did not, and comes back, fails and is repeated.
_OLD_SECONDS = 60 * 60
#: Written at once: a piece of the network's size would cost a thread's turn each.
_PIECE = 1024 * 1024


class FolderMirror:
    """A `Mirror` in a folder. Makes the folder, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder.resolve()

    @property
    def name(self) -> str:
        return f"folder:{self._folder}"

    async def put(self, name: str, download: Download) -> None:
        part = _Part(self._path(name))
        try:
            async for piece in _pieces(download.chunks):
                await asyncio.to_thread(part.write, piece)
            await asyncio.to_thread(part.publish)
        except OSError as error:
            raise CopyFailed(f"The mirror's folder does not take it: {error.strerror}.") from error
        finally:
            # Not in a thread, which a cancelled task would not wait for.
            part.discard()

    async def find(self, name: str, *, method: str) -> Path | None:  # noqa: ARG002 - a file is one to all methods
        path = self._path(name)
        return path if await asyncio.to_thread(path.is_file) else None

    async def remove(self, names: Sequence[str]) -> None:
        try:
            await asyncio.to_thread(_unlink, [self._path(name) for name in names])
        except OSError as error:
            raise CopyFailed(f"The mirror's folder does not let go: {error.strerror}.") from error

    async def problem(self) -> str | None:
        """Return in a sentence why no copy can be kept here; None when all is well."""
        can = await asyncio.to_thread(os.access, self._folder, os.R_OK | os.W_OK | os.X_OK)
        return None if can else f"The mirror's folder {self._folder} cannot be written to."

    async def tidy(self) -> None:
        """Delete parts that nobody has written to for an hour."""
        try:
            await asyncio.to_thread(self._sweep)
        except OSError as error:
            raise CopyFailed(f"The mirror's folder cannot be tidied: {error.strerror}.") from error

    def _sweep(self) -> None:
        before = time.time() - _OLD_SECONDS
        _unlink([path for path in self._folder.glob(f"*{_UNFINISHED}") if _written(path) < before])

    def _path(self, name: str) -> Path:
        # Names come from the database; they still never lead out of the folder.
        if not _NAME.fullmatch(name):
            raise CopyFailed(f"{name!r} is no name of a copy.", is_final=True)
        return self._folder / name


class _Part:
    """A file under way. Any thread may work on it; a try that was given up may discard it while one does."""

    def __init__(self, final: Path) -> None:
        self._final = final
        self._path = final.with_name(f"{final.name}.{secrets.token_hex(8)}{_UNFINISHED}")
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._is_over = False

    def write(self, piece: bytes) -> None:
        with self._lock:
            if self._is_over:
                return
            left = memoryview(piece)
            while left:
                left = left[os.write(self._open(), left) :]

    def publish(self) -> None:
        """Give it the copy's name, in place of what had it, so that all of it survives a power cut."""
        with self._lock:
            if self._is_over:
                return
            os.fsync(self._open())
            self._path.replace(self._final)
            folder = os.open(self._final.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        """Leave nothing of it, unless it was published."""
        with self._lock:
            self._is_over = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
                self._path.unlink(missing_ok=True)

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        return self._descriptor


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Put chunks together to pieces that are worth a thread's turn."""
    gathered = bytearray()
    async for chunk in chunks:
        gathered += chunk
        if len(gathered) >= _PIECE:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        # Published this moment.
        return time.time()


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
