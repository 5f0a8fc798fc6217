"""Copies in a bucket, on a server that speaks S3 and refuses every signature that is not right."""

import asyncio
import gc
import os
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pikarelay.jobs.secret import Secret
from pikarelay.mirror.bucket import BucketMirror, BucketPlace
from pikarelay.outbound import open_origin_session
from pikarelay.services.ports import CopyFailed, Download, Mirror
from tests.mirror.downloads import a_broken_download, a_download
from tests.s3 import BUCKET, KEY, S3, s3_server

#: For the type checker: it is what the services ask for.
PORTS: tuple[type[Mirror], ...] = (BucketMirror,)
MIB = 1024 * 1024

Opener = Callable[..., Awaitable[BucketMirror]]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def a_place(endpoint: str, **its: Any) -> BucketPlace:
    given = {
        "bucket": BUCKET,
        "prefix": "pika/videos",
        "endpoint": endpoint,
        "region": "us-east-1",
        "is_path_style": True,
        "access_key_id": KEY,
        "secret_access_key": Secret(KEY),
        **its,
    }
    return BucketPlace(**given)


@pytest.fixture
async def open_mirror(s3: S3) -> AsyncIterator[Opener]:
    """Open mirrors on the running server, or on another endpoint."""
    async with AsyncExitStack() as stack:

        async def open_one(endpoint: str | None = None, **its: Any) -> BucketMirror:
            place = a_place(endpoint or s3.url, **its)
            session = await stack.enter_async_context(open_origin_session([place.url], user_agent="test"))
            return BucketMirror(place, session)

        yield open_one
    await hung_up()


async def hung_up() -> None:
    """
    Wait until no connection is left that was closed while more was to be sent.

    A server that has refused a long body hangs up when it likes; the connection goes then, and its loop must be there.
    """

    def is_waiting(it: object) -> bool:
        return (
            isinstance(it, asyncio.Transport)
            and it.is_closing()
            and (its := it.get_extra_info("socket")) is not None
            and its.fileno() >= 0
        )

    async with asyncio.timeout(30):
        while any(map(is_waiting, gc.get_objects())):  # noqa: ASYNC110  # they tell nobody
            await asyncio.sleep(0.01)


@pytest.fixture
async def mirror(open_mirror: Opener) -> BucketMirror:
    return await open_mirror()


async def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    """Follow a link as anybody would, without credentials."""
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_kept(mirror: BucketMirror, s3: S3) -> None:
    """A copy lies in the bucket under its prefix, byte for byte."""
    content = os.urandom(3 * MIB + 17)
    await mirror.put("kept.mp4", a_download(content))

    assert content == s3.objects()["pika/videos/kept.mp4"]


async def test_no_prefix(open_mirror: Opener, s3: S3) -> None:
    """Without a prefix, keys are names."""
    await (await open_mirror(prefix="")).put("bare.mp4", a_download())

    assert b"a video" == s3.objects()["bare.mp4"]


@pytest.mark.parametrize(
    ("media_type", "shown"), [("video/mp4", "inline"), ("application/octet-stream", "attachment")]
)
async def test_link(mirror: BucketMirror, media_type: str, shown: str) -> None:
    """Anybody can read a copy by the link that is made for them, in parts too, with the type that it was given."""
    await mirror.put("link.mp4", a_download(b"a video", media_type))
    url = await mirror.find("link.mp4", method="GET")
    status, headers, body = await ask(url)
    part = await ask(url, Range="bytes=2-4")

    assert (200, b"a video", media_type) == (status, body, headers["Content-Type"])
    assert f'{shown}; filename="link.mp4"' == headers["Content-Disposition"]
    assert (206, b"vid") == (part[0], part[2])


async def test_link_for_its_method(mirror: BucketMirror) -> None:
    """A link is good for the method that it was made for, and for an hour."""
    await mirror.put("link.mp4", a_download())
    url = await mirror.find("link.mp4", method="HEAD")

    assert 200 == (await ask(url, "HEAD"))[0]
    assert 403 == (await ask(url, "GET"))[0]
    assert "X-Amz-Expires=3600&" in url


async def test_link_where_the_bucket_is_open(open_mirror: Opener) -> None:
    """Where everybody can read the bucket, the link is plain."""
    mirror = await open_mirror(public_url="https://results.example.org")

    assert "https://results.example.org/pika/videos/a.mp4" == await mirror.find("a.mp4", method="GET")


async def test_put_again(mirror: BucketMirror, s3: S3) -> None:
    """A copy that is made again takes the place of the one before."""
    await mirror.put("again.mp4", a_download(b"old"))
    await mirror.put("again.mp4", a_download(b"newer"))

    assert b"newer" == s3.objects()["pika/videos/again.mp4"]


async def test_removed(mirror: BucketMirror, s3: S3) -> None:
    """Copies are removed; one that is gone already is no error."""
    await mirror.put("gone.mp4", a_download())
    await mirror.remove(["gone.mp4", "never-was.mp4"])

    assert "pika/videos/gone.mp4" not in s3.objects()


