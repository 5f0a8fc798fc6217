"""
The address policy, put where every outbound connection has to pass: name resolution and the making of sockets.

A name is refused as soon as one of its addresses is closed: a mixed answer is an attack, not a choice. The socket factory
judges the very address that is about to be dialled, whichever way it came there: aiohttp hands literal addresses to it
without asking any resolver, and a name may resolve differently from one moment to the next.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from yarl import URL

from pikarelay.callbacks.addresses import AddressPolicy
from pikarelay.callbacks.names import Found, Lookup

AddressInfo = tuple[Any, ...]

#: What a receiver can make the system keep of its answer before anybody reads it; otherwise that is mebibytes. So much at
#: a time is parsed, too, between two turns of the event loop.
RECEIVE_BUFFER = 16 * 1024

#: So long a name's addresses are waited for.
LOOKUP_SECONDS = 5.0

#: A name with more addresses than any receiver has is somebody's idea of making this server knock at all of them.
MOST_ADDRESSES = 64


class AddressRefused(OSError):
    """target address is not public"""

    # An OSError, because that is what aiohttp carries through from a socket factory and a resolver. The text names
    # neither the address nor the port: callers must not learn what is inside.
    def __init__(self) -> None:
        super().__init__("target address is not public")


@dataclass(slots=True)
class Dialled:
    """The last address a request went for. None until one was allowed."""

    address: str | None = None


#: Where the request that runs in this context wants to have noted what it dials.
dialled: ContextVar[Dialled | None] = ContextVar("dialled", default=None)


@dataclass(frozen=True, slots=True)
class GuardedSockets:
    """A socket factory for aiohttp that makes no socket for an address the policy closes."""

    policy: AddressPolicy

    def __call__(self, info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        # The fourth item of an IPv6 address is its zone; a zoned address is never public.
        zone = address[3] if family == socket.AF_INET6 and len(address) > 3 else 0
        if zone or not self.policy.allows(address[0], address[1]):
            raise AddressRefused
        note = dialled.get()
        if note is not None:
            note.address = address[0]
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        return made


class GuardedLookup:
    """
    Looks names up within a deadline, and refuses a name with any closed address.

    `lookup` is `names.NameServers`, or stands in for it. Whoever made it closes it.
    """

    def __init__(
        self, policy: AddressPolicy, lookup: Lookup, *, timeout_seconds: float = LOOKUP_SECONDS
    ) -> None:
        self._policy = policy
        self._lookup = lookup
        self._timeout_seconds = timeout_seconds

    async def addresses(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> Sequence[Found]:
        """Return the name's addresses. Raises `AddressRefused`, or OSError when there is no answer in time."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answers = await self._lookup(host, family)
        except TimeoutError:
            raise OSError(f"no answer within {self._timeout_seconds:g} s") from None
        except UnicodeError as error:
            raise OSError("not a host name") from error
        if not 0 < len(answers) <= MOST_ADDRESSES:
            raise OSError(f"{len(answers)} addresses")
        if not all(self._policy.allows(found.address, port) for found in answers):
            raise AddressRefused
        return answers

    async def refusal(self, url: str) -> str | None:
        """Return why a callback to this URL would be blocked, as `services.ports.TargetGuard` says."""
        parts = URL(url)
        if not parts.host or parts.port is None:
            return "target address is not public"
        try:
            await self.addresses(parts.host, parts.port)
        except AddressRefused as refused:
            return str(refused)
        except OSError:
            # Nobody knows the name now; that is no matter of policy.
            return None
        return None
