"""
Where a cluster's nodes are: hosts of their own on a network that can be cut, or, where the machine allows no more, all on loopback.

On loopback each node reaches the database through a proxy, and a cut is that the proxy passes nothing on.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import IPv4Interface
from typing import Protocol

from chaos.processes import own_address
from chaos.receiver import LOOPBACK
from tests.proxy import Proxy, proxy_to


class Host(Protocol):
    """Where one node runs. What is cut stays cut until `mend`."""

    #: Where its server listens.
    address: tuple[str, int]

    @property
    def namespace(self) -> str | None:
        """The file of its network namespace. None: it has none of its own."""
        ...

    async def reset(self) -> None:
        """Break its connections to the database; both ends are told."""
        ...

    async def lose_database(self) -> None:
        """Let nothing more arrive from it at the database. Nobody is told."""
        ...

    async def unplug(self) -> None:
        """Let nothing at all pass between it and anybody."""
        ...

    async def mend(self) -> None: ...


class Network(Protocol):
    """All hosts, and where everybody else is."""

    #: What it is, for whoever reads the run's output.
    words: str
    #: Whether hosts can be cut off from everything; else only from the database.
    can_unplug: bool
    #: Where the local Discord listens.
    discord_host: str
    #: Where the nodes may call back.
    receivers: str

    @property
    def database_interface(self) -> IPv4Interface | None:
        """Where the database listens beside loopback, and whom it trusts there."""
        ...

    @property
    def receiver_hosts(self) -> Sequence[str]: ...

    def host(self, database_port: int, /) -> AbstractAsyncContextManager[Host]:
        """Add a host, until the block ends."""
        ...

    def url_of(self, database: str, host: Host, /) -> str:
        """Return the database's address as a host knows it, given as the harness does."""
        ...


class Loopback:
    """A `Network` that is none."""

    can_unplug = False
    discord_host = "127.0.0.1"
    database_interface: IPv4Interface | None = None
    receiver_hosts: Sequence[str] = LOOPBACK
    receivers = "127.0.0.0/8"

    def __init__(self, reason: str) -> None:
        self.words = f"all on loopback, cut by a proxy before the database, for there are no network namespaces: {reason}"

    @asynccontextmanager
    async def host(self, database_port: int) -> AsyncIterator["LoopbackHost"]:
        async with proxy_to(database_port) as proxy:
            yield LoopbackHost(proxy, database_port)

    def url_of(self, database: str, host: Host) -> str:
        assert isinstance(host, LoopbackHost)
        return database.replace(f":{host.database_port}/", f":{host.proxy.port}/")


class LoopbackHost:
    """A `Host` on loopback."""

    namespace: str | None = None

    def __init__(self, proxy: Proxy, database_port: int) -> None:
        self.proxy = proxy
        self.database_port = database_port
        self.address = own_address()

    async def reset(self) -> None:
        self.proxy.cut()

    async def lose_database(self) -> None:
        self.proxy.stall()

    async def unplug(self) -> None:
        raise NotImplementedError("nothing is between it and the others")

    async def mend(self) -> None:
        self.proxy.flow()
