"""
Uploaded files, in one folder beside the database.

A file under way has no name (`O_TMPFILE`), so a process that dies leaves nothing of it; where the file system cannot
do that, it has a name that `sweep` removes at the next start. A finished file gets a random name, which is all that
is kept of it elsewhere; the caller's own name is never used for anything. Every operation that may wait for a disk runs
in a thread.
"""

import asyncio
import os
import re
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

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

_Argument = TypeVar("_Argument")


class UploadFolder:
    """The folder. Makes sinks for what comes in, and opens what is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open_sink(self, declared_type: str | None) -> "FileSink":
        """Return a sink for one file. Nothing is on the disk before its first byte."""
        return FileSink(self._folder, declared_type)

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
        return frozenset(entry.name for entry in self._folder.iterdir() if _KEY.fullmatch(entry.name))

    def remove(self, key: str) -> None:
        """Delete a stored file; a no-op when it is gone."""
        self._path(key).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Delete what a killed process left unfinished. Returns how many files. Call it before serving."""
        left = [entry for entry in self._folder.iterdir() if entry.name.endswith(_UNFINISHED)]
        for entry in left:
            entry.unlink(missing_ok=True)
        return len(left)

    def _path(self, key: str) -> Path:
        # A key comes from the database; it still never leads out of the folder.
        if not _KEY.fullmatch(key):
            raise FileNotFoundError(key)
        return self._folder / key


class FileSink:
    """One file under way: an `UploadSink`. Raises `Unavailable` when the disk will not take it."""

    def __init__(self, folder: Path, declared_type: str | None) -> None:
        self._folder = folder
        self._declared = (declared_type or "").lower()
        self._probe = ImageProbe()
        self._size = 0
        #: Held by whichever thread works on the file: a cancelled request may discard what a thread still writes.
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        #: Where the file can be found: unfinished, when it must have a name, or finished.
        self._path: Path | None = None
        self._is_over = False

    async def write(self, data: bytes) -> None:
        self._probe.feed(data)
        self._size += len(data)
        await self._in_thread(self._write, data)

    async def finish(self) -> Upload:
        facts = self._probe.finish()
        key = f"{secrets.token_hex(16)}.{_EXTENSIONS[facts.media_type]}"
        await self._in_thread(self._publish, key)
        shown = self._declared if _DECLARED.fullmatch(self._declared) else facts.media_type
        return Upload(size=self._size, type=shown, key=key)

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
                self._descriptor = self._open()
            left = memoryview(data)
            while left:
                left = left[os.write(self._descriptor, left) :]

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
            os.close(self._descriptor)
            self._descriptor = None

    def _remove(self) -> None:
        with self._lock:
            self._is_over = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
            if self._path is not None:
                self._path.unlink(missing_ok=True)
                self._path = None
