"""
How many frames a picture has, counted as its bytes pass by. Nothing is decoded, and next to nothing kept.

Ten megabytes can hold a million frames, each of which whoever opens the picture has to draw. Formats: GIF89a, sections 18 to 27;
the WebP container, "Animation"; PNG, third edition, `acTL`.
"""

import struct
from collections.abc import Iterator

from pikarelay.errors import InvalidValue

#: Of a GIF or a WebP. Of a PNG only one is taken: few know that it can move.
MAX_FRAMES = 500

TOO_MANY_FRAMES = "image is too large (frames)"

#: What begins a block of a GIF.
_EXTENSION, _IMAGE = 0x21, 0x2C


class FrameCounter:
    """
    Takes the bytes of a file of one media type, from its first. Raises `InvalidValue` as soon as there are too many frames.

    It ends its count where the picture ends, or makes no sense any more: what nobody can draw is no frame.
    """

    def __init__(self, media_type: str) -> None:
        walks = {"image/gif": self._gif, "image/webp": self._webp, "image/png": self._png}
        self._frames = 0
        self._buffer = b""
        #: Where the walk stands in the buffer; beyond its end where it passes over what is still to come.
        self._at = 0
        self._walk = walks[media_type]() if media_type in walks else iter(())

    def feed(self, data: bytes) -> None:
        """Look at the next bytes."""
        seen = min(self._at, len(self._buffer))
        self._buffer = self._buffer[seen:] + data
        self._at -= seen
        if next(self._walk, True):
            self._walk, self._buffer, self._at = iter(()), b"", 0

    # Ways through a file, each of which gives False whenever it needs more of it.

    def _gif(self) -> Iterator[bool]:
        yield from self._until(13)
        self._at += 13 + _colours(self._buffer[self._at + 10])
        while True:
            yield from self._until(1)
            kind = self._buffer[self._at]
            if kind == _EXTENSION:
                self._at += 2
            elif kind == _IMAGE:
                yield from self._until(10)
                self._count()
                # The descriptor, its colours, and how long a code is at first.
                self._at += 10 + _colours(self._buffer[self._at + 9]) + 1
            else:
                return
            yield from self._sub_blocks()

    def _sub_blocks(self) -> Iterator[bool]:
        while True:
            yield from self._until(1)
            buffer, at, end = self._buffer, self._at, len(self._buffer)
            # A file can be made of nothing else, in pieces of a byte: this is all that is done for each.
            while at < end and (size := buffer[at]):
                at += size + 1
            self._at = at
            if at < end:
                self._at += 1
                return

    def _webp(self) -> Iterator[bool]:
        self._at += 12
        while True:
            yield from self._until(8)
            kind, size = struct.unpack_from("<4sI", self._buffer, self._at)
            if kind == b"ANMF":
                self._count()
            # Chunks have an even length.
            self._at += 8 + size + size % 2

    def _png(self) -> Iterator[bool]:
        self._at += 8
        while True:
            yield from self._until(12)
            size, kind, frames = struct.unpack_from(">I4sI", self._buffer, self._at)
            if kind == b"acTL" and frames > 1:
                raise InvalidValue(TOO_MANY_FRAMES)
            if kind in (b"IDAT", b"IEND"):
                return
            self._at += 12 + size

    def _until(self, count: int) -> Iterator[bool]:
        """Wait until so many bytes can be looked at."""
        while len(self._buffer) < self._at + count:
            yield False

    def _count(self) -> None:
        self._frames += 1
        if self._frames > MAX_FRAMES:
            raise InvalidValue(TOO_MANY_FRAMES)


def _colours(flags: int) -> int:
    """Return how many bytes of colours follow a GIF's descriptor."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
