"""
Have a listening socket take no new connections, and keep those that the system has accepted for it already.

To close it cuts off whoever is in its queue: their system has told them that they are connected, and they may have sent their
request. So the system is told first to drop what would open another connection. Their clients' systems send that again a second
later, and find the next server, or nobody.
"""

import ctypes
import socket
import sys
from typing import ClassVar

import structlog

_log = structlog.get_logger(__name__)

_SO_ATTACH_FILTER = 26
#: A program for the system's packet filter, which sees each segment from its TCP header on: code, where to when it holds,
#: where to when not, operand. Load the flags; is SYN among them?; if so keep nothing of it; else keep all.
_FLAGS_AT, _SYN = 13, 0x02
_PROGRAM = (
    (0x30, 0, 0, _FLAGS_AT),
    (0x45, 0, 1, _SYN),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)


class _Step(ctypes.Structure):
    _fields_: ClassVar = [
        ("code", ctypes.c_ushort),
        ("when_true", ctypes.c_ubyte),
        ("when_false", ctypes.c_ubyte),
        ("operand", ctypes.c_uint),
    ]


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("length", ctypes.c_ushort), ("steps", ctypes.POINTER(_Step))]


def refuse_new_calls(listening: socket.socket) -> bool:
    """Accept nobody from now on. False where the system knows no such thing; then closing the socket has to do."""
    if sys.platform != "linux":
        return False
    steps = (_Step * len(_PROGRAM))(*(_Step(*step) for step in _PROGRAM))
    program = _Program(len(steps), steps)
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(program))
    except OSError as error:
        # A sandbox may forbid it. What is lost then are connections of the last moment.
        _log.info("server.no_last_calls", reason=error.strerror)
        return False
    return True
