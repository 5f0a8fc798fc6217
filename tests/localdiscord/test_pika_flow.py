"""Pika itself, over the wire: from a command to a video that can be watched."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from localdiscord.server import LocalDiscord, Settings
from tests.localdiscord.client import Client, Gateway


@pytest.fixture
async def pika() -> AsyncIterator[LocalDiscord]:
    async with LocalDiscord.start(Settings(speed=0)) as running:
        yield running


def _has_file(frame: dict[str, Any]) -> bool:
    return (frame["t"] or "").startswith("MESSAGE_") and bool(frame["d"].get("attachments"))


async def finished(session: Gateway) -> dict[str, Any]:
    """Return the next message that has a file, made or edited."""
    message: dict[str, Any] = (await session.frame(_has_file))["d"]
    return message


async def test_video_is_made_and_made_again(pika: LocalDiscord, http: aiohttp.ClientSession) -> None:
    """A prompt becomes an mp4 with a working link, and pressing its first button makes another."""
    account = pika.admin.create_user("ada")
    channel = account["dm_channels"]["Pika"]
    user = Client(http, pika.url, account["token"])
    async with user.session() as session:
        body = await user.command(channel, session, "create", {"type": 3, "name": "prompt", "value": "waves"})
        assert (204, b"") == await user.call("POST", "/interactions", json=body)
        first = await finished(session)
        press = user.press(first, session)
        assert (204, b"") == await user.call("POST", "/interactions", json=press)
        second = await finished(session)

    attachment = first["attachments"][0]
    url = URL(attachment["url"], encoded=True)
    async with http.get(url, headers={"Range": "bytes=4-7"}) as answer:
        assert (206, b"ftyp") == (answer.status, await answer.read())
    assert "video/mp4" == attachment["content_type"]
    assert first["id"] != second["id"]
    assert {body["nonce"]: 1, press["nonce"]: 1} == pika.world.ledger.presses
    assert 0 == pika.world.violations.total
