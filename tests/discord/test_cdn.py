"""Results are read from the CDN in pieces, within limits, and never with a token; here from a hostile one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from pikarelay.discord.client import cdn as module
from pikarelay.discord.client.cdn import Cdn
from pikarelay.outbound import open_origin_session
from pikarelay.services.ports import CopyFailed, FileSource

#: For the type checker: it is what the services ask for.
PORTS: tuple[type[FileSource], ...] = (Cdn,)
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + b"m" * 100_000
LARGEST = 200_000


class OddCdn:
    """Answers with the very bytes it is told to, whatever HTTP says about them."""

    def __init__(self) -> None:
        self.url = ""
        #: What is written, piece by piece; after the last the connection is closed, unless `holds`.
        self.pieces: list[bytes] = []
        self.holds = False
        #: The heads of the requests that came.
        self.requests: list[bytes] = []
        #: Set when a client has gone.
        self.left = asyncio.Event()

    def says(self, head: str, *body: bytes) -> None:
        self.pieces = [head.replace("\n", "\r\n").encode() + b"\r\n\r\n", *body]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
            if self.holds:
                await reader.read()
        except ConnectionError:
            pass
        finally:
            self.left.set()
            writer.close()


@pytest.fixture
async def odd() -> AsyncIterator[OddCdn]:
    odd = OddCdn()
    server = await asyncio.start_server(odd.serve, "127.0.0.1", 0)
    odd.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield odd


@asynccontextmanager
async def a_cdn(odd: OddCdn) -> AsyncIterator[Cdn]:
    async with open_origin_session([odd.url], user_agent="test") as session:
        yield Cdn(session, largest=LARGEST)


@pytest.fixture
async def cdn(odd: OddCdn) -> AsyncIterator[Cdn]:
    async with a_cdn(odd) as opened:
        yield opened


async def read(cdn: Cdn, url: str) -> tuple[int, str, bytes]:
    async with cdn.open(url) as download:
        body = b"".join([chunk async for chunk in download.chunks])
        return download.size, download.media_type, body


async def test_read_whole(odd: OddCdn, cdn: Cdn) -> None:
    """A file comes byte for byte, with its size, and the type that its bytes say, not the one that is claimed."""
    odd.says(f"HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: {len(MP4)}", MP4[:10], MP4[10:])

    assert (len(MP4), "video/mp4", MP4) == await read(cdn, f"{odd.url}/a.mp4?ex=1")


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 63])
async def test_shorter_than_a_head(odd: OddCdn, cdn: Cdn, content: bytes) -> None:
    """A file may be shorter than what it takes to tell its type."""
    odd.says(f"HTTP/1.1 200 OK\nContent-Length: {len(content)}", content)

    assert (len(content), "application/octet-stream", content) == await read(cdn, f"{odd.url}/a")


async def test_no_credentials(odd: OddCdn, cdn: Cdn) -> None:
    """The CDN gets the link, our name, and nothing that says for whom we ask."""
    odd.says("HTTP/1.1 200 OK\nContent-Length: 0\nSet-Cookie: a=b")
    await read(cdn, f"{odd.url}/a?hm=1")
    await read(cdn, f"{odd.url}/a?hm=1")

    names = {line.partition(b":")[0].lower() for line in odd.requests[1].split(b"\r\n")[1:] if line}
    assert odd.requests[0].startswith(b"GET /a?hm=1 HTTP/1.1\r\n")
    assert {b"host", b"user-agent", b"accept", b"accept-encoding"} == names
    assert b"Accept-Encoding: identity" in odd.requests[0]


@pytest.mark.parametrize("status", [204, 206, 302, 404, 429, 500])
async def test_other_answers(odd: OddCdn, cdn: Cdn, status: int) -> None:
    """Anything but 200 is no file; a redirect is not followed."""
    odd.says(f"HTTP/1.1 {status} Other\nContent-Length: 0\nLocation: {odd.url}/b")
    with pytest.raises(CopyFailed, match=f"HTTP status {status}") as failure:
        await read(cdn, f"{odd.url}/a")

    assert not failure.value.is_final
    assert 1 == len(odd.requests)


@pytest.mark.parametrize("size", [LARGEST + 1, 10 * 2**30, 2**63 - 1])
async def test_too_large(odd: OddCdn, cdn: Cdn, size: int) -> None:
    """A file that says to be too large is not begun, and for good: it will not shrink."""
    odd.says(f"HTTP/1.1 200 OK\nContent-Length: {size}", b"x" * 65536)
    with pytest.raises(CopyFailed, match=f"The file has {size} bytes") as failure:
        await read(cdn, f"{odd.url}/a")

    assert failure.value.is_final


async def test_largest_allowed(odd: OddCdn, cdn: Cdn) -> None:
    """A file of the very limit is read."""
    odd.says(f"HTTP/1.1 200 OK\nContent-Length: {LARGEST}", b"x" * LARGEST)

    assert LARGEST == len((await read(cdn, f"{odd.url}/a"))[2])


@pytest.mark.parametrize(
    "head",
    ["HTTP/1.1 200 OK\nTransfer-Encoding: chunked", "HTTP/1.1 200 OK\nConnection: close"],
    ids=["chunked", "until it closes"],
)
async def test_endless(odd: OddCdn, cdn: Cdn, head: str) -> None:
    """A file that does not say how large it is is not begun, for it may have no end."""
    odd.says(head, b"10000\r\n" + b"x" * 65536 + b"\r\n")
    odd.holds = True
    with pytest.raises(CopyFailed, match="does not say how large"):
        await read(cdn, f"{odd.url}/a")
    await odd.left.wait()


async def test_longer_than_said(odd: OddCdn, cdn: Cdn) -> None:
    """An answer that goes on after its announced end, with what is no HTTP, is not trusted."""
    odd.says("HTTP/1.1 200 OK\nContent-Length: 100")
    odd.pieces = [odd.pieces[0] + b"x" * 200]
    with pytest.raises(CopyFailed, match="did not give the file"):
        await read(cdn, f"{odd.url}/a")


@pytest.mark.parametrize("sent", [0, 10, 90_000], ids=["nothing", "within the head", "later"])
async def test_shorter_than_said(odd: OddCdn, cdn: Cdn, sent: int) -> None:
    """A file that breaks off is told as broken, never taken for whole."""
    odd.says("HTTP/1.1 200 OK\nContent-Length: 100000", MP4[:sent])
    with pytest.raises(CopyFailed, match=r"did not give the file \(ClientPayloadError\)"):
        await read(cdn, f"{odd.url}/a")


@pytest.mark.parametrize("sent", [[], [b"x" * 1000]], ids=["no answer", "in the middle"])
async def test_silence(odd: OddCdn, sent: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A CDN that says nothing for too long is given up, in the middle of a file too."""
    monkeypatch.setattr(module, "PAUSE", 0.05)
    if sent:
        odd.says("HTTP/1.1 200 OK\nContent-Length: 100000", *sent)
    odd.holds = True
    async with a_cdn(odd) as cdn:
        with pytest.raises(CopyFailed, match="did not give the file"):
            await read(cdn, f"{odd.url}/a")


