"""
Seven ways in which a network is bad, named after Toxiproxy's toxics. Each carries one connection, well or badly.

`near` is the side of the server under test, `far` that of the receiver behind the proxy.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

_CHUNK = 65536
#: Linger for no time: the connection ends with a reset.
_RESET = struct.pack("ii", 1, 0)

#: Hands bytes on to a writer, in its own time.
PassOn = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Toxic = Callable[["Pair", Random], Awaitable[None]]


@dataclass(frozen=True)
class Pair:
    """Both ends of a proxied connection."""

    near: Stream
    far: Stream


async def at_once(data: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(data)
    await writer.drain()


async def carry(pair: Pair, request: PassOn = at_once, answer: PassOn = at_once) -> None:
    """Carry both ways until both have ended."""
    await asyncio.gather(
        _one_way(pair.near[0], pair.far[1], request), _one_way(pair.far[0], pair.near[1], answer)
    )


async def clean(pair: Pair, _rng: Random) -> None:
    """Everything comes through."""
    await carry(pair)


async def latency(pair: Pair, rng: Random) -> None:
    """Everything comes some tenths of a second late."""

    async def late(data: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(rng.uniform(0.1, 0.5))
        await at_once(data, writer)

    await carry(pair, late, late)


async def bandwidth(pair: Pair, _rng: Random) -> None:
    """Three kibibytes a second."""

    async def thin(data: bytes, writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(data), 96):
            await at_once(data[start : start + 96], writer)
            await asyncio.sleep(96 / 3072)

    await carry(pair, thin, thin)


async def slow_close(pair: Pair, _rng: Random) -> None:
    """Everything is carried, and the end of it a second later."""
    await carry(pair)
    await asyncio.sleep(1)


async def timeout(pair: Pair, rng: Random) -> None:
    """Nothing comes through: of the answer, or of either."""
    if rng.random() < 0.5:
        await asyncio.gather(
            _one_way(pair.near[0], pair.far[1], at_once), _one_way(pair.far[0], None, at_once)
        )
    else:
        await _one_way(pair.near[0], None, at_once)


async def slicer(pair: Pair, rng: Random) -> None:
    """A few bytes at a time, each with a packet of its own."""

    async def sliced(data: bytes, writer: asyncio.StreamWriter) -> None:
        while data:
            # Not fewer: each takes a turn of the harness's own loop, and all of them have to be over before the try is.
            size = rng.randrange(1, 48)
            await at_once(data[:size], writer)
            await asyncio.sleep(0.001)
            data = data[size:]

    await carry(pair, sliced, sliced)


async def limit_data(pair: Pair, rng: Random) -> None:
    """The connection ends in the middle of the answer's head."""
    left = rng.randrange(64)
    asking = asyncio.create_task(_one_way(pair.near[0], pair.far[1], at_once))
    try:
        while left > 0 and (data := await pair.far[0].read(left)):
            left -= len(data)
            await at_once(data, pair.near[1])
    finally:
        asking.cancel()


async def reset_peer(pair: Pair, rng: Random) -> None:
    """The connection is reset: at once, or when the answer has begun."""
    if rng.random() < 0.5:
        asking = asyncio.create_task(_one_way(pair.near[0], pair.far[1], at_once))
        await pair.far[0].read(1)
        asking.cancel()
    reset(pair.near[1])


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _one_way(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, pass_on: PassOn
) -> None:
    """Carry until the end, or away when there is no writer."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            if writer is not None:
                await pass_on(data, writer)
        if writer is not None and writer.can_write_eof():
            writer.write_eof()
