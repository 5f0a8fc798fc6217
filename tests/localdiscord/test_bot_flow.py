"""A bot in another process: it hears of interactions by its own session and answers over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from localdiscord.clock import WallClock
from localdiscord.server import LocalDiscord
from tests.localdiscord.client import Client, Gateway

BUTTON = {"type": 2, "style": 1, "label": "Go", "custom_id": "go"}


@dataclass
class Scene:
    """A user and a bot, both in session, and their channel."""

    user: Client
    bot: Client
    user_session: Gateway
    bot_session: Gateway
    channel: str

    async def use(self) -> dict[str, Any]:
        """Let the user use the command; return what the bot hears."""
        body = await self.user.command(self.channel, self.user_session, "go")
        assert (await self.user.call("POST", "/interactions", json=body))[0] == 204
        return await self.bot_session.event("INTERACTION_CREATE")

    async def answer(self, heard: dict[str, Any], body: dict[str, Any], query: str = "") -> tuple[int, Any]:
        path = f"/interactions/{heard['id']}/{heard['token']}/callback{query}"
        async with self.user.http.post(f"{self.bot.url}/api/v10{path}", json=body) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None

    def webhook(self, heard: dict[str, Any]) -> str:
        return f"/webhooks/{heard['application_id']}/{heard['token']}"


@pytest.fixture
async def scene(user: Client, bot: Client, discord: LocalDiscord) -> AsyncIterator[Scene]:
    commands = [{"name": "go", "description": "Go", "options": []}]
    await bot.call("PUT", f"/applications/{bot.application_id}/commands", json=commands)
    channel = discord.admin.open_dm(user.id, "Robot")["channel_id"]
    async with user.session() as user_session, bot.session() as bot_session:
        yield Scene(user, bot, user_session, bot_session, channel)


async def test_bot_hears_all_but_the_nonce(scene: Scene) -> None:
    """INTERACTION_CREATE holds everything libraries need, and never the client's nonce."""
    heard = await scene.use()

    assert "nonce" not in heard
    assert (1, scene.user.id, "go") == (heard["context"], heard["user"]["id"], heard["data"]["name"])
    assert {"id", "type"} <= set(heard["channel"])
    assert heard["attachment_size_limit"] == 10 * 1024 * 1024


async def test_callback_with_response_shows_the_message(scene: Scene) -> None:
    """With `with_response` the callback answers 200 and the message; a second callback is 40060."""
    heard = await scene.use()
    status, body = await scene.answer(heard, {"type": 4, "data": {"content": "hello"}}, "?with_response=1")
    message = await scene.user_session.event("MESSAGE_CREATE")

    assert (200, message["id"]) == (status, body["interaction"]["response_message_id"])
    assert body["resource"]["message"]["content"] == "hello"
    again, refused = await scene.answer(heard, {"type": 4, "data": {"content": "hello"}})
    assert (again, refused["code"]) == (400, 40060)


async def test_whole_conversation_over_webhooks(scene: Scene) -> None:
    """Deferred, edited with a button, pressed, updated, followed up, and deleted."""
    heard = await scene.use()
    assert await scene.answer(heard, {"type": 5}) == (204, None)
    original = f"{scene.webhook(heard)}/messages/@original"
    row = [{"type": 1, "components": [BUTTON]}]
    _, edited = await scene.bot.call("PATCH", original, json={"content": "ready", "components": row})
    await scene.user_session.event("MESSAGE_UPDATE")
    await scene.user.call("POST", "/interactions", json=scene.user.press(edited, scene.user_session))
    pressed = await scene.bot_session.event("INTERACTION_CREATE")
    assert await scene.answer(pressed, {"type": 6}) == (204, None)
    _, follow_up = await scene.bot.call("POST", scene.webhook(pressed), json={"content": "more"})
    seen = await scene.user_session.frame(
        lambda f: f["t"] == "MESSAGE_CREATE" and f["d"]["content"] == "more"
    )
    message = f"{scene.webhook(pressed)}/messages/{follow_up['id']}"
    _, read = await scene.bot.call("GET", message)
    assert (await scene.bot.call("DELETE", message))[0] == 204
    deleted = await scene.user_session.event("MESSAGE_DELETE")

    assert (3, edited["id"]) == (pressed["type"], pressed["message"]["id"])
    assert follow_up["id"] == seen["d"]["id"] == read["id"] == deleted["id"]
    assert _codes(await scene.bot.call("GET", message)) == (404, 10008)


