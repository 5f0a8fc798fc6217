"""A user and an application in the same process as the server: press, answer, edit, follow-up."""

from typing import Any

import aiohttp

from localdiscord.server import LocalDiscord
from tests.localdiscord.client import Client, Gateway
from tests.localdiscord.parrot import Parrot


async def test_command_is_answered_with_the_nonce(user: Client, discord: LocalDiscord) -> None:
    """The first response carries the presser's nonce, and the events about it name the interaction."""
    async with user.session() as session:
        body = await user.command(user.channel, session, "say", {"type": 3, "name": "text", "value": "hi"})
        assert await user.call("POST", "/interactions", json=body) == (204, b"")
        created = await session.event("INTERACTION_CREATE")
        succeeded = await session.event("INTERACTION_SUCCESS")
        message = await session.event("MESSAGE_CREATE")

        assert {"id": created["id"], "nonce": body["nonce"]} == created == succeeded
        assert body["nonce"] == message["nonce"]
        assert created["id"] == message["interaction_metadata"]["id"] == message["interaction"]["id"]
        assert (message["content"], message["type"], message["channel_type"]) == ("hi", 20, 1)
        assert [
            message["components"][0]["id"],
            *(button["id"] for button in message["components"][0]["components"]),
        ] == [1, 2, 3, 4, 5]
        assert discord.world.violations.total == 0


async def test_deferred_answer_keeps_its_id(user: Client) -> None:
    """A LOADING message becomes the real one by an edit, under the same id."""
    async with user.session() as session:
        await user.call("POST", "/interactions", json=await user.command(user.channel, session, "defer"))
        loading = await session.event("MESSAGE_CREATE")
        edited = await session.event("MESSAGE_UPDATE")

        assert (loading["flags"], loading["content"], loading["edited_timestamp"]) == (128, "", None)
        assert (loading["id"], loading["timestamp"]) == (edited["id"], edited["timestamp"])
        assert (edited["flags"], edited["content"]) == (0, "thought")
        assert "nonce" not in edited
        assert tuple(edited["attachments"][0][key] for key in ("width", "height", "content_type")) == (
            4,
            3,
            "image/png",
        )


async def test_plain_message_carries_no_tie_to_the_press(user: Client, discord: LocalDiscord) -> None:
    """A plain message has none of the keys that name an interaction; the ledger knows the tie."""
    async with user.session() as session:
        body = await user.command(user.channel, session, "plain")
        await user.call("POST", "/interactions", json=body)
        queued = await session.event("MESSAGE_CREATE")
        plain = await session.event("MESSAGE_CREATE")
        _, history = await user.call("GET", f"/channels/{user.channel}/messages")

        assert queued["flags"] == 64
        ties = {"nonce", "application_id", "webhook_id", "interaction_metadata", "message_reference"}
        assert not ties & set(plain)
        assert [user.id] == [each["id"] for each in plain["mentions"]]
        assert [plain["id"]] == [each["id"] for each in history]
        result = discord.world.ledger.of("result")[0]
        assert (body["nonce"], plain["id"]) == (result["nonce"], result["message_id"])


async def said(user: Client, session: Gateway, text: str = "hi") -> dict[str, Any]:
    body = await user.command(user.channel, session, "say", {"type": 3, "name": "text", "value": text})
    await user.call("POST", "/interactions", json=body)
    return await session.event("MESSAGE_CREATE")


async def test_follow_up_names_the_original(user: Client) -> None:
    """A follow-up has no nonce; it names its interaction."""
    async with user.session() as session:
        pressed = await said(user, session)
        session.seen.clear()
        assert await user.call("POST", "/interactions", json=user.press(pressed, session)) == (204, b"")
        created = await session.event("INTERACTION_CREATE")
        followed = await session.event("MESSAGE_CREATE")

        assert "nonce" not in followed
        metadata = followed["interaction_metadata"]
        assert (created["id"], pressed["id"]) == (metadata["id"], metadata["interacted_message_id"])
        assert pressed["id"] == metadata["original_response_message_id"]


