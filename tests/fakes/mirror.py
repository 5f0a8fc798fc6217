"""A CDN and a mirror in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pikarelay.services.ports import CopyFailed, Download


class FakeSource:
    """A `FileSource`. A link that is not among `files` cannot be read."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        #: Links that were asked for, in order.
        self.asked: list[str] = []
        #: How many are being read now.
        self.open_now = 0
        #: Raised in the middle of a file, as long as it is set.
        self.breaks: CopyFailed | None = None

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Download]:
        await asyncio.sleep(0)
        self.asked.append(url)
        if url not in self.files:
            raise CopyFailed("Discord's CDN answered HTTP status 404.")
        content = self.files[url]
        self.open_now += 1
        try:
            yield Download(size=len(content), media_type="video/mp4", chunks=self._chunks(content))
        finally:
            self.open_now -= 1

    async def _chunks(self, content: bytes) -> AsyncIterator[bytes]:
        half = len(content) // 2
        yield content[:half]
        if self.breaks is not None:
            raise self.breaks
        yield content[half:]


class FakeMirror:
    """A `Mirror`. With `links`, it answers with links rather than files."""

    def __init__(self, name: str = "fake:1") -> None:
        self._name = name
        self.files: dict[str, bytes] = {}
        self.links = False
        #: Raised by everything that changes something, as long as it is set.
        self.out_of_order: CopyFailed | None = None
        #: Cleared: whoever puts something waits.
        self.flows = asyncio.Event()
        self.flows.set()
        self.most_at_once = 0
        self.tidied = 0
        self._at_once = 0

    @property
    def name(self) -> str:
        return self._name

    async def put(self, name: str, download: Download) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self.flows.wait()
            self._check()
            content = b"".join([chunk async for chunk in download.chunks])
            self.files[name] = content
        finally:
            self._at_once -= 1

    async def find(self, name: str, *, method: str) -> Path | str | None:
        await asyncio.sleep(0)
        if name not in self.files:
            return None
        return f"https://bucket.example/{name}?for={method}" if self.links else Path("/mirror") / name

    async def remove(self, names: Sequence[str]) -> None:
        await asyncio.sleep(0)
        self._check()
        for name in names:
            self.files.pop(name, None)

    async def tidy(self) -> None:
        await asyncio.sleep(0)
        self._check()
        self.tidied += 1

    def _check(self) -> None:
        if self.out_of_order is not None:
            raise self.out_of_order
