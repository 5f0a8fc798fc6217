"""
Results, as Discord's CDN gives them out: read in pieces, with a limit, and never with a token.

The link is all that opens a file there. A host that we do not know is not asked, redirects are not followed, and a file that
says to be too large is not begun.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from pikarelay.jobs.media import HEAD, media_type_of
from pikarelay.services.ports import CopyFailed, Download

#: Between two pieces, in seconds. The whole of a file has whoever asked for it to set a time.
PAUSE: Final = 30.0
_PIECE: Final = 64 * 1024


class Cdn:
    """A `FileSource`. `http` must be a session for the CDN's origins only; the caller closes it."""

    def __init__(self, http: aiohttp.ClientSession, *, largest: int) -> None:
        self._http = http
        #: The most that is read of one file, in bytes.
        self._largest = largest

    @asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Download]:
        answer = await self._ask(url)
        try:
            yield await self._begin(answer)
        finally:
            # Not `release`, which would read the rest of it.
            answer.close()

    async def _ask(self, url: str) -> aiohttp.ClientResponse:
        try:
            return await self._http.get(
                url,
                headers={"Accept-Encoding": "identity"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=7, sock_read=PAUSE),
            )
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _broken(error) from None

    async def _begin(self, answer: aiohttp.ClientResponse) -> Download:
        if answer.status != 200:
            raise CopyFailed(f"Discord's CDN answered HTTP status {answer.status}.")
        size = answer.content_length
        if size is None:
            raise CopyFailed("Discord's CDN does not say how large the file is.")
        if size > self._largest:
            raise CopyFailed(
                f"The file has {size} bytes, and mirror.max_file_mib allows {self._largest}.", is_final=True
            )
        chunks = _chunks(answer)
        head = b""
        while len(head) < HEAD and (chunk := await anext(chunks, None)) is not None:
            head += chunk
        return Download(size=size, media_type=media_type_of(head[:HEAD]), chunks=_after(head, chunks))


async def _after(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if head:
        yield head
    async for chunk in chunks:
        yield chunk


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the body. HTTP itself sees to it that it is as long as was said, or breaks off."""
    try:
        async for chunk in answer.content.iter_chunked(_PIECE):
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _broken(error) from None


def _broken(error: Exception) -> CopyFailed:
    """Name the kind of failure only: a link is the permission to read."""
    return CopyFailed(f"Discord's CDN did not give the file ({type(error).__name__}).")
