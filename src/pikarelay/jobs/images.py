"""
What an uploaded file is, told by its first bytes, and how many pixels and frames it announces. Nothing is decoded.

The declared media type and the file name mean nothing: clients send `application/octet-stream` and `blob`. A file of
ten kilobytes can announce billions of pixels, which is why they are counted before anybody opens it.
"""

import struct
from dataclasses import dataclass

from pikarelay.errors import InvalidValue
from pikarelay.jobs.frames import FrameCounter

MAX_PIXELS = 40_000_000
MAX_SIDE = 16_384

NOT_SUPPORTED = "image is not supported"
TOO_MANY_PIXELS = "image is too large (pixels)"

#: As many bytes as any of the formats but JPEG needs to say its size.
_HEAD = 32

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_GIFS = (b"GIF87a", b"GIF89a")

#: JPEG's markers that begin a frame, and so hold its size: all of SOF0 to SOF15 but DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length: TEM and restarts.
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
#: Where a JPEG's pixels begin, or the file ends: its size has not come by then, and will not.
_TOO_LATE = frozenset({0xD8, 0xD9, 0xDA})


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """A supported image: its media type and its size in pixels."""

    media_type: str
    width: int
    height: int


class ImageProbe:
    """
    Takes a file's bytes as they come, and knows what they are. Keeps no more than the last ones it was given.

    Raises `InvalidValue` for what is no supported image, or has too many pixels or frames.
    """

    def __init__(self) -> None:
        #: None until known.
        self.facts: ImageFacts | None = None
        self._frames: FrameCounter | None = None
        self._buffer = b""
        self._is_jpeg = False
        #: Bytes of a JPEG that are still to be passed over: first its own mark, later whole segments.
        self._skip = 2

    def feed(self, data: bytes) -> None:
        """Look at the next bytes."""
        if self._frames is not None:
            self._frames.feed(data)
            return
        self._buffer += data
        if len(self._buffer) < _HEAD and not self._is_jpeg:
            return
        self._is_jpeg = self._buffer.startswith(_JPEG) or self._is_jpeg
        self.facts = self._scan() if self._is_jpeg else _checked(_read_head(self._buffer))
        if self.facts is not None:
            self._frames = FrameCounter(self.facts.media_type)
            self._frames.feed(self._buffer)
            self._buffer = b""

    def finish(self) -> ImageFacts:
        """Return what the whole file was."""
        if self.facts is None:
            # Shorter than a head: an empty file, or a tiny one.
            self.facts = _checked(None if self._is_jpeg else _read_head(self._buffer))
        return self.facts

    def _scan(self) -> ImageFacts | None:
        """Walk from marker to marker to the one that has the size. None when it has not come yet."""
        buffer, at = self._buffer, self._skip
        # Nine bytes: marker, length, precision, height and width of a frame. Nothing that matters is shorter.
        while at + 9 <= len(buffer):
            marker = buffer[at + 1]
            if buffer[at] != 0xFF or marker in _TOO_LATE:
                raise InvalidValue(NOT_SUPPORTED)
            if marker == 0xFF:
                at += 1
            elif marker in _BARE:
                at += 2
            elif marker in _FRAMES:
                height, width = struct.unpack_from(">HH", buffer, at + 5)
                return _checked(ImageFacts("image/jpeg", width, height))
            else:
                at += 2 + _segment_length(buffer, at + 2)
        self._buffer, self._skip = buffer[at:], max(0, at - len(buffer))
        return None


def _segment_length(buffer: bytes, at: int) -> int:
    length: int = struct.unpack_from(">H", buffer, at)[0]
    if length < 2:
        raise InvalidValue(NOT_SUPPORTED)
    return length


def _read_head(head: bytes) -> ImageFacts | None:
    """Return what the first bytes say. None when they say nothing that is supported."""
    try:
        if head.startswith(_PNG) and head[12:16] == b"IHDR":
            return ImageFacts("image/png", *struct.unpack_from(">II", head, 16))
        if head.startswith(_GIFS):
            return ImageFacts("image/gif", *struct.unpack_from("<HH", head, 6))
        if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            return _read_webp(head)
    except struct.error:
        return None
    return None


def _read_webp(head: bytes) -> ImageFacts | None:
    """Read the first chunk, which is one of three: extended, lossy, lossless."""
    match head[12:16]:
        case b"VP8X":
            width = int.from_bytes(head[24:27], "little") + 1
            height = int.from_bytes(head[27:30], "little") + 1
        case b"VP8 " if head[23:26] == b"\x9d\x01\x2a":
            # The upper two bits of each are a scale.
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", head, 26))
        case b"VP8L" if head[20:21] == b"\x2f":
            bits: int = struct.unpack_from("<I", head, 21)[0]
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case _:
            return None
    return ImageFacts("image/webp", width, height)


def _checked(facts: ImageFacts | None) -> ImageFacts:
    if facts is None or facts.width < 1 or facts.height < 1:
        raise InvalidValue(NOT_SUPPORTED)
    if max(facts.width, facts.height) > MAX_SIDE or facts.width * facts.height > MAX_PIXELS:
        raise InvalidValue(TOO_MANY_PIXELS)
    return facts