async def test_ephemeral_answer_is_for_the_presser_alone(
    user: Client, discord: LocalDiscord, http: aiohttp.ClientSession
) -> None:
    """In a guild, an ephemeral answer reaches only who pressed, and no history."""
    other_account = discord.admin.create_user("bob")
    other = Client(http, discord.url, other_account["token"])
    parrot_id = discord.admin.find_application("Parrot").bot.id
    guild = discord.admin.create_guild("home", [user.id, other_account["id"], str(parrot_id)])
    channel = guild["channels"][0]["id"]
    async with user.session() as session, other.session() as others:
        body = await user.command(channel, session, "say", {"type": 3, "name": "text", "value": "x"})
        await user.call("POST", "/interactions", json={**body, "guild_id": guild["id"]})
        public = await session.event("MESSAGE_CREATE")
        press = user.press(public, session, button=1, guild_id=guild["id"])
        await user.call("POST", "/interactions", json=press)
        quiet = await session.event("MESSAGE_CREATE")
        _, history = await user.call("GET", f"/channels/{channel}/messages")

        assert (64, press["nonce"]) == (quiet["flags"], quiet["nonce"])
        assert not {"guild_id", "member"} & set(quiet)
        assert [public["id"]] == [each["id"] for each in history]
        assert await others.settle() == ["MESSAGE_CREATE"]


async def test_nonce_stays_with_the_pressing_session(user: Client) -> None:
    """Another session of the same user sees the message without the nonce, and no interaction events."""
    async with user.session() as session, user.session() as second:
        await said(user, session)
        seen = await second.event("MESSAGE_CREATE")

        assert "nonce" not in seen
        assert await second.settle() == []


async def test_form_is_opened_and_submitted(user: Client) -> None:
    """Callback 9 opens a form for the presser, whose submission is an interaction of its own."""
    async with user.session() as session:
        pressed = await said(user, session)
        press = user.press(pressed, session, button=2)
        await user.call("POST", "/interactions", json=press)
        form = await session.event("INTERACTION_MODAL_CREATE")
        data = {"id": form["id"], "custom_id": form["custom_id"], "components": []}
        submit = {**press, "type": 5, "nonce": "9", "data": data}
        assert (await user.call("POST", "/interactions", json=submit))[0] == 204

        assert ("Form", press["nonce"]) == (form["title"], form["nonce"])
        assert (await session.event("MESSAGE_CREATE"))["content"] == "thanks"


async def test_update_changes_the_pressed_message(user: Client) -> None:
    """Callback 7 edits the message the button sits on and makes no new one."""
    async with user.session() as session:
        pressed = await said(user, session)
        await user.call("POST", "/interactions", json=user.press(pressed, session, button=3))
        updated = await session.event("MESSAGE_UPDATE")

        assert (pressed["id"], "updated") == (updated["id"], updated["content"])
        assert "MESSAGE_CREATE" not in await session.settle()


async def test_broken_application_looks_silent(user: Client, discord: LocalDiscord) -> None:
    """An application that raises leaves the press to fail by timeout."""
    async with user.session() as session:
        body = await user.command(user.channel, session, "break")
        await user.call("POST", "/interactions", json=body)
        failed = await session.event("INTERACTION_FAILURE")

        assert (body["nonce"], 2) == (failed["nonce"], failed["reason_code"])
        assert len(discord.world.ledger.of("app_failed")) == 1


async def test_file_reaches_the_application(user: Client, parrot: Parrot) -> None:
    """A file that was uploaded first arrives with a snowflake, a type and a working link."""
    async with user.session() as session:
        files = [{"id": "0", "filename": "in.png", "file_size": 5}]
        path = f"/channels/{user.channel}/attachments"
        _, announced = await user.call("POST", path, json={"files": files})
        place = announced["attachments"][0]
        async with user.http.put(place["upload_url"], data=b"bytes", headers={"Content-Type": ""}) as stored:
            assert stored.status == 200
        body = await user.command(
            user.channel,
            session,
            "say",
            {"type": 3, "name": "text", "value": "look"},
            {"type": 11, "name": "image", "value": 0},
            attachments=[{"id": "0", "filename": "in.png", "uploaded_filename": place["upload_filename"]}],
        )
        assert (await user.call("POST", "/interactions", json=body))[0] == 204

        assert (await session.event("MESSAGE_CREATE"))["content"] == "look with 5 bytes"
        resolved = parrot.heard[0].attachments[str(parrot.heard[0].options["image"])]
        assert (resolved["content_type"], resolved["ephemeral"]) == ("image/png", True)
        async with user.http.get(resolved["url"]) as read:
            assert await read.read() == b"bytes"
