"""
Uploaded files, in one folder beside the database.

A file under way has no name (`O_TMPFILE`), so a process that dies leaves nothing of it; where the file system cannot
do that, it has a name that `sweep` removes when a server next starts alone. A finished file gets a random name, which is all that
is kept of it elsewhere; the caller's own name is never used for anything. Every operation that may wait for a disk runs
in a thread.

All files together, those under way included, have a quota. What would exceed it is refused as if the disk were full,
and the next clean-up makes room.
"""

import asyncio
import hashlib
import os
import re
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog

from pikarelay.errors import Unavailable
from pikarelay.jobs.images import ImageProbe
from pikarelay.jobs.job import Upload
from pikarelay.services.ports import FileToUpload

_KEY = re.compile(r"[0-9a-f]{32}\.(png|jpg|gif|webp)")
_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}
_UNFINISHED = ".part"
#: A declared type that says more than `application/octet-stream`, and can be shown again.
_DECLARED = re.compile(r"image/[a-z0-9][a-z0-9.+-]{0,40}")
_PIECE = 64 * 1024
#: Files under way, unless said otherwise.
AT_ONCE = 128

_Argument = TypeVar("_Argument")

_log = structlog.get_logger("pikarelay.store")


class Quota:
    """How many bytes may be on the disk, and how many are. Any thread may ask."""

    def __init__(self, limit: int | None = None) -> None:
        #: None means: no limit.
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        return self._used

    def take(self, size: int) -> None:
        """Count bytes that are about to be written. Raises `Unavailable`, and counts nothing, when they are too many."""
        with self._lock:
            if self._limit is not None and self._used + size > self._limit:
                _log.warning("uploads.quota_exceeded", limit=self._limit, used=self._used)
                raise Unavailable
            self._used += size

    def give(self, size: int) -> None:
        """Count bytes that are gone."""
        with self._lock:
            self._used -= size

    def start_with(self, size: int) -> None:
        """Count what is there already, which may be more than is allowed by now."""
        with self._lock:
            self._used = size