def _codes(answer: tuple[int, Any]) -> tuple[int, int]:
    return answer[0], answer[1]["code"]


async def test_first_follow_up_takes_the_place_of_loading(scene: Scene) -> None:
    """While the response is LOADING, a follow-up fills it instead of making a second message."""
    heard = await scene.use()
    await scene.answer(heard, {"type": 5})
    loading = await scene.user_session.event("MESSAGE_CREATE")
    _, filled = await scene.bot.call("POST", scene.webhook(heard), json={"content": "there"})

    assert (loading["id"], 0) == (filled["id"], filled["flags"])


async def test_silent_bot_fails_the_press(scene: Scene) -> None:
    """After the deadline the presser hears FAILURE with reason 2, and the callback finds nothing."""
    heard = await scene.use()
    failed = await scene.user_session.event("INTERACTION_FAILURE")

    assert (heard["id"], 2) == (failed["id"], failed["reason_code"])
    assert _codes(await scene.answer(heard, {"type": 6})) == (404, 10062)
    assert _codes(await scene.bot.call("POST", scene.webhook(heard), json={"content": "x"})) == (404, 10015)


async def test_token_ends_after_fifteen_minutes(scene: Scene, discord: LocalDiscord) -> None:
    """A webhook is open for a quarter of an hour; a made-up token never."""
    heard = await scene.use()
    await scene.answer(heard, {"type": 4, "data": {"content": "x"}})
    discord.admin.advance_clock(901)

    assert isinstance(discord.clock, WallClock)
    assert _codes(await scene.bot.call("POST", scene.webhook(heard), json={"content": "x"})) == (401, 50027)
    nowhere = f"/webhooks/{heard['application_id']}/made-up"
    assert _codes(await scene.bot.call("POST", nowhere, json={"content": "x"})) == (404, 10015)


@pytest.mark.parametrize(
    "body", [{}, {"type": 1}, {"type": 6}, {"type": 4, "data": {}}, {"type": 9, "data": {}}]
)
async def test_bad_callback_is_refused_and_may_be_repeated(scene: Scene, body: dict[str, Any]) -> None:
    """A refused callback does not count: the bot can still answer."""
    heard = await scene.use()

    assert (await scene.answer(heard, body))[0] == 400
    assert (await scene.answer(heard, {"type": 4, "data": {"content": "right"}}))[0] == 204


async def test_bot_without_session_is_silent(user: Client, bot: Client, discord: LocalDiscord) -> None:
    """When the bot is offline the press is accepted and fails by timeout."""
    commands = [{"name": "go", "description": "Go", "options": []}]
    await bot.call("PUT", f"/applications/{bot.application_id}/commands", json=commands)
    channel = discord.admin.open_dm(user.id, "Robot")["channel_id"]
    async with user.session() as session:
        body = await user.command(channel, session, "go")
        assert (await user.call("POST", "/interactions", json=body))[0] == 204

        assert body["nonce"] == (await session.event("INTERACTION_FAILURE"))["nonce"]


async def test_users_press_at_once(scene: Scene) -> None:
    """Ten presses in flight are ten interactions, each with its own nonce and answer."""
    bodies = [await scene.user.command(scene.channel, scene.user_session, "go") for _ in range(10)]
    await asyncio.gather(*(scene.user.call("POST", "/interactions", json=body) for body in bodies))
    for _ in bodies:
        heard = await scene.bot_session.event("INTERACTION_CREATE")
        await scene.answer(heard, {"type": 4, "data": {"content": heard["id"]}})
    created = [await scene.user_session.event("MESSAGE_CREATE") for _ in bodies]

    assert {body["nonce"] for body in bodies} == {message["nonce"] for message in created}
    assert all(message["content"] == message["interaction_metadata"]["id"] for message in created)
