"""Uploaded files in memory."""

from collections.abc import AsyncIterator

from pikarelay.jobs.job import Upload
from pikarelay.services.ports import FileToUpload


class FakeUploads:
    """An `UploadReader`. A key that is not among `files` is a missing file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def open(self, upload: Upload) -> FileToUpload:
        content = self.files[upload.key]

        async def read() -> AsyncIterator[bytes]:
            yield content

        return FileToUpload(filename=upload.key, size=len(content), read=read)
