"""
Transport compression `zlib-stream`: one zlib stream for the life of a connection.

Every message of the server ends with a flush (`00 00 ff ff`) and may be spread over several frames.
"""

import zlib
from typing import Final

from pikarelay.discord.wire.payloads import WireError

#: The largest message that is believed, in bytes. READY of an account in many guilds reaches a few MiB.
LARGEST: Final = 64 * 1024 * 1024

_FLUSH = b"\x00\x00\xff\xff"


class Inflater:
    """Inflates the frames of one connection. Make a new one for the next connection."""

    def __init__(self, largest: int = LARGEST) -> None:
        self._stream = zlib.decompressobj()
        self._largest = largest
        self._pending = bytearray()

    def feed(self, frame: bytes) -> bytes | None:
        """
        Return the message that `frame` completes; None when more frames must come first.

        Raises `WireError` for a message that is not zlib or inflates beyond the largest size; the connection is
        of no use afterwards.
        """
        if self._pending or not frame.endswith(_FLUSH):
            # The flush itself may be cut in two.
            self._pending += frame
            if len(self._pending) > self._largest:
                raise WireError("frame", "too large")
            if not self._pending.endswith(_FLUSH):
                return None
            frame, self._pending = bytes(self._pending), bytearray()
        try:
            message = self._stream.decompress(frame, self._largest)
        except zlib.error:
            raise WireError("frame", "not a zlib stream") from None
        if self._stream.unconsumed_tail:
            raise WireError("frame", "too large")
        return message
