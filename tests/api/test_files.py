"""Copies are given out for what they are, and for nothing else."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pikarelay.api.app import Api
from pikarelay.api.files import Files
from pikarelay.api.routing import RouteTable
from pikarelay.contract.bodies import FILES_PATH
from pikarelay.errors import RouteNotFound, Unavailable
from pikarelay.services.find_file import FileElsewhere, FileHere

CONTENT = bytes(range(256)) * 1000


class Finder:
    """Knows one file, or says what it is told to say."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.media_type = "video/mp4"
        self.instead: FileElsewhere | Exception | None = None
        self.asked: list[tuple[str, str]] = []

    async def find(self, name: str, method: str) -> FileHere | FileElsewhere:
        self.asked.append((name, method))
        if isinstance(self.instead, Exception):
            raise self.instead
        return self.instead or FileHere(self.path, self.media_type)


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    path = tmp_path / "a.mp4"
    path.write_bytes(CONTENT)
    return Finder(path)


async def ask(finder: Finder, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    status, answered, body = 0, {}, b""

    async def receive() -> dict[str, Any]:
        # A client that stays.
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, answered, body
        if message["type"] == "http.response.start":
            status = message["status"]
            answered = {key.decode().lower(): value.decode() for key, value in message["headers"]}
        else:
            body += message.get("body", b"")

    api = Api(RouteTable(Files(finder).table()))  # type: ignore[arg-type]  # a finder as far as it goes
    scope = {
        "type": "http",
        "method": method,
        "path": f"{FILES_PATH}/a.mp4",
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    await api(scope, receive, send)
    return status, answered, body


async def test_whole(finder: Finder) -> None:
    """A copy is served whole, without a token, with its length, its type and a mark to ask by again."""
    status, headers, body = await ask(finder)

    assert (200, CONTENT) == (status, body)
    assert (str(len(CONTENT)), "video/mp4") == (headers["content-length"], headers["content-type"])
    assert "bytes" == headers["accept-ranges"]
    assert headers["etag"]
    assert headers["x-request-id"]
    assert "*" == headers["access-control-allow-origin"]
    assert [("a.mp4", "GET")] == finder.asked


async def test_head(finder: Finder) -> None:
    """HEAD says the same without the bytes."""
    _, asked, _ = await ask(finder)
    status, headers, body = await ask(finder, "HEAD")

    assert (200, b"") == (status, body)
    assert {**asked, "x-request-id": ""} == {**headers, "x-request-id": ""}


@pytest.mark.parametrize(
    ("wanted", "part", "told"),
    [
        ("bytes=0-0", CONTENT[:1], f"bytes 0-0/{len(CONTENT)}"),
        ("bytes=1000-", CONTENT[1000:], f"bytes 1000-{len(CONTENT) - 1}/{len(CONTENT)}"),
        ("bytes=-10", CONTENT[-10:], f"bytes {len(CONTENT) - 10}-{len(CONTENT) - 1}/{len(CONTENT)}"),
    ],
)
async def test_parts(finder: Finder, wanted: str, part: bytes, told: str) -> None:
    """A player that seeks gets the part that it asks for."""
    status, headers, body = await ask(finder, range=wanted)

    assert (206, part, told) == (status, body, headers["content-range"])


async def test_part_of_another_file(finder: Finder) -> None:
    """Who has the first half of another file gets all of this one."""
    status, _, body = await ask(finder, range="bytes=10-", if_range='"other"')

    assert (200, CONTENT) == (status, body)


async def test_impossible_part(finder: Finder) -> None:
    """A part beyond the end is 416."""
    status, headers, _ = await ask(finder, range=f"bytes={len(CONTENT)}-")

    assert (416, f"bytes */{len(CONTENT)}") == (status, headers["content-range"])


async def test_nothing_in_it_runs(finder: Finder) -> None:
    """A browser takes it for nothing but its type, in a sandbox without scripts and without our origin."""
    _, headers, _ = await ask(finder)

    policy = headers["content-security-policy"]
    assert "nosniff" == headers["x-content-type-options"]
    assert {"default-src 'none'", "sandbox"} <= {part.strip() for part in policy.split(";")}
    assert "script" not in policy
    assert 'inline; filename="a.mp4"' == headers["content-disposition"]


async def test_unknown_types_are_saved(finder: Finder) -> None:
    """What is no known video or picture is saved, and never shown."""
    finder.media_type = "application/octet-stream"
    _, headers, _ = await ask(finder)

    assert "application/octet-stream" == headers["content-type"]
    assert 'attachment; filename="a.mp4"' == headers["content-disposition"]
    assert "nosniff" == headers["x-content-type-options"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_elsewhere(finder: Finder, method: str) -> None:
    """A file that lies elsewhere is a redirect, which nobody keeps."""
    finder.instead = FileElsewhere("https://bucket.example/a.mp4?X-Amz-Signature=1")
    status, headers, body = await ask(finder, method)

    assert (302, "https://bucket.example/a.mp4?X-Amz-Signature=1", b"") == (status, headers["location"], body)
    assert "no-store" == headers["cache-control"]


@pytest.mark.parametrize(("refusal", "code"), [(RouteNotFound(), 404), (Unavailable(), 503)])
async def test_refusals(finder: Finder, refusal: Exception, code: int) -> None:
    """What is not there, for good or for now, is answered in the contract's form."""
    finder.instead = refusal
    status, headers, body = await ask(finder)

    assert (code, "application/json") == (status, headers["content-type"])
    assert b'"code":%d' % code in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_only_reading(finder: Finder, method: str) -> None:
    """Nothing can be done to a copy but reading it."""
    status, headers, _ = await ask(finder, method)

    assert (405, "GET, HEAD") == (status, headers["allow"])
    assert [] == finder.asked
