"""The websocket edge: hello, identify, heartbeats, resume, close codes and compression."""

import asyncio
from typing import Any

import aiohttp
import pytest

from localdiscord.faults.model import Cut
from localdiscord.server import LocalDiscord, Settings
from localdiscord.world.rules import Rules
from tests.localdiscord.client import CAPABILITIES, Client, until


async def say(user: Client, text: str) -> dict[str, Any]:
    status, answer = await user.call("POST", f"/channels/{user.channel}/messages", json={"content": text})
    assert status == 200
    message: dict[str, Any] = answer
    return message


async def test_user_ready_has_the_shape_its_capabilities_ask_for(user: Client, discord: LocalDiscord) -> None:
    """With the bits 4, 5 and 10, users are listed once, guilds hold their properties, and a supplement follows."""
    discord.admin.create_guild("home", [user.id])
    async with user.session() as session:
        ready = session.ready

        parrot = discord.admin.find_application("Parrot").bot
        assert user.id == ready["user"]["id"]
        assert [str(parrot.id)] == [each["id"] for each in ready["users"]]
        channel = ready["private_channels"][0]
        assert (user.channel, 1, [str(parrot.id)]) == (
            channel["id"],
            channel["type"],
            channel["recipient_ids"],
        )
        guild = ready["guilds"][0]
        assert (guild["properties"]["name"], guild["data_mode"]) == ("home", "full")
        assert [[user.id]] == [[each["user_id"] for each in own] for own in ready["merged_members"]]
        assert {"entries", "partial", "version"} == set(ready["read_state"])
        assert discord.gateway_url.rstrip("/") == ready["resume_gateway_url"]


async def test_user_ready_without_capabilities_is_flat(user: Client, discord: LocalDiscord) -> None:
    """A user without capabilities gets recipients in full, flat guilds and no supplement."""
    discord.admin.create_guild("home", [user.id])
    async with user.session(capabilities=0) as session:
        assert "recipients" in session.ready["private_channels"][0]
        assert session.ready["guilds"][0]["name"] == "home"
        assert "users" not in session.ready
        assert await session.settle() == []


async def test_bot_gets_its_guilds_one_by_one(bot: Client, discord: LocalDiscord) -> None:
    """A bot's READY names unavailable guilds; GUILD_CREATE brings them."""
    guild = discord.admin.create_guild("home", [bot.id])
    async with bot.session(shard=[0, 1]) as session:
        created = await session.event("GUILD_CREATE")

        assert [{"id": guild["id"], "unavailable": True}] == session.ready["guilds"]
        assert ([0, 1], bot.application_id) == (session.ready["shard"], session.ready["application"]["id"])
        assert (guild["id"], [bot.id]) == (created["id"], [each["user"]["id"] for each in created["members"]])


async def test_bot_must_name_intents(bot: Client) -> None:
    """A bot without intents is closed with 4013."""
    async with bot.gateway() as gateway:
        await gateway.send(2, {"token": bot.token, "properties": {}})

        assert await gateway.close_code() == 4013


async def test_deflate_is_never_negotiated(user: Client) -> None:
    """A client that offers permessage-deflate is served without."""
    async with user.gateway() as gateway:
        assert gateway.socket.compress == 0


@pytest.mark.parametrize("path", ["", "gateway", "gateway/"])
async def test_every_path_says_hello(user: Client, discord: LocalDiscord, path: str) -> None:
    """The Gateway is served at /, /gateway and /gateway/."""
    async with user.http.ws_connect(f"{discord.url}/{path}") as socket:
        hello = await socket.receive_json()

        assert (hello["op"], hello["d"]["heartbeat_interval"]) == (10, 41250)


async def test_zlib_stream_packs_every_frame(user: Client) -> None:
    """With zlib-stream, hello and acks are compressed binary frames too, in one context."""
    async with user.session("?v=10&encoding=json&compress=zlib-stream") as session:
        await say(user, "squeezed")

        assert (await session.event("MESSAGE_CREATE"))["content"] == "squeezed"
        assert await session.settle() == []


