"""
Where uploaded files are kept when several machines share a database: in the database, in pieces.

A file under way is on the disk of the node that receives it, as it is with an embedded database. Finished, it moves into the
database before its job is admitted, for the worker that uploads it to Discord may be on another machine. What a node that dies
leaves of it has no job, and is cleaned up.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import Final, Protocol

import structlog

from pikarelay.errors import Unavailable
from pikarelay.jobs.job import Upload
from pikarelay.services.ports import Clock, FileToUpload
from pikarelay.store.files import FileSink, UploadFolder
from pikarelay.store.sql import SqlStore

#: Of a file; a row of the database each.
PIECE: Final = 256 * 1024

_log = structlog.get_logger("pikarelay.store")


class Sink(Protocol):
    """One file under way."""

    async def write(self, data: bytes) -> None: ...

    async def finish(self) -> Upload: ...

    async def discard(self) -> None: ...


class Uploads(Protocol):
    """Where uploaded files are kept, wherever that is."""

    def open_sink(self, declared_type: str | None) -> Sink: ...

    def open(self, upload: Upload) -> FileToUpload: ...

    async def finished_before(self, moment: datetime) -> tuple[str, ...]: ...

    async def remove(self, keys: Sequence[str]) -> None: ...


class SharedUploads:
    """Files in the database. `quota` is in bytes, for all nodes together; nodes that look at the same moment may exceed it a little."""

    def __init__(self, folder: UploadFolder, store: SqlStore, clock: Clock, quota: int) -> None:
        self._folder = folder
        self._store = store
        self._clock = clock
        self._quota = quota

    def open_sink(self, declared_type: str | None) -> "SharedSink":
        return SharedSink(self._folder.open_sink(declared_type), self)

    def open(self, upload: Upload) -> FileToUpload:
        async def read() -> AsyncIterator[bytes]:
            for number in range(-(-upload.size // PIECE)):
                piece = await self._store.file_piece(upload.key, number)
                if piece is None:
                    raise FileNotFoundError(upload.key)
                yield piece

        suffix = PurePath(upload.key).suffix
        return FileToUpload(filename=f"image{suffix}", size=upload.size, read=read)

    async def finished_before(self, moment: datetime) -> tuple[str, ...]:
        return await self._store.files_before(moment)

    async def remove(self, keys: Sequence[str]) -> None:
        await self._store.remove_files(keys)

    async def take(self, upload: Upload) -> None:
        """Move a finished file here from this node's disk. Raises `Unavailable` when there is no room."""
        used = await self._store.files_size()
        if used + upload.size > self._quota:
            _log.warning("uploads.quota_exceeded", limit=self._quota, used=used)
            raise Unavailable
        await self._store.begin_file(upload.key, upload.size, self._clock.now())
        number, rest = 0, b""
        async for data in self._folder.open(upload).read():
            rest += data
            while len(rest) >= PIECE:
                await self._store.put_file_piece(upload.key, number, rest[:PIECE])
                number, rest = number + 1, rest[PIECE:]
        if rest:
            await self._store.put_file_piece(upload.key, number, rest)


class SharedSink:
    """One file under way: on the disk until it is whole, then in the database."""

    def __init__(self, sink: FileSink, uploads: SharedUploads) -> None:
        self._sink = sink
        self._uploads = uploads
        self._key: str | None = None

    async def write(self, data: bytes) -> None:
        await self._sink.write(data)

    async def finish(self) -> Upload:
        upload = await self._sink.finish()
        self._key = upload.key
        await self._uploads.take(upload)
        # Of the copy on the disk, nobody knows.
        await self._sink.discard()
        return upload

    async def discard(self) -> None:
        await self._sink.discard()
        if self._key is not None:
            await self._uploads.remove([self._key])
