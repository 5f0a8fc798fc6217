"""Every fault, armed over the admin route or the admin object, and seen from the client's side."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from localdiscord.faults.model import Close, Cut, InvalidSession, Reconnect
from localdiscord.server import LocalDiscord, Settings
from tests.localdiscord.client import Client, until
from tests.localdiscord.parrot import Parrot

Json = dict[str, Any]


def arm(discord: LocalDiscord, where: str, kind: str, match: Json | None = None, **more: Any) -> str:
    """Arm a fault of one strike; keys of the list itself may be among the rest."""
    outer: Json = {key: more.pop(key) for key in ("times", "skip") if key in more}
    return discord.admin.arm({"where": where, "match": match or {}, "do": {"kind": kind, **more}, **outer})


async def say(user: Client, text: str) -> tuple[int, Any]:
    return await user.call("POST", f"/channels/{user.channel}/messages", json={"content": text})


# --- REST ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["user", "shared", "global"])
async def test_armed_429_names_its_scope(user: Client, discord: LocalDiscord, scope: str) -> None:
    """The strike is no violation; a request inside its window is."""
    arm(discord, "rest", "rate_limit", {"route": "/users/@me"}, scope=scope, retry_after=30)
    status, body = await user.call("GET", "/users/@me")

    assert (429, 30.0, scope == "global") == (status, body["retry_after"], body["global"])
    assert (scope, "30") == (user.last.headers["X-RateLimit-Scope"], user.last.headers["Retry-After"])
    assert (scope == "global") == ("X-RateLimit-Global" in user.last.headers)
    assert discord.world.violations.total == 0
    # A request at once might have been in flight, and is forgiven; let a second pass.
    discord.world.monotonic = lambda: time.monotonic() + 1
    assert (await user.call("GET", "/users/@me"))[0] == 429
    assert discord.world.violations.report()["by_kind"] == {"request_inside_429_window": 1}
    assert (429 if scope == "global" else 200) == (await user.call("GET", f"/channels/{user.channel}"))[0]


@pytest.mark.parametrize("scope", ["user", "shared", "global", "cloudflare"])
@pytest.mark.parametrize(("when", "messages"), [("before", 0), ("after", 1)])
async def test_armed_429_may_be_untrue(
    user: Client, discord: LocalDiscord, when: str, messages: int, scope: str
) -> None:
    """A 429 after the effect looks like any other, and the message is there."""
    arm(discord, "rest", "rate_limit", {"method": "POST"}, scope=scope, retry_after=30, when=when)
    status, body = await say(user, "perhaps")

    assert 429 == status
    assert (b"error code: 1015" if scope == "cloudflare" else 30.0) == (
        body if scope == "cloudflare" else body["retry_after"]
    )
    assert messages == len(discord.world.messages.history(int(user.channel)))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_untrue_429_opens_its_window(user: Client, discord: LocalDiscord, when: str) -> None:
    """Within the window of an armed 429 nothing is taken, whether or not the struck call was."""
    arm(discord, "rest", "rate_limit", {"method": "POST"}, retry_after=30, when=when)
    before = (await say(user, "perhaps"))[0]
    taken = len(discord.world.messages.history(int(user.channel)))

    assert (429, 429) == (before, (await say(user, "once more"))[0])
    assert taken == len(discord.world.messages.history(int(user.channel)))


@pytest.mark.parametrize("bare", [True, False])
async def test_armed_ban_looks_like_cloudflare(user: Client, discord: LocalDiscord, bare: bool) -> None:
    """A Cloudflare 429 has no `Via`, no JSON, and perhaps no Retry-After."""
    arm(discord, "rest", "rate_limit", scope="cloudflare", retry_after=3, bare=bare)

    assert await user.call("GET", "/users/@me") == (429, b"error code: 1015")
    assert "Via" not in user.last.headers
    assert bare == ("Retry-After" not in user.last.headers)


async def test_skip_strikes_the_nth(user: Client, discord: LocalDiscord) -> None:
    """A fault lets its first matches pass, strikes as often as it says, and counts both."""
    fault = arm(discord, "rest", "fail", {"method": "GET", "route": "/users/*"}, skip=1, times=2)
    statuses = [(await user.call("GET", "/users/@me"))[0] for _ in range(4)]

    assert statuses == [200, 500, 500, 200]
    report = discord.world.faults.report()[0]
    assert (fault, 3, 2, True) == (report["id"], report["matched"], report["struck"], report["spent"])


@pytest.mark.parametrize(("when", "messages"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("body", ["json", "html"])
async def test_failure_may_come_after_the_effect(
    user: Client, discord: LocalDiscord, when: str, messages: int, body: str
) -> None:
    """A 5xx says nothing about whether the message exists."""
    arm(discord, "rest", "fail", {"method": "POST"}, status=502, when=when, body=body)
    status, _ = await say(user, "perhaps")

    assert status == 502
    assert ("application/json" if body == "json" else "text/html") == user.last.headers["Content-Type"]
    assert messages == len((await user.call("GET", f"/channels/{user.channel}/messages"))[1])


@pytest.mark.parametrize(("when", "messages"), [("before", 0), ("after", 1)])
async def test_connection_may_drop_after_the_effect(
    user: Client, discord: LocalDiscord, when: str, messages: int
) -> None:
    """A cut connection says nothing either."""
    arm(discord, "rest", "drop_connection", {"method": "POST"}, when=when)
    with pytest.raises(aiohttp.ClientError):
        await say(user, "perhaps")

    assert messages == len((await user.call("GET", f"/channels/{user.channel}/messages"))[1])


@pytest.mark.parametrize("when", ["before", "after"])
async def test_slow_answer_comes_late(user: Client, discord: LocalDiscord, when: str) -> None:
    """A slow answer outlasts a client's patience; the call has its effect all the same."""
    arm(discord, "rest", "slow", {"method": "POST"}, seconds=0.2, when=when)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await say(user, "impatient")
    history = discord.world.messages.history(int(user.channel))
    await until(lambda: len(history) == 1)
    arm(discord, "rest", "slow", {"method": "POST"}, seconds=0.01, when=when)

    assert (await say(user, "patient"))[0] == 200