async def test_payload_compression_packs_large_messages(user: Client) -> None:
    """`compress` in IDENTIFY makes READY a zlib message of its own."""
    async with user.session(compress=True) as session:
        assert user.id == session.ready["user"]["id"]


@pytest.mark.parametrize(
    ("query", "code"), [("?compress=lzma", 4002), ("?encoding=etf", 4002), ("?v=5", 4012), ("?v=x", 4012)]
)
async def test_unknown_terms_are_refused(user: Client, query: str, code: int) -> None:
    """What the Gateway does not speak is refused with a close code."""
    async with user.gateway(query) as gateway:
        assert code == await gateway.close_code()


async def test_missed_events_are_replayed_in_order(user: Client, discord: LocalDiscord) -> None:
    """After a cut, a resume brings what was missed, in order, and then RESUMED."""
    async with user.session() as session:
        discord.admin.disturb(discord.admin.sessions_of(user.id), Cut())
        await session.close_code()
    seq = session.seq
    await until(lambda: discord.world.sessions.all()[0].connection is None)
    for text in ("1", "2", "3"):
        await say(user, text)
    async with user.gateway() as again:
        await again.resume(user.token, session.session_id, seq)
        texts = [(await again.event("MESSAGE_CREATE"))["content"] for _ in range(3)]
        resumed = await again.frame(lambda frame: frame["t"] == "RESUMED")

        assert texts == ["1", "2", "3"]
        assert seq + 4 == resumed["s"]


async def test_own_farewell_ends_the_session(user: Client, discord: LocalDiscord) -> None:
    """A client that closes with 1000 has given its session up: a resume is answered with op 9 false."""
    async with user.session() as session:
        pass
    await until(lambda: not discord.world.sessions.all())
    async with user.gateway() as again:
        await again.resume(user.token, session.session_id, session.seq)

        assert False is (await again.op(9))["d"]


async def test_other_codes_keep_the_session(user: Client, discord: LocalDiscord) -> None:
    """A client that closes with 4000 can resume."""
    async with user.session() as session:
        await session.socket.close(code=4000)
    await until(lambda: discord.world.sessions.all()[0].connection is None)
    async with user.gateway() as again:
        await again.resume(user.token, session.session_id, session.seq)

        assert await again.event("RESUMED") == {"_trace": ["localdiscord"]}


async def test_session_without_connection_ends_after_the_window(http: aiohttp.ClientSession) -> None:
    """A session that nobody resumes in time is forgotten."""
    rules = Rules(resume_window=0.05)
    async with LocalDiscord.start(Settings(pika=False, rules=rules)) as discord:
        account = discord.admin.create_user()
        client = Client(http, discord.url, account["token"])
        async with client.session() as session:
            await session.socket.close(code=4000)
        await until(lambda: not discord.world.sessions.all())

        assert discord.admin.state()["sessions"] == []


async def test_resume_from_the_future_is_4007(user: Client, discord: LocalDiscord) -> None:
    """A sequence number the session never reached is refused and counted."""
    async with user.session() as session, user.gateway() as again:
        await again.resume(user.token, session.session_id, 1000)

        assert await again.close_code() == 4007
        assert discord.world.violations.report()["by_kind"] == {"sequence_invalid": 1}


async def test_resume_of_nothing_is_op_9(user: Client, discord: LocalDiscord) -> None:
    """RESUME with null ids, as libraries send after a failed first connect, is no violation."""
    async with user.gateway() as gateway:
        await gateway.send(6, {"token": user.token, "session_id": None, "seq": None})
        assert False is (await gateway.op(9))["d"]
        await gateway.identify(user.token)

        assert discord.world.violations.total == 0


async def test_takeover_closes_the_old_connection(user: Client) -> None:
    """A resume while the old socket still lives closes that one."""
    async with user.session() as session, user.gateway() as again:
        await again.resume(user.token, session.session_id, session.seq)
        await again.event("RESUMED")

        assert await session.close_code() == 4000
        await say(user, "still here")
        assert (await again.event("MESSAGE_CREATE"))["content"] == "still here"


