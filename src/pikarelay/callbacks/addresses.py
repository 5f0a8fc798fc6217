"""
Which addresses a callback may be sent to. Pure: it judges addresses, and resolves and dials nothing.

The policy is an allow-list. Of IPv6 only the allocated global unicast block is open, less the parts of it that
carry other addresses inside or lead nowhere; of IPv4 everything but the ranges below, which are the IANA registry's
special-purpose ones. Whatever the tables do not name is closed.

An operator opens more by CIDR, never by name: a name is somebody else's to change. Three things stay closed under
any such network:

- link-local and cloud metadata addresses, unless the exception is that very address, as a /32 or a /128;
- addresses that mean "here", "everybody" or "somebody else, written differently" (unspecified, multicast,
  broadcast, 6to4, Teredo, translated and compatible forms);
- the address this server listens on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

CLOSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)

OPEN_V6 = IPv6Network("2000::/3")

CLOSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",  # documentation
    )
)

#: Opened only by an exception for exactly that address.
ONLY_EXACTLY: tuple[IPNetwork, ...] = (
    IPv4Network("169.254.0.0/16"),
    IPv4Network("100.100.100.200/32"),
    IPv6Network("fe80::/10"),
    IPv6Network("fd00:ec2::254/128"),
)

#: Opened by nothing.
NEVER: tuple[IPNetwork, ...] = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("224.0.0.0/4"),
    IPv4Network("255.255.255.255/32"),
    IPv6Network("::/128"),
    IPv6Network("ff00::/8"),
    # An IPv4 address inside: what is dialled is not what the exception's author read.
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("2001::/32"),
    IPv6Network("2002::/16"),
)

LOOPBACK: tuple[IPNetwork, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))

NAT64 = IPv6Network("64:ff9b::/96")
#: IPv4-compatible addresses, deprecated since 2006. `::1` lies inside, and is its own thing.
COMPATIBLE = IPv6Network("::/96")
_LOOPBACK_V6 = IPv6Address("::1")


def parse_exceptions(texts: Iterable[str]) -> tuple[IPNetwork, ...]:
    """Read an operator's CIDR list. Raises ValueError naming the entry, also when host bits are set."""
    return tuple(ip_network(text.strip()) for text in texts)


def is_open_port(port: int) -> bool:
    """Whether callbacks go to this port at all: 80, 443, and the ports any user's program may listen on."""
    return port in {80, 443} or 1024 <= port <= 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPolicy:
    """
    One operator's policy.

    `own` are the address and port pairs this server listens on; the unspecified address stands for every loopback
    address. With `nat64`, an address of the well-known NAT64 prefix is judged as the IPv4 address inside, which a
    network without IPv4 needs; without it, all of them are closed.
    """

    exceptions: tuple[IPNetwork, ...] = ()
    nat64: bool = False
    own: frozenset[tuple[IPAddress, int]] = frozenset()

    def allows(self, address: str, port: int) -> bool:
        """Whether a connection to that address, as the socket will dial it, may be made."""
        if not is_open_port(port):
            return False
        meant = self._meant(address)
        if meant is None or self._is_own(meant, port):
            return False
        return is_public(meant) or self._is_exception(meant)

    def _meant(self, address: str) -> IPAddress | None:
        """Return the address that is reached in the end. None for what is no address, or has a zone id."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return None
        return parsed if isinstance(parsed, IPv4Address) else self._inside(parsed)

    def _inside(self, address: IPv6Address) -> IPAddress | None:
        """Return the IPv4 address that an IPv6 address stands for, or itself. None when that is nobody's to say."""
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in NAT64 and self.nat64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        is_nowhere = address.scope_id is not None or address in NAT64
        is_compatible = address in COMPATIBLE and address != _LOOPBACK_V6
        return None if is_nowhere or is_compatible else address

    def _is_own(self, address: IPAddress, port: int) -> bool:
        if (address, port) in self.own:
            return True
        listens_everywhere = any(own.is_unspecified and own_port == port for own, own_port in self.own)
        return listens_everywhere and _is_in(address, LOOPBACK)

    def _is_exception(self, address: IPAddress) -> bool:
        if _is_in(address, NEVER):
            return False
        if _is_in(address, ONLY_EXACTLY):
            return ip_network(address) in self.exceptions
        return _is_in(address, self.exceptions)


def is_public(address: IPAddress) -> bool:
    """Whether the address belongs to the public internet. Expects an address that carries no other inside."""
    if isinstance(address, IPv4Address):
        return not _is_in(address, CLOSED_V4)
    return address in OPEN_V6 and not _is_in(address, CLOSED_V6)


def _is_in(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    # A network of the other version contains no address, and says so without raising.
    return any(address in network for network in networks)
