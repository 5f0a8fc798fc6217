"""Names, asked of a real name server on loopback that plays everything that one can do wrong."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import dns.rcode
import pytest
from chaos.nameserver import Book, NameServer, Reply

from pikarelay.callbacks.addresses import AddressPolicy, parse_exceptions
from pikarelay.callbacks.guard import MOST_ADDRESSES
from pikarelay.callbacks.names import Found, NameServers
from pikarelay.callbacks.sender import HttpCallbackSender
from pikarelay.outbound import open_callback_session
from pikarelay.services.ports import Callback, Delivery
from pikarelay.system import SystemClock

V4, V6 = socket.AF_INET, socket.AF_INET6
#: Only the receivers' own address is open.
POLICY = AddressPolicy(exceptions=parse_exceptions(["127.0.0.1/32"]))


@asynccontextmanager
async def asking(book: Book) -> AsyncIterator[tuple[NameServer, NameServers]]:
    async with (
        NameServer(book).serving() as server,
        NameServers.open([f"127.0.0.1:{server.port}"]) as names,
    ):
        yield server, names


def a_callback(url: str) -> Callback:
    return Callback(
        callback_id="cb_1", job_id="j1", url=url, body=b"{}", attempt=1, created=datetime.now(UTC)
    )


async def send(url: str, book: Book, policy: AddressPolicy = POLICY, **options: Any) -> Delivery:
    """Send one callback to a name that the book knows."""
    async with (
        asking(book) as (_, names),
        open_callback_session(policy, names, user_agent="pikarelay/test", **options) as session,
    ):
        return await HttpCallbackSender(session, SystemClock()).send(a_callback(url))


def always(*addresses: str, **its: Any) -> Callable[[str, int], Reply]:
    return lambda _name, _before: Reply(addresses, **its)


async def test_both_families_are_found() -> None:
    """A name's addresses are found, of both families and in no order that this machine's network would choose."""
    async with asking(always("192.0.2.1", "2001:db8::1")) as (_, names):
        found = await names("both.example", socket.AF_UNSPEC)

    assert {Found(V4, "192.0.2.1"), Found(V6, "2001:db8::1")} == set(found)


async def test_name_is_delivered_to(open_receiver: Any) -> None:
    """A callback goes to the address that the operator's name server has for its host."""
    receiver = await open_receiver()
    delivery = await send(f"http://open.example:{receiver.port}/", always("127.0.0.1"))

    assert (200, None, "127.0.0.1") == (delivery.status, delivery.error, delivery.address)


@pytest.mark.parametrize("name", ["0x7f.1", "2130706433", "127.1", "::1"])
async def test_spelled_addresses_are_not_asked_for(name: str) -> None:
    """What the system takes for an address is one, and no name server hears of it."""
    async with asking(always("192.0.2.1")) as (server, names):
        found = await names(name, socket.AF_UNSPEC)

    assert [Found(V6, "::1") if ":" in name else Found(V4, "127.0.0.1")] == found
    assert {} == server.asked


@pytest.mark.parametrize(
    ("book", "error"),
    [
        (always(code=dns.rcode.NXDOMAIN), "dns"),
        (always(code=dns.rcode.SERVFAIL), "dns"),
        (always(code=dns.rcode.REFUSED), "dns"),
        (always(), "dns"),
        (always(*(f"127.0.{n // 250}.{1 + n % 250}" for n in range(1000))), "dns"),
        (always("127.0.0.1", "127.0.0.2"), "blocked"),
        (always("127.0.0.1", "::1"), "blocked"),
        (always("127.0.0.1", "10.0.0.1", "93.184.215.14"), "blocked"),
    ],
    ids=["NXDOMAIN", "SERVFAIL", "REFUSED", "empty", "1,000", "mixed", "mixed families", "three kinds"],
)
async def test_bad_answers_have_a_class(open_receiver: Any, book: Book, error: str) -> None:
    """Whatever is wrong with a name's answer has its word in the log, and nobody is connected to."""
    receiver = await open_receiver()
    delivery = await send(f"http://bad.example:{receiver.port}/", book)

    assert (None, error, None) == (delivery.status, delivery.error, delivery.address)
    assert receiver.connections == 0


@pytest.mark.parametrize(("count", "error"), [(MOST_ADDRESSES, None), (MOST_ADDRESSES + 1, "dns")])
async def test_number_of_addresses_is_bounded(open_receiver: Any, count: int, error: str | None) -> None:
    """A name has as many addresses as anybody may need, and no more."""
    receiver = await open_receiver()
    open_to_all = AddressPolicy(exceptions=parse_exceptions(["127.0.0.0/8"]))
    others = tuple(f"127.0.1.{n}" for n in range(1, count))
    delivery = await send(f"http://many.example:{receiver.port}/", always("127.0.0.1", *others), open_to_all)

    assert error == delivery.error
    assert (error is None) == (receiver.connections == 1)


async def test_silence_ends_at_the_deadline() -> None:
    """A name that no server answers for is given up at the lookup's own deadline, long before the try's."""
    delivery = await send("http://silent.example/", always(is_silent=True), dns_seconds=0.2)

    assert (None, "dns") == (delivery.status, delivery.error)
    assert timedelta(seconds=0.2) <= delivery.duration < timedelta(seconds=5)


async def test_silent_names_delay_nobody() -> None:
    """While three hundred names wait for an answer that never comes, other names are found."""
    asked = asyncio.Event()

    def book(name: str, _before: int) -> Reply:
        if name.startswith("silent"):
            asked.set()
            return Reply(is_silent=True)
        return Reply(("192.0.2.1",))

    async with asking(book) as (_, names):
        waiting = [
            asyncio.create_task(names(f"silent-{number}.example", socket.AF_UNSPEC)) for number in range(300)
        ]
        await asked.wait()
        found = await asyncio.gather(*(names(f"good-{n}.example", socket.AF_UNSPEC) for n in range(20)))
        answered = [task for task in waiting if task.done()]
        for task in waiting:
            task.cancel()

    assert [[Found(V4, "192.0.2.1")]] * 20 == found
    assert [] == answered


async def test_each_try_asks_again(open_receiver: Any) -> None:
    """A name whose address turns between two tries is judged anew at each: no answer outlives its time."""
    receiver = await open_receiver()

    def turning(_name: str, before: int) -> Reply:
        return Reply(("127.0.0.2",) if before % 2 else ("127.0.0.1",))

    async with (
        asking(turning) as (server, names),
        open_callback_session(POLICY, names, user_agent="pikarelay/test") as session,
    ):
        sender = HttpCallbackSender(session, SystemClock())
        url = f"http://turning.example:{receiver.port}/"
        errors = [(await sender.send(a_callback(url))).error for _ in range(20)]

    assert [None, "blocked"] * 10 == errors
    assert {"turning.example": 20} == server.asked
    assert receiver.connections == 10
