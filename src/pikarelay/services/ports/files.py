"""Where uploaded files are kept."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from pikarelay.jobs.job import Upload


class FileToUpload(msgspec.Struct, frozen=True, kw_only=True):
    """A file for a command's attachment option. `read` yields its bytes from the start, each time it is called."""

    filename: str
    size: int
    read: Callable[[], AsyncIterator[bytes]]


class UploadReader(Protocol):
    """Where uploaded files are kept."""

    def open(self, upload: Upload) -> FileToUpload:
        """Return a stored file, to be read in pieces."""
        ...


class UploadKeeper(Protocol):
    """The same, to clean up. Both may wait for a disk, and do so without holding up anybody else."""

    async def finished_before(self, moment: datetime) -> tuple[str, ...]:
        """Return the keys of files that were finished before then."""
        ...

    async def remove(self, keys: Sequence[str]) -> None:
        """Delete files; one that is gone already is no error."""
        ...