async def test_bad_token_is_4004_and_then_a_violation(user: Client, discord: LocalDiscord) -> None:
    """A token that is refused once must not come again."""
    for count in (0, 1):
        async with user.gateway() as gateway:
            await gateway.send(2, {"token": "made.up.token", "properties": {}})
            assert await gateway.close_code() == 4004
            assert count == discord.world.violations.total


async def test_revoked_token_closes_sessions(user: Client, discord: LocalDiscord) -> None:
    """Revoking closes with 4004; a new token lets the user in again."""
    async with user.session() as session:
        discord.admin.revoke(user.id)

        assert await session.close_code() == 4004
        assert (await user.call("GET", "/users/@me"))[0] == 401
    user.token = discord.admin.new_token(user.id)["token"]
    async with user.session() as session:
        assert user.id == session.ready["user"]["id"]


MISTAKES: list[tuple[str, str, int]] = [
    ("not json", "frame_unreadable", 4002),
    ('["no object"]', "frame_unreadable", 4002),
    ('{"op":"1"}', "frame_unreadable", 4002),
    ('{"op":8,"d":{}}', "not_identified", 4003),
    ('{"op":2,"d":[]}', "frame_unreadable", 4002),
    ('{"op":1,"d":"' + "x" * 15_360 + '"}', "frame_too_large", 4002),
]


@pytest.mark.parametrize(("frame", "kind", "code"), MISTAKES)
async def test_mistake_has_its_close_code(
    user: Client, discord: LocalDiscord, frame: str, kind: str, code: int
) -> None:
    """Every mistake before IDENTIFY is counted under its name and closes with its code."""
    async with user.gateway() as gateway:
        await gateway.socket.send_str(frame)

        assert code == await gateway.close_code()
        assert {kind: 1} == discord.world.violations.report()["by_kind"]


@pytest.mark.parametrize(
    ("op", "kind", "code"), [(2, "identified_twice", 4005), (99, "opcode_unknown", 4001)]
)
async def test_mistake_after_identify_has_its_close_code(
    user: Client, discord: LocalDiscord, op: int, kind: str, code: int
) -> None:
    """So is every mistake after it."""
    async with user.session() as session:
        await session.send(op, {"token": user.token})

        assert code == await session.close_code()
        assert {kind: 1} == discord.world.violations.report()["by_kind"]


async def test_more_than_120_frames_a_minute_is_4008(user: Client, discord: LocalDiscord) -> None:
    """The 121st frame of a minute closes the connection; the session can be resumed."""
    async with user.session() as session:
        for _ in range(120):
            await session.send(41, {})

        assert await session.close_code() == 4008
        assert discord.world.violations.report()["by_kind"] == {"frame_rate_exceeded": 1}
        assert discord.world.sessions.get(session.session_id) is not None


@pytest.mark.parametrize("op", [3, 4, 14, 37, 41])
async def test_extras_of_user_clients_are_taken_silently(
    user: Client, discord: LocalDiscord, op: int
) -> None:
    """Presence, voice, subscriptions and the like are neither answered nor refused."""
    async with user.session() as session:
        await session.send(op, {"guild_id": None, "subscriptions": {}})

        assert await session.settle() == []
        assert discord.world.violations.total == 0


async def test_qos_heartbeat_is_acknowledged(user: Client) -> None:
    """Op 40 is a heartbeat."""
    async with user.session() as session:
        await session.send(40, {"seq": session.seq})

        assert (await session.op(11))["op"] == 11


async def test_members_are_listed_on_request(bot: Client, discord: LocalDiscord) -> None:
    """Op 8 lists members, whether the guild comes as string, integer or list."""
    guild = discord.admin.create_guild("home", [bot.id])
    async with bot.session() as session:
        await session.send(8, {"guild_id": [int(guild["id"])], "query": "", "limit": 0, "nonce": "n"})
        chunk = await session.event("GUILD_MEMBERS_CHUNK")
        await session.send(8, {"guild_id": []})

        assert (guild["id"], "n", 1) == (chunk["guild_id"], chunk["nonce"], len(chunk["members"]))


