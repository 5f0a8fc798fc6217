"""
Which addresses a name has, asked without a thread that waits.

`getaddrinfo` holds a thread for as long as name servers are silent, which can be half a minute and cannot be cut short: a
few callers' names that nobody answers for would hold every thread, and all other callbacks would wait behind them. So
questions go out by c-ares, where one that waits is some hundred bytes.

It reads what the system's resolver reads: `/etc/hosts`, `/etc/resolv.conf` with its search list, and from
`/etc/nsswitch.conf` which of the two comes first. Other sources in there (mDNS, directories) it does not know.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiodns
import pycares

#: Before the first repetition of a question; c-ares doubles it each time, and lowers it where answers come quickly.
_FIRST_WAIT_SECONDS = 1.0
#: Enough for the shortest of such waits (a quarter of a second) to go on beyond the deadline of a lookup.
_QUESTIONS = 5
#: What does not fit into a datagram, some seventy addresses, is more than is used of any answer. Asked for by TCP, a stranger's
#: name with thousands of them would hold up the answers to all others.
_FLAGS = pycares.ARES_FLAG_EDNS | pycares.ARES_FLAG_IGNTC
#: Leave the order to the connection, which tries both families. To sort them, c-ares would make a socket for each.
_NOSORT = 1 << 7


@dataclass(frozen=True, slots=True)
class Found:
    """One address of a name, with its zone where it has one (`fe80::1%2`)."""

    family: int
    address: str


#: Given a name and a family (or `AF_UNSPEC`), returns its addresses. Raises OSError when there are none, or no answer.
Lookup = Callable[[str, int], Awaitable[Sequence[Found]]]


class NameServers:
    """The `Lookup` that asks name servers. Made by `open`."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        #: None before the first question: most commands never ask one.
        self._resolver: aiodns.DNSResolver | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, addresses: Sequence[str] = ()) -> AsyncIterator["NameServers"]:
        """Ask these (`192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:53`), or those of the system when none is given."""
        names = cls(addresses)
        try:
            yield names
        finally:
            if names._resolver is not None:
                await names._resolver.close()

    async def __call__(self, name: str, family: int) -> Sequence[Found]:
        if spelled := _spelled(name, family):
            return spelled
        if self._resolver is None:
            self._resolver = aiodns.DNSResolver(
                self._addresses or None,
                loop=asyncio.get_running_loop(),
                flags=_FLAGS,
                timeout=_FIRST_WAIT_SECONDS,
                tries=_QUESTIONS,
            )
        try:
            answer = await self._resolver.getaddrinfo(
                name, socket.AddressFamily(family), type=socket.SOCK_STREAM, flags=_NOSORT
            )
        except aiodns.error.DNSError as error:
            # Its text only: its number is of c-ares, and means another thing to the system.
            raise OSError(error.args[-1]) from error
        return [Found(node.family, _written(node.addr)) for node in answer.nodes]


def _spelled(name: str, family: int) -> list[Found]:
    """
    Return the address that is written in place of a name, in any way that the system takes for one (`0x7f.1`).

    Nothing is asked for this. c-ares would ask a name server for `0x7f.1`, and callers would learn less.
    """
    try:
        infos = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return []
    return [Found(info[0], _written(info[4])) for info in infos]


def _written(address: tuple[Any, ...]) -> str:
    """Return an address with its zone, which comes apart from it, so that a policy sees it."""
    host = address[0].decode() if isinstance(address[0], bytes) else str(address[0])
    zone = address[3] if len(address) > 3 else 0
    return f"{host}%{zone}" if zone and "%" not in host else host