async def test_never_in_memory(mirror: BucketMirror) -> None:
    """A file of sixty-four MiB goes through a few MiB of memory."""
    chunk = b"x" * (64 * 1024)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1024):
            yield chunk

    tracemalloc.start()
    try:
        await mirror.put("large.mp4", Download(size=64 * MIB, media_type="video/mp4", chunks=chunks()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * MIB


async def test_broken_off(mirror: BucketMirror) -> None:
    """When the file breaks off on its way here, that is the reason which is told, not what it did to the request."""
    with pytest.raises(CopyFailed, match=r"^the line broke$"):
        await mirror.put("broken.mp4", a_broken_download(b"x" * MIB, CopyFailed("the line broke")))


@pytest.mark.parametrize("size", [10, 20 * MIB])
async def test_wrong_secret(open_mirror: Opener, size: int) -> None:
    """A refusal is told by S3's own word, however much was still to be sent, and without anything secret."""
    mirror = await open_mirror(secret_access_key=Secret("not the secret"))
    with pytest.raises(CopyFailed) as failure:
        await mirror.put("a.mp4", a_download(b"x" * size))

    assert "The bucket answered HTTP status 403 (SignatureDoesNotMatch)." == str(failure.value)
    assert not failure.value.is_final


async def test_no_such_bucket(open_mirror: Opener) -> None:
    """A bucket that is not there is told as such."""
    mirror = await open_mirror(bucket="other")
    with pytest.raises(CopyFailed, match=r"HTTP status 404 \(NoSuchBucket\)"):
        await mirror.put("a.mp4", a_download())


def nowhere() -> str:
    """Return the address of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


async def test_nobody_there(open_mirror: Opener) -> None:
    """A bucket that is away is told as a failure that may pass, and a file on its way is not begun."""
    mirror, asked = await open_mirror(nowhere()), []

    async def chunks() -> AsyncIterator[bytes]:
        asked.append("a chunk")
        yield b"x"

    download = Download(size=1, media_type="video/mp4", chunks=chunks())
    for work in (mirror.put("a.mp4", download), mirror.remove(["a.mp4"])):
        with pytest.raises(CopyFailed, match="The bucket did not answer") as failure:
            await work
        assert not failure.value.is_final
    assert [] == asked


async def test_redirects_are_not_followed(open_mirror: Opener) -> None:
    """A bucket that answers with another address is refused: credentials go where the operator said."""

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", elsewhere)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        mirror = await open_mirror(f"http://127.0.0.1:{runner.addresses[0][1]}")
        with pytest.raises(CopyFailed, match="HTTP status 307"):
            await mirror.put("a.mp4", a_download())
        with pytest.raises(CopyFailed, match="HTTP status 307"):
            await mirror.remove(["a.mp4"])
    finally:
        await runner.cleanup()


async def test_the_session_stays_at_the_endpoint(s3: S3) -> None:
    """A session for another endpoint does not reach this one, so nothing can lead the mirror astray."""
    async with open_origin_session(["http://127.0.0.1:9"], user_agent="test") as session:
        with pytest.raises(CopyFailed, match="OriginRefused"):
            await BucketMirror(a_place(s3.url), session).put("a.mp4", a_download())


async def test_environment_is_not_read(
    open_mirror: Opener, s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither proxies nor credentials of the environment are used."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, nowhere())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "else")
    monkeypatch.setenv("HOME", str(tmp_path))
    await (await open_mirror()).put("mine.mp4", a_download())

    assert b"a video" == s3.objects()["pika/videos/mine.mp4"]


@pytest.mark.parametrize(
    ("is_path_style", "url"),
    [(True, "https://s3.example.org:9000/results"), (False, "https://results.s3.example.org:9000")],
)
async def test_both_styles(open_mirror: Opener, url: str, *, is_path_style: bool) -> None:
    """The bucket's name stands in the path, or begins the host's."""
    mirror = await open_mirror("https://s3.example.org:9000", is_path_style=is_path_style)
    link = await mirror.find("a.mp4", method="GET")

    assert f"{url}/pika/videos/a.mp4?" == link[: link.index("?") + 1]
    assert f"s3:{url}/pika/videos" == mirror.name


async def test_secret_is_not_shown() -> None:
    """A bucket's place can be shown without giving its key away."""
    assert "hush" not in repr(a_place("http://127.0.0.1:1", secret_access_key=Secret("hush")))


async def test_problem(open_mirror: Opener) -> None:
    """A bucket that cannot be used is told in a sentence; one that can, empty or not, is none."""
    assert None is await (await open_mirror()).problem()
    wrong = await (await open_mirror(secret_access_key=Secret("wrong"))).problem()
    assert "The bucket answered HTTP status 403 (SignatureDoesNotMatch)." == wrong
    missing = await (await open_mirror(bucket="other")).problem()
    assert "The bucket answered HTTP status 404 (NoSuchBucket)." == missing
    away = await (await open_mirror(nowhere())).problem()

    assert away is not None
    assert away.startswith("The bucket did not answer")
