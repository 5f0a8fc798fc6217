"""A name server that answers, refuses, floods or says nothing, as told for each name. By UDP and by TCP, on one port."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

#: What fits into one datagram for a client that does not say how much it takes.
_SMALL = 512


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

    def answer(self, wire: bytes, limit: int | None = None) -> bytes | None:
        """Return the answer to one question, cut to `limit` with a mark that there is more. None for silence."""
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
        made.set_rcode(reply.code)
        kind = "AAAA" if asked.rdtype == dns.rdatatype.AAAA else "A"
        addresses = [address for address in reply.addresses if (":" in address) == (kind == "AAAA")]
        if addresses:
            made.answer.append(dns.rrset.from_text(asked.name, 0, "IN", kind, *addresses))
        packed = made.to_wire(max_size=65535)
        if limit is not None and len(packed) > max(limit, question.payload, _SMALL):
            made.answer.clear()
            made.flags |= dns.flags.TC
            packed = made.to_wire()
        return packed

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


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]  # always one of datagrams

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        answer = self._server.answer(data, _SMALL)
        if answer is not None:
            self._transport.sendto(answer, address)
