"""
Transport compression: one stream per connection, flushed after every message.

zlib-stream ends every message with `00 00 ff ff`; zstd-stream flushes a block and never ends the frame. Once a
stream is on, every frame is binary, hello and acks included.
"""

import zlib
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

#: Small windows: a simulator has many connections, and any inflater reads them.
ZLIB_WINDOW_BITS = 12
ZLIB_MEMORY_LEVEL = 5
#: Payload compression leaves messages smaller than this alone.
PAYLOAD_THRESHOLD = 1024


class Compressor(Protocol):
    """Turns a message into what goes on the wire."""

    def pack(self, message: bytes) -> tuple[bytes, bool]:
        """Return the frame, and whether it is binary."""
        ...


class Plain:
    """No compression: text frames."""

    def pack(self, message: bytes) -> tuple[bytes, bool]:
        return message, False


class ZlibStream:
    """One zlib context for the whole connection."""

    def __init__(self) -> None:
        self._stream = zlib.compressobj(6, zlib.DEFLATED, ZLIB_WINDOW_BITS, ZLIB_MEMORY_LEVEL)

    def pack(self, message: bytes) -> tuple[bytes, bool]:
        return self._stream.compress(message) + self._stream.flush(zlib.Z_SYNC_FLUSH), True


class ZstdStream:
    """One zstd frame for the whole connection, one flushed block a message."""

    def __init__(self) -> None:
        # Not a dependency: the optional package is used when it is there.
        zstandard: Any = import_module("zstandard")
        self._stream = zstandard.ZstdCompressor().compressobj()
        self._flush_block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def pack(self, message: bytes) -> tuple[bytes, bool]:
        packed: bytes = self._stream.compress(message) + self._stream.flush(self._flush_block)
        return packed, True


class Payload:
    """Messages of some size are compressed one by one; the rest stay text."""

    def pack(self, message: bytes) -> tuple[bytes, bool]:
        if len(message) < PAYLOAD_THRESHOLD:
            return message, False
        return zlib.compress(message), True


def compressor_for(name: str | None) -> Compressor | None:
    """Return the compressor a client asked for in its query; None when there is no such."""
    if not name:
        return Plain()
    if name == "zlib-stream":
        return ZlibStream()
    if name == "zstd-stream" and find_spec("zstandard"):
        return ZstdStream()
    return None