async def test_truncated_answer_breaks_off(user: Client, discord: LocalDiscord) -> None:
    """Half a body arrives, less than its length promised."""
    arm(discord, "rest", "truncate", {"route": "/users/@me"})
    with pytest.raises(aiohttp.ClientError):
        await user.call("GET", "/users/@me")


REFUSALS = [
    ("unauthorized", 401, 0),
    ("blocked", 403, 10008),
    ("verification_required", 403, 40002),
]


@pytest.mark.parametrize(("kind", "status", "code"), REFUSALS)
async def test_armed_refusal(user: Client, discord: LocalDiscord, kind: str, status: int, code: int) -> None:
    """An armed refusal is no violation, and the token stays good."""
    arm(discord, "rest", kind, {"user_id": user.id})
    answered, body = await user.call("GET", "/users/@me")

    assert (status, code) == (answered, body["code"])
    assert (await user.call("GET", "/users/@me"))[0] == 200
    assert discord.world.violations.total == 0


async def test_any_refusal_can_be_played(user: Client, discord: LocalDiscord) -> None:
    """A failure with a code and a message is that refusal."""
    arm(discord, "rest", "fail", status=403, code=40333, message="internal network error")

    assert await user.call("GET", "/users/@me") == (403, {"message": "internal network error", "code": 40333})


async def test_captcha_has_no_code(user: Client, discord: LocalDiscord) -> None:
    """A challenge is a 400 with `captcha_key`."""
    arm(discord, "rest", "captcha", {"route": "/interactions"})
    status, body = await user.call("POST", "/interactions", json={})

    assert (status, body["captcha_key"], "code" in body) == (400, ["captcha-required"], False)


# --- Gateway ---------------------------------------------------------------------------------------------

CREATED = {"event": "MESSAGE_CREATE"}


async def texts(user: Client, discord: LocalDiscord, count: int, *armed: tuple[str, Json]) -> list[str]:
    """Say three things with the faults armed, and return what comes."""
    async with user.session() as session:
        for kind, more in armed:
            arm(discord, "gateway", kind, CREATED, **more)
        for text in "123":
            await say(user, text)
        return [(await session.event("MESSAGE_CREATE"))["content"] for _ in range(count)]


async def test_event_can_be_lost(user: Client, discord: LocalDiscord) -> None:
    """A lost event leaves no trace; the next one is there."""
    assert await texts(user, discord, 2, ("lose", {})) == ["2", "3"]


async def test_event_can_come_twice(user: Client, discord: LocalDiscord) -> None:
    """A duplicate has a sequence number of its own."""
    assert await texts(user, discord, 4, ("duplicate", {})) == ["1", "1", "2", "3"]


async def test_event_can_be_overtaken(user: Client, discord: LocalDiscord) -> None:
    """The next event overtakes one that is reordered, all others one that is delayed."""
    assert await texts(user, discord, 3, ("reorder", {})) == ["2", "1", "3"]
    assert await texts(user, discord, 3, ("delay", {"seconds": 0.1})) == ["2", "3", "1"]


async def test_held_event_goes_by_itself(user: Client, discord: LocalDiscord) -> None:
    """When nothing overtakes it, a reordered event goes after its time."""
    async with user.session() as session:
        arm(discord, "gateway", "reorder", CREATED, seconds=0.05)
        await say(user, "alone")

        assert (await session.event("MESSAGE_CREATE"))["content"] == "alone"


async def test_lost_event_may_leave_a_gap(user: Client, discord: LocalDiscord) -> None:
    """With a gap the sequence number is spent, and a resume brings the event."""
    async with user.session() as session:
        before = session.seq
        arm(discord, "gateway", "lose", CREATED, gap=True)
        await say(user, "1")
        await say(user, "2")
        assert (await session.event("MESSAGE_CREATE"))["content"] == "2"
        assert before + 2 == session.seq
        discord.admin.disturb(discord.admin.sessions_of(session.session_id), Cut())
        await session.close_code()
    async with user.gateway() as again:
        await again.resume(user.token, session.session_id, before)
        assert (await again.event("MESSAGE_CREATE"))["content"] == "1"


