"""
Hosts in network namespaces of their own, on a bridge: what is cut between them are packets, not connections.

Everybody else (the database, the local Discord, callers and their receivers) is where the harness is, at the bridge's addresses.
A host is *unplugged* by its link, as by its cable. It *loses the database* by a neighbour that is not there: its packets to that
address go to a card that nobody has, and it hears of nothing; it still has Discord.

All names begin with `pkr` and the harness's process, so that whoever comes next can remove what a killed one left.
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from chaos.cluster.network import Host
from chaos.receiver import ORIGINS

_NAMESPACES = Path("/run/netns")
_LINKS = Path("/sys/class/net")
#: For tests between networks (RFC 2544): nobody's own. Each run takes a 256th of a half of it.
_NETS = list(IPv4Network("198.18.0.0/15").subnets(new_prefix=24))
_OURS = re.compile(r"pkr(\d+)(-\d+)?")
#: The last numbers of addresses.
_EVERYBODY, _DATABASE, _FIRST_HOST, _FIRST_RECEIVER = 1, 2, 11, 101
_PORT = 8080
_NOBODYS_CARD = "02:00:00:00:00:01"


class NoNamespaces(Exception):
    """The machine does not allow them; the message says why."""


class Namespaces:
    """A `Network`. Made by `open`."""

    can_unplug = True

    def __init__(self, net: IPv4Network) -> None:
        self.name = f"pkr{os.getpid()}"
        self.net = net
        self.words = f"each node in a network namespace of its own, on the bridge {self.name} ({net})"
        self.discord_host = str(net[_EVERYBODY])
        self.database_interface = IPv4Interface((net[_DATABASE], net.prefixlen))
        self.receiver_hosts = [str(net[_FIRST_RECEIVER + n]) for n in range(ORIGINS)]
        self.receivers = str(net)
        self._hosts = 0

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["Namespaces"]:
        """Make the bridge. Raises `NoNamespaces`."""
        if os.geteuid() != 0:
            raise NoNamespaces("this is not root")
        if missing := [name for name in ("ip", "ss") if shutil.which(name) is None]:
            raise NoNamespaces(f"there is no `{missing[0]}`")
        await _sweep()
        network = cls(await _free_net())
        try:
            await network._build()
            yield network
        finally:
            await _remove(network.name)

    async def _build(self) -> None:
        await _run(f"ip link add {self.name} type bridge")
        for address in (self.discord_host, str(self.database_interface.ip), *self.receiver_hosts):
            await _run(f"ip address add {address}/{self.net.prefixlen} dev {self.name}")
        await _run(f"ip link set {self.name} up")
        # That a bridge is allowed does not mean that a namespace is.
        await _run(f"ip netns add {self.name}-0")
        await _run(f"ip netns exec {self.name}-0 ss -KH dst {self.discord_host}")
        await _run(f"ip netns del {self.name}-0")

    @asynccontextmanager
    async def host(self, _database_port: int) -> AsyncIterator["NamespaceHost"]:
        host = NamespaceHost(self, self._hosts)
        self._hosts += 1
        await host.build()
        yield host  # All go with the bridge.

    def url_of(self, database: str, _host: Host) -> str:
        return database.replace("@127.0.0.1:", f"@{self.database_interface.ip}:")


class NamespaceHost:
    """A `Host` in a namespace."""

    def __init__(self, network: Namespaces, number: int) -> None:
        self.name = f"{network.name}-{number}"
        self.namespace = str(_NAMESPACES / self.name)
        self.address = (str(network.net[_FIRST_HOST + number]), _PORT)
        self._network = network
        self._database = str(network.database_interface.ip)

    async def build(self) -> None:
        inside = f"ip -n {self.name}"
        await _run(f"ip netns add {self.name}")
        await _run(f"ip link add {self.name} type veth peer name eth0 netns {self.name}")
        await _run(f"ip link set {self.name} master {self._network.name} up")
        await _run(f"{inside} address add {self.address[0]}/{self._network.net.prefixlen} dev eth0")
        await _run(f"{inside} link set lo up")
        await _run(f"{inside} link set eth0 up")

    async def reset(self) -> None:
        await _run(f"ip netns exec {self.name} ss -KH dst {self._database}")

    async def lose_database(self) -> None:
        await _run(
            f"ip -n {self.name} neighbour replace {self._database} lladdr {_NOBODYS_CARD} nud permanent dev eth0"
        )

    async def unplug(self) -> None:
        """
        Let nothing at all pass between it and anybody.

        Who has called it hears no more from it, also not what it may have sent: a caller that gives up.
        """
        await _run(f"ip link set {self.name} down")
        host, port = self.address
        await _run(f"ss -KH dst {host} dport = :{port}")

    async def mend(self) -> None:
        await _run(f"ip link set {self.name} up")
        await _run(f"ip -n {self.name} neighbour flush {self._database} nud permanent dev eth0")


async def _free_net() -> IPv4Network:
    """Return a net that no link of this machine is in, other for each run if possible."""
    taken = await _run("ip -o -4 address show")
    start = os.getpid() % len(_NETS)
    nets = _NETS[start:] + _NETS[:start]
    return next(net for net in nets if f" {net[_EVERYBODY]}/" not in taken)


async def _sweep() -> None:
    """Remove what runs have left whose process is gone."""
    there = [path.name for folder in (_NAMESPACES, _LINKS) if folder.exists() for path in folder.iterdir()]
    owners = {match[1] for name in there if (match := _OURS.fullmatch(name))}
    for owner in owners:
        if not _is_cluster(Path("/proc") / owner):
            await _remove(f"pkr{owner}")


def _is_cluster(process: Path) -> bool:
    try:
        return b"chaos.cluster" in (process / "cmdline").read_bytes()
    except OSError:
        return False


async def _remove(name: str) -> None:
    """Remove a bridge and its hosts, as far as they are there."""
    for folder, kind in ((_LINKS, "link"), (_NAMESPACES, "netns")):
        for path in sorted(folder.glob(f"{name}*"), reverse=True) if folder.exists() else ():
            if (match := _OURS.fullmatch(path.name)) and f"pkr{match[1]}" == name:
                await _run(f"ip {kind} del {path.name}")


async def _run(command: str) -> str:
    """Run it, and return what it says. Raises `NoNamespaces`."""
    process = await asyncio.create_subprocess_exec(
        *command.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise NoNamespaces(f"`{command}`: {said.decode().strip()}")
    return said.decode()
