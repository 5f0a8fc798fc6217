"""POST /interactions: what it accepts, and each of its refusals."""

import json
from typing import Any

import aiohttp
import pytest

from localdiscord.server import LocalDiscord
from tests.localdiscord.client import Client, Gateway
from tests.localdiscord.parrot import Parrot
from tests.localdiscord.test_rest import form_code

TEXT = {"type": 3, "name": "text", "value": "hi"}


async def said(user: Client, session: Gateway) -> dict[str, Any]:
    body = await user.command(user.channel, session, "say", TEXT)
    await user.call("POST", "/interactions", json=body)
    return await session.event("MESSAGE_CREATE")


@pytest.mark.parametrize(
    "field", ["type", "application_id", "channel_id", "session_id", "data", "message_id"]
)
async def test_field_is_required(user: Client, field: str) -> None:
    """A press without one of its fields is a form error at that field."""
    async with user.session() as session:
        press = user.press(await said(user, session), session)
        del press[field]
        status, refused = await user.call("POST", "/interactions", json=press)

        assert (status, refused["code"], refused["message"]) == (400, 50035, "Invalid Form Body")
        assert form_code(refused, field) == "BASE_TYPE_REQUIRED"


async def test_session_must_be_alive_and_ones_own(user: Client, discord: LocalDiscord) -> None:
    """A foreign session, or one whose connection is gone, is answered like a missing one."""
    other = Client(user.http, user.url, discord.admin.create_user()["token"])
    async with user.session() as session, other.session() as foreign:
        press = user.press(await said(user, session), session)
        for session_id in (foreign.session_id, "made up"):
            _, refused = await user.call("POST", "/interactions", json={**press, "session_id": session_id})
            assert form_code(refused, "session_id") == "BASE_TYPE_REQUIRED"


@pytest.mark.parametrize(
    "data",
    [
        {"component_type": 2, "custom_id": "gone"},
        {"component_type": 3, "custom_id": "again"},
    ],
)
async def test_button_must_be_on_the_message(user: Client, data: dict[str, Any]) -> None:
    """A custom_id that is not (or no longer) there fails validation, and so does a wrong type."""
    async with user.session() as session:
        press = user.press(await said(user, session), session, data=data)
        status, refused = await user.call("POST", "/interactions", json=press)

        assert status == 400
        assert form_code(refused, "data") == "COMPONENT_VALIDATION_FAILED"


async def test_places_must_exist(user: Client) -> None:
    """Unknown channel, application and message are 404 with their codes."""
    async with user.session() as session:
        press = user.press(await said(user, session), session)
        for change, code in (
            ({"channel_id": "1"}, 10003),
            ({"application_id": "1"}, 10002),
            ({"message_id": "1"}, 10008),
        ):
            status, refused = await user.call("POST", "/interactions", json=press | change)
            assert (404, code) == (status, refused["code"])


async def test_command_must_be_current(user: Client, discord: LocalDiscord) -> None:
    """An outdated version is refused; the index has the new one."""
    async with user.session() as session:
        body = await user.command(user.channel, session, "say", TEXT)
        discord.admin.outdate_commands("Parrot")
        status, refused = await user.call("POST", "/interactions", json=body)
        assert (
            status,
            form_code(refused, "data"),
        ) == (400, "INTERACTION_APPLICATION_COMMAND_INVALID_VERSION")
        fresh = await user.command(user.channel, session, "say", TEXT)
        assert (await user.call("POST", "/interactions", json=fresh))[0] == 204
        fresh["data"]["id"] = "1"
        assert (await user.call("POST", "/interactions", json=fresh | {"nonce": "1"}))[1]["code"] == 10063


@pytest.mark.parametrize(
    "options",
    [
        [],
        [{"type": 3, "name": "text", "value": 1}],
        [{"type": 4, "name": "text", "value": 1}],
        [TEXT, {"type": 3, "name": "other", "value": "x"}],
        [{"type": 3, "name": "text", "value": "x" * 6001}],
    ],
)
async def test_options_must_fit_the_command(user: Client, options: list[dict[str, Any]]) -> None:
    """Missing, unknown, mistyped and overlong options are refused."""
    async with user.session() as session:
        body = await user.command(user.channel, session, "say", *options)
        _, refused = await user.call("POST", "/interactions", json=body)

        assert form_code(refused, "data") == "INTERACTION_APPLICATION_COMMAND_INVALID"


async def test_uploaded_file_must_be_there(user: Client) -> None:
    """An attachment that was never put is 50146."""
    async with user.session() as session:
        image = {"type": 11, "name": "image", "value": 0}
        attachments = [{"id": "0", "filename": "x", "uploaded_filename": "no/x"}]
        body = await user.command(user.channel, session, "say", TEXT, image, attachments=attachments)
        expected = (400, {"message": "Uploaded file not found", "code": 50146})
        assert expected == await user.call("POST", "/interactions", json=body)


async def test_repeated_nonce_presses_once(user: Client, parrot: Parrot, discord: LocalDiscord) -> None:
    """A press repeated with its nonce is answered alike, does nothing, and is counted both ways."""
    async with user.session() as session:
        body = await user.command(user.channel, session, "say", TEXT)
        answers = [await user.call("POST", "/interactions", json=body) for _ in range(2)]
        await session.event("MESSAGE_CREATE")

        assert answers == [(204, b"")] * 2
        assert len(parrot.heard) == 1
        assert {body["nonce"]: 2} == discord.world.ledger.presses
        assert discord.world.violations.report()["by_kind"] == {"nonce_repeated": 1}


async def test_multipart_is_accepted(user: Client) -> None:
    """A command may come as multipart with files in band."""
    async with user.session() as session:
        image = {"type": 11, "name": "image", "value": 0}
        attachments = [{"id": "0", "filename": "x.png"}]
        body = await user.command(user.channel, session, "say", TEXT, image, attachments=attachments)
        form = aiohttp.FormData()
        form.add_field("payload_json", json.dumps(body), content_type="application/json")
        form.add_field("files[0]", b"1234", filename="x.png", content_type="image/png")
        assert (await user.call("POST", "/interactions", data=form))[0] == 204

        assert (await session.event("MESSAGE_CREATE"))["content"] == "hi with 4 bytes"


async def test_bots_cannot_press(bot: Client, discord: LocalDiscord) -> None:
    """The route is for users."""
    status, refused = await bot.call("POST", "/interactions", json={})

    assert (status, refused["code"]) == (403, 20001)
    assert discord.world.violations.report()["by_kind"] == {"route_not_allowed": 1}
