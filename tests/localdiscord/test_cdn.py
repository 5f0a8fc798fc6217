"""Signed links, ranges and expiry."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from yarl import URL

from localdiscord.cdn.links import Links
from localdiscord.cdn.pictures import content_type_of, size_of
from localdiscord.clock import WallClock
from localdiscord.server import LocalDiscord
from tests.localdiscord.client import Client

CONTENT = bytes(range(256))


@pytest.fixture
async def attachment(user: Client) -> dict[str, Any]:
    form = aiohttp.FormData()
    form.add_field("payload_json", "{}", content_type="application/json")
    form.add_field("files[0]", CONTENT, filename="a clip.mp4", content_type="video/mp4")
    _, message = await user.call("POST", f"/channels/{user.channel}/messages", data=form)
    attachment: dict[str, Any] = message["attachments"][0]
    return attachment


async def read(client: Client, url: str, **headers: str) -> tuple[int, bytes, Any]:
    async with client.http.get(URL(url, encoded=True), headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


async def test_link_serves_the_file(user: Client, attachment: dict[str, Any]) -> None:
    """A link has the form of Discord's and serves the bytes under their type."""
    status, data, headers = await read(user, attachment["url"])

    assert (status, data, headers["Content-Type"]) == (200, CONTENT, "video/mp4")
    assert attachment["url"].endswith("&")
    query = parse_qs(urlsplit(attachment["url"]).query)
    assert {"ex", "is", "hm"} == set(query)
    assert int(query["ex"][0], 16) - int(query["is"][0], 16) == 86_400
    assert len(query["hm"][0]) == 64


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=250-", 206, 250, 256),
        ("bytes=-6", 206, 250, 256),
        ("bytes=-1000", 206, 0, 256),
        ("bytes=200-1000", 206, 200, 256),
        ("bytes=256-", 416, 0, 0),
        ("bytes=9-3", 416, 0, 0),
        ("bytes=-", 200, 0, 256),
        ("lines=1-2", 200, 0, 256),
    ],
)
async def test_range(
    user: Client, attachment: dict[str, Any], wanted: str, status: int, start: int, end: int
) -> None:
    """Ranges are served as asked, clipped to the file, or refused."""
    answered, data, headers = await read(user, attachment["url"], Range=wanted)

    assert (status, CONTENT[start:end]) == (answered, data)
    if status == 206:
        assert f"bytes {start}-{end - 1}/256" == headers["Content-Range"]


@pytest.mark.parametrize("change", ["unsigned", "signature", "expiry", "file", "name"])
async def test_changed_link_is_gone(user: Client, attachment: dict[str, Any], change: str) -> None:
    """A link without its signature, or with another part changed, is 404 with Discord's sentence."""
    url = attachment["url"]
    changed = {
        "unsigned": url.split("?")[0],
        "signature": url[:-2] + ("0" if url[-2] != "0" else "1") + "&",
        "expiry": url.replace("ex=", "ex=f"),
        "file": url.replace(attachment["id"], "1"),
        "name": url.replace("clip", "clap"),
    }[change]
    status, text, _ = await read(user, changed)

    assert (status, text) == (404, b"This content is no longer available.")


async def test_link_expires_and_is_refreshed(
    user: Client, attachment: dict[str, Any], discord: LocalDiscord
) -> None:
    """A day later the link is dead; refreshing it, or reading the message again, gives a new one."""
    discord.admin.advance_clock(86_401)
    assert (await read(user, attachment["url"]))[0] == 404
    urls = [attachment["url"].split("?")[0], "https://elsewhere.invalid/x"]
    _, answer = await user.call("POST", "/attachments/refresh-urls", json={"attachment_urls": urls})
    fresh = [each["refreshed"] for each in answer["refreshed_urls"]]
    _, history = await user.call("GET", f"/channels/{user.channel}/messages")

    assert ((await read(user, fresh[0]))[0], fresh[1]) == (200, "https://elsewhere.invalid/x")
    assert fresh[0] == history[0]["attachments"][0]["url"]


async def test_links_can_be_expired_at_once(
    user: Client, attachment: dict[str, Any], discord: LocalDiscord
) -> None:
    """All links given out are dead, the next ones are good."""
    discord.world.links.expire_all()
    assert (await read(user, attachment["url"]))[0] == 404
    _, history = await user.call("GET", f"/channels/{user.channel}/messages")

    assert (await read(user, history[0]["attachments"][0]["url"]))[0] == 200


async def test_deleted_message_takes_its_file_along(user: Client, attachment: dict[str, Any]) -> None:
    """The link of a deleted message's file is gone."""
    _, history = await user.call("GET", f"/channels/{user.channel}/messages")
    await user.call("DELETE", f"/channels/{user.channel}/messages/{history[0]['id']}")

    assert (await read(user, attachment["url"]))[0] == 404


async def test_token_on_the_cdn_is_a_violation(
    user: Client, attachment: dict[str, Any], discord: LocalDiscord
) -> None:
    """The file is served, but the token had no business there."""
    assert (await read(user, attachment["url"], Authorization=user.token))[0] == 200
    assert discord.world.violations.report()["by_kind"] == {"authorization_sent_to_cdn": 1}


@pytest.mark.parametrize("count", [0, 51])
async def test_one_to_fifty_links_are_refreshed(user: Client, count: int) -> None:
    """An empty list and one too many are form errors."""
    body = {"attachment_urls": ["https://x.invalid/"] * count}

    assert (await user.call("POST", "/attachments/refresh-urls", json=body))[0] == 400


def test_links_are_stable_within_an_hour() -> None:
    """Two links of one hour are the same; those of two hours differ, and both work."""
    clock = WallClock()
    clock.offset = 1_800_000_000 - clock.now()
    links = Links(clock, b"secret")
    first = links.sign("/attachments/1/2/x")
    clock.advance(60)
    second = links.sign("/attachments/1/2/x")
    clock.advance(3600)
    third = links.sign("/attachments/1/2/x")

    assert first == second != third
    assert all(links.is_valid("/attachments/1/2/x", urlsplit(each).query) for each in (first, third))


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00\x00\x00\x00\x80"
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\x00\x20\x00\x40"


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (PNG, (256, 128)),
        (b"GIF89a\x05\x00\x06\x00", (5, 6)),
        (JPEG, (64, 32)),
        (PNG[:20], None),
        (JPEG[:6], None),
        (b"text", None),
    ],
)
def test_picture_tells_its_size(data: bytes, size: tuple[int, int] | None) -> None:
    """PNG, GIF and JPEG tell their size; anything else, and what is cut short, tells none."""
    assert size == size_of(data)


def test_content_type_is_given_or_guessed() -> None:
    """The sender's word counts, unless it says nothing."""
    assert content_type_of("a.png", "x/y") == "x/y"
    assert content_type_of("a.png", "application/octet-stream") == "image/png"
    assert None is content_type_of("a", "")