async def test_inflates_nothing(odd: OddCdn, cdn: Cdn) -> None:
    """An answer that claims to be compressed is taken as it is: a file cannot grow here."""
    odd.says("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 4", b"\x1f\x8b\x08\x00")

    assert b"\x1f\x8b\x08\x00" == (await read(cdn, f"{odd.url}/a"))[2]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/a", "https://elsewhere.example/a", "file:///etc/passwd", ""]
)
async def test_other_hosts_are_not_asked(odd: OddCdn, cdn: Cdn, url: str) -> None:
    """A link that leads elsewhere is refused before anything is dialled."""
    with pytest.raises(CopyFailed, match="did not give the file"):
        await read(cdn, url)

    assert [] == odd.requests


async def test_failures_quote_nothing(odd: OddCdn, cdn: Cdn) -> None:
    """A link is the permission to read: no failure repeats it."""
    odd.says("HTTP/1.1 200 OK\nContent-Length: 9")
    with pytest.raises(CopyFailed) as failure:
        await read(cdn, f"{odd.url}/a?hm=canary")

    assert "canary" not in str(failure.value)


async def test_let_go(odd: OddCdn, cdn: Cdn) -> None:
    """Whoever stops in the middle of a file does not read the rest of it."""
    odd.says("HTTP/1.1 200 OK\nContent-Length: 200000", b"x" * 1000)
    odd.holds = True
    async with cdn.open(f"{odd.url}/a") as download:
        assert await anext(download.chunks)
    await odd.left.wait()


async def test_mistakes_of_the_reader_pass(odd: OddCdn, cdn: Cdn) -> None:
    """What whoever reads raises is theirs, not the CDN's."""
    odd.says(f"HTTP/1.1 200 OK\nContent-Length: {len(MP4)}", MP4)
    with pytest.raises(aiohttp.ClientError, match="mine"):
        async with cdn.open(f"{odd.url}/a"):
            raise aiohttp.ClientError("mine")
