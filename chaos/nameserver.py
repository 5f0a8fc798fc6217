"""A name server that answers, refuses, floods or says nothing, as told for each name. By UDP and by TCP, on one port."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

#: What fits into one datagram for a client that does not say how much it takes.
_SMALL = 512
_INTERNET = 1


@dataclass(frozen=True)
class Reply:
    """What a question for a name's addresses is answered with. Addresses of the other family are left out."""

    addresses: tuple[str, ...] = ()
    code: dns.rcode.Rcode = dns.rcode.NOERROR
    is_silent: bool = False


#: Given a name without its last dot, in lower case, and how many lookups of it came before.
Book = Callable[[str, int], Reply]


class NameServer:
    """
    Answers from `book`. A question for IPv4 addresses begins a lookup; the one for IPv6 addresses belongs to it.

    `asked` counts lookups by name, repetitions of a question that was not answered included.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self.asked: dict[str, int] = {}
        self.port = 0

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1") -> AsyncIterator["NameServer"]:
        tcp = await asyncio.start_server(self._converse, host, 0)
        self.port = tcp.sockets[0].getsockname()[1]
        udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(self), (host, self.port)
        )
        try:
            yield self
        finally:
            udp.close()
            tcp.close()

    @asynccontextmanager
    async def apart(self) -> AsyncIterator["NameServer"]:
        """Serve on a thread of its own, where nothing else keeps it from answering. The book is read there."""
        ours, stop = asyncio.get_running_loop(), asyncio.Event()
        ready: asyncio.Future[asyncio.AbstractEventLoop] = ours.create_future()

        async def serve() -> None:
            async with self.serving():
                ours.call_soon_threadsafe(ready.set_result, asyncio.get_running_loop())
                await stop.wait()

        serving = asyncio.ensure_future(asyncio.to_thread(asyncio.run, serve()))
        its = await ready
        try:
            yield self
        finally:
            its.call_soon_threadsafe(stop.set)
            await serving

    def answer(self, wire: bytes, limit: int | None = None) -> bytes | None:
        """
        Return the answer to one question. None for silence.

        Cut to `limit`, or what the client takes, with a mark that there is more.
        """
        question = dns.message.from_wire(wire)
        (asked,) = question.question
        name = asked.name.to_text(omit_final_dot=True).lower()
        before = self.asked.get(name, 0)
        if asked.rdtype == dns.rdatatype.A:
            self.asked[name] = before + 1
        else:
            before = max(0, before - 1)
        reply = self.book(name, before)
        if reply.is_silent:
            return None
        made = dns.message.make_response(question, recursion_available=True)
        made.use_edns(False)
        made.set_rcode(reply.code)
        records = _records(reply.addresses, asked.rdtype)
        if limit is not None:
            room = max(limit, question.payload) - len(made.to_wire())
            fitting = room // max(map(len, records), default=1)
            if fitting < len(records):
                made.flags |= dns.flags.TC
                records = records[:fitting]
        packed = made.to_wire()
        # The number of answers is at byte six; they come last, since there is nothing else.
        return packed[:6] + struct.pack("!H", len(records)) + packed[8:] + b"".join(records)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                answer = self.answer(await reader.readexactly(length))
                if answer is not None:
                    writer.write(struct.pack("!H", len(answer)) + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@cache
def _records(addresses: tuple[str, ...], kind: dns.rdatatype.RdataType) -> list[bytes]:
    """Return those addresses that a question of this kind asks for, as records of the name that was asked for."""
    version = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}.get(kind)
    found = [its.packed for its in map(ip_address, addresses) if its.version == version]
    # The name is a pointer to the question's, which begins at byte twelve. A thousand of them must not take long.
    return [b"\xc0\x0c" + struct.pack("!HHIH", kind, _INTERNET, 0, len(its)) + its for its in found]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]  # always one of datagrams

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        answer = self._server.answer(data, _SMALL)
        if answer is not None:
            self._transport.sendto(answer, address)