async def test_large_guild_is_silent_until_subscribed(user: Client, discord: LocalDiscord) -> None:
    """In a guild over 250 members a user sees messages only after op 37."""
    guild = discord.admin.create_guild("crowd", [user.id], 251)
    channel = guild["channels"][0]["id"]
    async with user.session() as session:
        await user.call("POST", f"/channels/{channel}/messages", json={"content": "unseen"})
        assert await session.settle() == []
        await session.send(37, {"subscriptions": {guild["id"]: {"typing": True}}})
        await session.settle()
        await user.call("POST", f"/channels/{channel}/messages", json={"content": "seen"})

        message = await session.event("MESSAGE_CREATE")
        assert ("seen", guild["id"]) == (message["content"], message["guild_id"])


async def test_intents_filter_and_hide(bot: Client, user: Client, discord: LocalDiscord) -> None:
    """Without MESSAGE_CONTENT a bot sees guild messages empty; without GUILD_MESSAGES, not at all."""
    guild = discord.admin.create_guild("home", [user.id, bot.id])
    channel = guild["channels"][0]["id"]
    async with bot.session(intents=1 | 1 << 9) as hiding, bot.session(intents=1) as deaf:
        await user.call("POST", f"/channels/{channel}/messages", json={"content": "secret"})

        assert (await hiding.event("MESSAGE_CREATE"))["content"] == ""
        assert await deaf.settle() == ["GUILD_CREATE"]


async def test_silent_heart_is_4009(http: aiohttp.ClientSession) -> None:
    """A client that does not heartbeat is closed with 4009, loses its session, and is counted."""
    rules = Rules(heartbeat_interval=0.1, heartbeat_grace=0.05)
    async with LocalDiscord.start(Settings(pika=False, rules=rules)) as discord:
        client = Client(http, discord.url, discord.admin.create_user()["token"])
        async with client.session() as session:
            assert await session.close_code() == 4009
            assert discord.world.violations.report()["by_kind"] == {"heartbeat_missed": 1}
            assert discord.admin.state()["sessions"] == []


async def test_identify_twice_in_five_seconds_is_op_9(http: aiohttp.ClientSession) -> None:
    """A second IDENTIFY of the same user within five seconds is refused and counted; another user's is not."""
    async with LocalDiscord.start(Settings(pika=False)) as discord:
        hasty = Client(http, discord.url, discord.admin.create_user()["token"])
        other = Client(http, discord.url, discord.admin.create_user()["token"])
        async with hasty.session(), other.session(), hasty.gateway() as again:
            await again.send(2, {"token": hasty.token, "properties": {}})

            assert False is (await again.op(9))["d"]
            assert discord.world.violations.report()["by_kind"] == {"identify_too_fast": 1}


async def test_fifty_sessions_are_enough(http: aiohttp.ClientSession) -> None:
    """One session more than allowed is closed with 4015."""
    rules = Rules(identify_interval=0, sessions_per_user=1)
    async with LocalDiscord.start(Settings(pika=False, rules=rules)) as discord:
        client = Client(http, discord.url, discord.admin.create_user()["token"])
        async with client.session(), client.gateway() as second:
            await second.send(2, {"token": client.token, "properties": {}, "capabilities": CAPABILITIES})

            assert await second.close_code() == 4015


async def test_sessions_are_sent_the_same_event(discord: LocalDiscord, user: Client) -> None:
    """Twenty sessions see twenty messages, in order, and the ledger knows when each frame left."""
    async with asyncio.TaskGroup() as group:
        sessions = []

        async def watch() -> list[str]:
            async with user.session() as session:
                sessions.append(session)
                return [(await session.event("MESSAGE_CREATE"))["content"] for _ in range(20)]

        watchers = [group.create_task(watch()) for _ in range(20)]
        await until(lambda: len(sessions) == 20)
        for number in range(20):
            await say(user, str(number))

    expected = [str(number) for number in range(20)]
    assert [expected] * 20 == [watcher.result() for watcher in watchers]
    assert len(discord.world.ledger.of("frame_sent")) == 400
