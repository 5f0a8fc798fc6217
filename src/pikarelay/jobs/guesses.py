"""
How many requests without a valid API token a client address may send.

Nobody is locked out: whoever brings a valid token is served, and is never counted. So behind a proxy, where everybody has
one address, a guesser costs nobody anything but the words of a refusal.
"""

from datetime import timedelta
from ipaddress import IPv6Address, ip_address

#: An address's count begins with its first failure, and is forgotten so much later.
COUNTED_FOR = timedelta(minutes=1)
#: How many addresses are counted at once. Beyond them the oldest count is forgotten, which only spares its address a 429.
MOST_ADDRESSES = 10_000


class Guesses:
    """The failures of each address. The time that it is told never goes back."""

    def __init__(self, limit: int, most_addresses: int = MOST_ADDRESSES) -> None:
        """`limit` is how many failures an address may have in a minute; 0: any number."""
        self._limit = limit
        self._most_addresses = most_addresses
        #: When each address's count ends, and how far it is, in the order of their ends.
        self._counts: dict[str, tuple[timedelta, int]] = {}

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._counts)

    def failed(self, address: str, now: timedelta) -> timedelta | None:
        """Count a failure. None: it is within the limit; else how long its address stays beyond."""
        if not self._limit:
            return None
        self._forget_ended(now)
        place = _place(address)
        end, count = self._counts.get(place, (now + COUNTED_FOR, 0))
        if not count and len(self._counts) >= self._most_addresses:
            del self._counts[next(iter(self._counts))]
        # What is there keeps its place in the order.
        self._counts[place] = end, count + 1
        return None if count < self._limit else end - now

    def _forget_ended(self, now: timedelta) -> None:
        while self._counts:
            place, (end, _) = next(iter(self._counts.items()))
            if end > now:
                return
            del self._counts[place]


def _place(address: str) -> str:
    """Return what is counted: an IPv4 address, the /64 of an IPv6 one, which is one customer's; else the text itself."""
    try:
        found = ip_address(address)
    except ValueError:
        # A socket in the file system, say, has no address.
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{IPv6Address(int(found) >> 64 << 64)}/64"
