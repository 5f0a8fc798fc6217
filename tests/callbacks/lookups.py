"""Name look-ups that a test makes up."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import dns.rcode
from chaos.nameserver import NameServer, Reply

from pikarelay.callbacks.names import Found, Lookup, NameServers


def answers(*lookups: Sequence[str]) -> Lookup:
    """Return a lookup that gives these addresses, one answer after the other, and the last one for ever."""
    left = list(lookups)

    async def lookup(_name: str, _family: int) -> list[Found]:
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [Found(socket.AF_INET6 if ":" in text else socket.AF_INET, text) for text in addresses]

    return lookup


@asynccontextmanager
async def knowing_nothing() -> AsyncIterator[NameServers]:
    """Open the real lookup at a name server that knows no name; hosts files and spelled addresses work."""
    async with (
        NameServer(lambda _name, _before: Reply(code=dns.rcode.NXDOMAIN)).serving() as server,
        NameServers.open([f"127.0.0.1:{server.port}"]) as names,
    ):
        yield names
