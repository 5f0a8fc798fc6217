"""Files on their way to a mirror."""

from collections.abc import AsyncIterator

from pikarelay.services.ports import CopyFailed, Download


def a_download(
    content: bytes = b"a video", media_type: str = "video/mp4", *, piece: int = 64 * 1024
) -> Download:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), piece):
            yield content[start : start + piece]

    return Download(size=len(content), media_type=media_type, chunks=chunks())


def a_broken_download(content: bytes, failure: CopyFailed) -> Download:
    """Return one of which only the first half comes."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content[: len(content) // 2]
        raise failure

    return Download(size=len(content), media_type="video/mp4", chunks=chunks())
