"""The address policy, against a table of known dangers and an oracle written another way."""

import os
import random
from ipaddress import IPv4Address, IPv6Address

import pytest

from pikarelay.callbacks.addresses import AddressPolicy, is_open_port, parse_exceptions

CLOSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "2606:4700::1%1",
    "fec0::1",
    "ff02::1",
]
OPEN = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::200e",
    "::ffff:8.8.8.8",
]
NOT_ADDRESSES = [
    "",
    "localhost",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "\uff11.1.1.1",
    "1.1.1.1 ",
]


@pytest.mark.parametrize("address", CLOSED + NOT_ADDRESSES)
def test_dangers_are_closed(address: str) -> None:
    """Nothing that is inside, special, or spelt oddly may be dialled."""
    assert not AddressPolicy().allows(address, 443)


@pytest.mark.parametrize("address", OPEN)
def test_public_addresses_are_open(address: str) -> None:
    """The public internet is not closed by accident."""
    assert AddressPolicy().allows(address, 443)


def oracle(address: str) -> bool:
    """Judge by bit arithmetic on the RFCs' prefixes, without any network object."""
    if ":" not in address:
        return oracle_v4(int(IPv4Address(address)))
    bits = int(IPv6Address(address))
    if bits >> 32 == 0xFFFF:
        return oracle_v4(bits & 0xFFFFFFFF)
    top = bits >> 96
    return not any(
        (
            top >> 29 != 0b001,
            top >> 9 == 0x20010000 >> 9,
            top == 0x20010DB8,
            top >> 16 == 0x2002,
            top >> 12 == 0x3FFF0000 >> 12,
        )
    )


def oracle_v4(bits: int) -> bool:
    a, b, c = bits >> 24, bits >> 16 & 255, bits >> 8 & 255
    return not any(
        (
            a in {0, 10, 127} or a >= 224,
            a == 100 and 64 <= b < 128,
            (a, b) in {(169, 254), (192, 168), (198, 18), (198, 19)},
            a == 172 and 16 <= b < 32,
            (a, b, c) in {(192, 0, 0), (192, 0, 2), (192, 88, 99), (198, 51, 100), (203, 0, 113)},
        )
    )


def sample(chance: random.Random) -> str:
    """Return an address, most often near an edge of some block."""
    match chance.randrange(5):
        case 0:
            return str(IPv4Address(chance.getrandbits(32)))
        case 1:
            edge = int(IPv4Address(chance.choice([text for text in CLOSED if ":" not in text])))
            return str(IPv4Address((edge ^ (1 << chance.randrange(32))) & 0xFFFFFFFF))
        case 2:
            return str(IPv6Address(chance.getrandbits(128)))
        case 3:
            return str(IPv6Address((0xFFFF << 32) | chance.getrandbits(32)))
        case _:
            edge = int(
                IPv6Address(chance.choice([text for text in CLOSED if ":" in text and "%" not in text]))
            )
            return str(IPv6Address(edge ^ (1 << chance.randrange(128))))


def test_policy_agrees_with_an_oracle() -> None:
    """Random addresses, many of them one bit off a closed one, get the oracle's verdict; RANDOM_ADDRESSES says how many."""
    policy = AddressPolicy()
    chance = random.Random(20260801)
    addresses = [sample(chance) for _ in range(int(os.environ.get("RANDOM_ADDRESSES", "20000")))]

    disagreements = [text for text in addresses if policy.allows(text, 443) != oracle(text)]

    assert disagreements == []
    # Both verdicts are well represented, so that agreeing means something.
    assert 0.1 < sum(map(oracle, addresses)) / len(addresses) < 0.9


@pytest.mark.parametrize(
    ("port", "is_open"),
    [
        (0, False),
        (22, False),
        (25, False),
        (80, True),
        (81, False),
        (443, True),
        (1023, False),
        (1024, True),
        (6379, True),
        (65535, True),
        (65536, False),
        (-1, False),
    ],
)
def test_ports_of_system_services_are_closed(port: int, *, is_open: bool) -> None:
    """Of the first 1,024 ports only the web's are open."""
    assert is_open == is_open_port(port)
    assert is_open == AddressPolicy().allows("1.1.1.1", port)


def test_operator_opens_a_network() -> None:
    """An exception opens what is in it, in IPv4's and in IPv6's spelling, and nothing beside it."""
    policy = AddressPolicy(exceptions=parse_exceptions(["10.1.0.0/16", " fd12::/16 "]))

    assert policy.allows("10.1.2.3", 8080)
    assert policy.allows("::ffff:10.1.2.3", 8080)
    assert policy.allows("fd12::7", 8080)
    assert not policy.allows("10.2.0.1", 8080)
    assert not policy.allows("10.1.2.3", 22)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
    ],
)
def test_no_wide_network_opens_metadata(address: str) -> None:
    """Opening everything still leaves closed what nobody means by it."""
    wide = ["0.0.0.0/0", "::/0", "169.254.0.0/16", "100.100.100.0/24", "fd00:ec2::/32", "64:ff9b::/96"]

    assert not AddressPolicy(exceptions=parse_exceptions(wide)).allows(address, 80)
    assert not AddressPolicy(exceptions=parse_exceptions(wide), nat64=True).allows(address, 80)


def test_exact_exception_opens_metadata() -> None:
    """Who names a link-local address itself, means it."""
    policy = AddressPolicy(exceptions=parse_exceptions(["169.254.7.7/32", "fd00:ec2::254/128"]))

    assert policy.allows("169.254.7.7", 80)
    assert policy.allows("fd00:ec2::254", 80)
    assert not policy.allows("169.254.7.8", 80)


def test_nat64_is_judged_by_what_is_inside() -> None:
    """On a network without IPv4, the translated form of a public address is public, of a private one not."""
    policy = AddressPolicy(nat64=True)

    assert policy.allows("64:ff9b::808:808", 443)
    assert not policy.allows("64:ff9b::7f00:1", 443)
    assert not policy.allows("64:ff9b::a9fe:a9fe", 443)
    assert not AddressPolicy().allows("64:ff9b::808:808", 443)


def test_own_address_stays_closed() -> None:
    """No exception lets a callback come back to this server."""
    policy = AddressPolicy(
        exceptions=parse_exceptions(["127.0.0.0/8", "::1/128"]),
        own=frozenset({(IPv4Address("127.0.0.1"), 8080)}),
    )

    assert not policy.allows("127.0.0.1", 8080)
    assert not policy.allows("::ffff:127.0.0.1", 8080)
    assert policy.allows("127.0.0.1", 8081)
    assert policy.allows("127.0.0.2", 8080)


def test_listening_everywhere_closes_every_loopback_address() -> None:
    """The unspecified address stands for all the ways home."""
    policy = AddressPolicy(
        exceptions=parse_exceptions(["127.0.0.0/8", "::1/128", "10.0.0.0/8"]),
        own=frozenset({(IPv4Address("0.0.0.0"), 8080)}),
    )

    assert not policy.allows("127.0.0.9", 8080)
    assert not policy.allows("::1", 8080)
    assert policy.allows("127.0.0.9", 8081)
    assert policy.allows("10.0.0.9", 8080)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "example.com", "10.0.0.0/33", ""])
def test_exceptions_are_networks(text: str) -> None:
    """A name, or an address with host bits, is refused rather than guessed at."""
    with pytest.raises(ValueError, match=r"."):
        parse_exceptions([text])
