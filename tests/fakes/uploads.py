"""Uploaded files in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from pikarelay.jobs.job import Upload
from pikarelay.services.ports import FileToUpload


class FakeUploads:
    """An `UploadReader` and an `UploadKeeper`. A key that is not among `files` is a missing file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        #: When each was finished; those of which nobody says it are as old as time.
        self.finished: dict[str, datetime] = {}

    async def finished_before(self, moment: datetime) -> tuple[str, ...]:
        await asyncio.sleep(0)
        return tuple(key for key in self.files if key not in self.finished or self.finished[key] < moment)

    async def remove(self, keys: Sequence[str]) -> None:
        await asyncio.sleep(0)
        for key in keys:
            self.files.pop(key, None)

    def open(self, upload: Upload) -> FileToUpload:
        content = self.files[upload.key]

        async def read() -> AsyncIterator[bytes]:
            yield content

        return FileToUpload(filename=upload.key, size=len(content), read=read)