@pytest.mark.parametrize(
    ("kind", "more", "code"),
    [("cut", {}, 1006), ("close", {"code": 4000}, 4000), ("close", {"code": 4009}, 4009)],
)
async def test_connection_ends_in_place_of_the_event(
    user: Client, discord: LocalDiscord, kind: str, more: Json, code: int
) -> None:
    """The event that struck is replayed by a resume."""
    async with user.session() as session:
        arm(discord, "gateway", kind, CREATED, **more)
        await say(user, "missed")
        assert code == await session.close_code()
    async with user.gateway() as again:
        await again.resume(user.token, session.session_id, session.seq)

        assert (await again.event("MESSAGE_CREATE"))["content"] == "missed"


async def test_reconnect_is_op_7(user: Client, discord: LocalDiscord) -> None:
    """Op 7 asks the client to come again."""
    async with user.session() as session:
        arm(discord, "gateway", "reconnect", CREATED)
        await say(user, "missed")

        assert (await session.op(7))["op"] == 7


@pytest.mark.parametrize("resumable", [True, False])
async def test_invalid_session_is_op_9(user: Client, discord: LocalDiscord, resumable: bool) -> None:
    """Op 9 says whether a resume can work, and it is the truth."""
    async with user.session() as session:
        arm(discord, "gateway", "invalid_session", CREATED, resumable=resumable)
        await say(user, "missed")
        assert resumable is (await session.op(9))["d"]
        await session.socket.close(code=4000)
    async with user.gateway() as again:
        await again.resume(user.token, session.session_id, session.seq)
        answer = await again.frame(lambda frame: frame["op"] in {0, 9})

        assert (0 if resumable else 9) == answer["op"]


async def test_heartbeats_can_go_unanswered(user: Client, discord: LocalDiscord) -> None:
    """A zombie leaves heartbeats alone and everything else as it is."""
    async with user.session() as session:
        arm(discord, "gateway", "no_acks", {"user_id": user.id})
        await session.send(1, session.seq)
        await say(user, "alive")
        await session.event("MESSAGE_CREATE")

        assert session.seen == []
        assert await session.settle() == []


async def test_gateway_can_refuse_connections(user: Client, discord: LocalDiscord) -> None:
    """The handshake fails with 503 until the time is over."""
    arm(discord, "gateway", "refuse", seconds=30)
    with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
        async with user.gateway():
            pass
    discord.world.faults.disarm_all()
    async with user.session() as session:
        assert user.id == session.ready["user"]["id"]


@pytest.mark.parametrize("strike", [Cut(), Close(4009), Reconnect(), InvalidSession()])
async def test_identify_after_a_fault_is_nobodys_haste(
    http: aiohttp.ClientSession, strike: Cut | Close | Reconnect | InvalidSession
) -> None:
    """A client whose connection was disturbed may identify within five seconds of the last time."""
    async with LocalDiscord.start(Settings(pika=False)) as discord:
        client = Client(http, discord.url, discord.admin.create_user()["token"])
        async with client.session() as session:
            discord.admin.disturb(discord.admin.sessions_of(session.session_id), strike)
        async with client.session():
            assert 0 == discord.world.violations.total


async def test_shrunk_replay_ends_the_session(user: Client, discord: LocalDiscord) -> None:
    """A resume that needs forgotten events is answered with op 9 false; an IDENTIFY right after is welcome."""
    async with user.session() as session:
        await session.socket.close(code=4000)
    await until(lambda: discord.world.sessions.all()[0].connection is None)
    await say(user, "1")
    await say(user, "2")
    arm(discord, "gateway", "shrink_replay", size=1)
    async with user.gateway() as again:
        await again.resume(user.token, session.session_id, session.seq)
        assert False is (await again.op(9))["d"]
        await again.identify(user.token)

        assert discord.world.violations.total == 0


# --- applications ----------------------------------------------------------------------------------------


async def test_application_can_be_silent_or_late(user: Client, discord: LocalDiscord, parrot: Parrot) -> None:
    """A silent application never hears of the press; a late one hears of it later."""
    arm(discord, "app", "silence", {"application": "Parrot", "command": "defer"})
    arm(discord, "app", "late", {"command": "defer"}, seconds=0.05)
    async with user.session() as session:
        body = await user.command(user.channel, session, "defer")
        await user.call("POST", "/interactions", json=body)
        assert body["nonce"] == (await session.event("INTERACTION_FAILURE"))["nonce"]
        assert parrot.heard == []
        late = await user.command(user.channel, session, "defer")
        await user.call("POST", "/interactions", json=late)
        assert late["nonce"] == (await session.event("INTERACTION_SUCCESS"))["nonce"]


async def test_application_can_be_configured_by_a_fault(
    user: Client, discord: LocalDiscord, parrot: Parrot
) -> None:
    """Settings reach the application before the press does."""
    arm(discord, "app", "configure", settings={"mood": "moderated"})
    async with user.session() as session:
        await user.call("POST", "/interactions", json=await user.command(user.channel, session, "defer"))
        await session.event("INTERACTION_SUCCESS")

        assert parrot.configured == {"mood": "moderated"}