class Places:
    """How many files may be under way at once, and how many are. Any thread may ask."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = threading.Semaphore(limit)

    def take(self) -> None:
        """Count one more. Raises `Unavailable`, and counts nothing, when they are too many."""
        if not self._left.acquire(blocking=False):
            _log.warning("uploads.too_many_at_once", limit=self._limit)
            raise Unavailable

    def give(self) -> None:
        """Count one that is closed."""
        self._left.release()


class UploadFolder:
    """
    The folder. Makes sinks for what comes in, and opens what is there.

    `quota` is in bytes; None sets none. Files under way, of which there may be so many `at_once`, have a descriptor each.
    """

    def __init__(self, folder: Path, quota: int | None = None, *, at_once: int = AT_ONCE) -> None:
        self._folder = folder
        self._quota = Quota(quota)
        self._places = Places(at_once)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._quota.start_with(sum(entry.stat().st_size for entry in self._stored()))

    def open_sink(self, declared_type: str | None) -> "FileSink":
        """Return a sink for one file. Nothing is on the disk before its first byte."""
        return FileSink(self._folder, declared_type, self._quota, self._places)

    def open(self, upload: Upload) -> FileToUpload:
        """Return a stored file, under a name that says only its type. Raises FileNotFoundError when it is gone."""
        path = self._path(upload.key)
        size = path.stat().st_size

        async def read() -> AsyncIterator[bytes]:
            with await asyncio.to_thread(path.open, "rb") as file:
                while piece := await asyncio.to_thread(file.read, _PIECE):
                    yield piece

        return FileToUpload(filename=f"image{path.suffix}", size=size, read=read)

    def keys(self) -> frozenset[str]:
        """Return the keys of all stored files."""
        return frozenset(entry.name for entry in self._stored())

    async def finished_before(self, moment: datetime) -> tuple[str, ...]:
        """Return the keys of files that were finished before then."""
        return await asyncio.to_thread(self._finished_before, moment.timestamp())

    async def remove(self, keys: Sequence[str]) -> None:
        """Delete stored files; one that is gone already is no error. Raises FileNotFoundError for what is no key."""
        await asyncio.to_thread(self._remove, [self._path(key) for key in keys])

    def _finished_before(self, moment: float) -> tuple[str, ...]:
        return tuple(sorted(entry.name for entry in self._stored() if entry.stat().st_mtime < moment))

    def _remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            try:
                size = path.stat().st_size
                path.unlink()
            except FileNotFoundError:
                continue
            self._quota.give(size)

    def _stored(self) -> Iterable[Path]:
        return (entry for entry in self._folder.iterdir() if _KEY.fullmatch(entry.name))

    def _path(self, key: str) -> Path:
        # A key comes from the database; it still never leads out of the folder.
        if not _KEY.fullmatch(key):
            raise FileNotFoundError(key)
        return self._folder / key


def sweep(folder: Path, *, is_on_the_way: bool = False) -> int:
    """
    Delete what killed processes left unfinished in an upload folder, and return how many files.

    With `is_on_the_way` nothing stays in the folder, and what is finished is theirs, too. Only for who is alone on it.
    """
    if not folder.exists():
        return 0
    left = [
        entry
        for entry in folder.iterdir()
        if entry.name.endswith(_UNFINISHED) or (is_on_the_way and _KEY.fullmatch(entry.name))
    ]
    for entry in left:
        entry.unlink(missing_ok=True)
    return len(left)


class FileSink:
    """One file under way: an `UploadSink`. Raises `Unavailable` when the disk will not take it."""

    def __init__(self, folder: Path, declared_type: str | None, quota: Quota, places: Places) -> None:
        self._folder = folder
        self._quota = quota
        self._places = places
        self._declared = (declared_type or "").lower()
        self._probe = ImageProbe()
        self._size = 0
        self._digest = hashlib.sha256()
        #: Held by whichever thread works on the file: a cancelled request may discard what a thread still writes.
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        #: Where the file can be found: unfinished, when it must have a name, or finished.
        self._path: Path | None = None
        self._is_over = False

    async def write(self, data: bytes) -> None:
        self._probe.feed(data)
        self._quota.take(len(data))
        self._size += len(data)
        await self._in_thread(self._write, data)

    async def finish(self) -> Upload:
        facts = self._probe.finish()
        key = f"{secrets.token_hex(16)}.{_EXTENSIONS[facts.media_type]}"
        await self._in_thread(self._publish, key)
        shown = self._declared if _DECLARED.fullmatch(self._declared) else facts.media_type
        return Upload(size=self._size, type=shown, key=key, digest=self._digest.hexdigest())

    async def discard(self) -> None:
        await asyncio.to_thread(self._remove)

    async def _in_thread(self, work: Callable[[_Argument], None], argument: _Argument) -> None:
        try:
            await asyncio.to_thread(work, argument)
        except OSError as error:
            raise Unavailable from error

    def _write(self, data: bytes) -> None:
        with self._lock:
            if self._is_over:
                return
            if self._descriptor is None:
                self._descriptor = self._take_place()
            self._digest.update(data)
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]

    def _take_place(self) -> int:
        self._places.take()
        try:
            return self._open()
        except OSError:
            self._places.give()
            raise

    def _close(self, descriptor: int) -> None:
        self._descriptor = None
        try:
            os.close(descriptor)
        finally:
            self._places.give()

    def _open(self) -> int:
        try:
            return os.open(self._folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except (AttributeError, OSError):
            # No such thing on this system or file system. When the disk is full, the next line says so.
            self._path = self._folder / f"{secrets.token_hex(16)}{_UNFINISHED}"
            return os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def _publish(self, key: str) -> None:
        with self._lock:
            if self._is_over or self._descriptor is None:
                return
            os.fsync(self._descriptor)
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if self._path is None:
                    # By way of /proc, as linking a descriptor itself needs a privilege; with a folder's descriptor,
                    # because only then does Python follow the link there.
                    os.link(f"/proc/self/fd/{self._descriptor}", key, dst_dir_fd=folder, follow_symlinks=True)
                else:
                    self._path.rename(self._folder / key)
                self._path = self._folder / key
                # The new name, too, must survive a power cut.
                os.fsync(folder)
            finally:
                os.close(folder)
            self._close(self._descriptor)

    def _remove(self) -> None:
        with self._lock:
            if not self._is_over:
                self._is_over = True
                self._quota.give(self._size)
            if self._descriptor is not None:
                self._close(self._descriptor)
            if self._path is not None:
                self._path.unlink(missing_ok=True)
                self._path = None
