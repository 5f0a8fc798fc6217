"""The admin routes, as another process uses them."""

from email.utils import parsedate_to_datetime
from typing import Any

from localdiscord.server import LocalDiscord
from tests.localdiscord.client import Client
from tests.localdiscord.parrot import Parrot


async def admin(client: Client, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with client.http.request(method, f"{client.url}/admin{path}", json=body) as answer:
        return answer.status, await answer.json()


async def test_world_is_made_by_routes(user: Client) -> None:
    """Users, applications, guilds and channels can be made and are in the state."""
    _, made = await admin(user, "POST", "/users", {"username": "eve"})
    _, robot = await admin(user, "POST", "/applications", {"name": "Robot", "distinct_bot_id": True})
    members = [made["id"], robot["bot_id"]]
    _, guild = await admin(user, "POST", "/guilds", {"name": "home", "members": members, "member_count": 300})
    _, opened = await admin(user, "POST", f"/users/{made['id']}/dm", {"application_id": "robot"})
    _, state = await admin(user, "GET", "/state")

    assert robot["id"] != robot["bot_id"]
    assert {"Parrot"} == set(made["dm_channels"])
    assert {guild["channels"][0]["id"], opened["channel_id"]} < {each["id"] for each in state["channels"]}
    assert [each["member_count"] for each in state["guilds"]] == [300]
    assert {"ada", "demo", "eve"} == {each["username"] for each in state["users"]}


async def test_tokens_are_revoked_and_renewed(user: Client) -> None:
    """The old token is refused; the new one works."""
    await admin(user, "POST", f"/users/{user.id}/revoke")
    assert (await user.call("GET", "/users/@me"))[0] == 401
    _, renewed = await admin(user, "POST", f"/users/{user.id}/token")
    user.token = renewed["token"]

    assert (await user.call("GET", "/users/@me"))[0] == 200


async def test_ledger_ties_presses_to_messages(user: Client) -> None:
    """From the ledger alone one can say which message a nonce led to, and when its frame left."""
    async with user.session() as session:
        body = await user.command(user.channel, session, "plain")
        await user.call("POST", "/interactions", json=body)
        await session.event("MESSAGE_CREATE")
        plain = await session.event("MESSAGE_CREATE")
        _, ledger = await admin(user, "GET", "/ledger")
        _, rest = await admin(user, "GET", f"/ledger?since={ledger['last'] - 1}&limit=5")
        _, presses = await admin(user, "GET", "/presses")

        entries = ledger["entries"]
        accepted = next(each for each in entries if each["event"] == "interaction_accepted")
        result = next(each for each in entries if each["event"] == "result")
        sent = [each for each in entries if each["event"] == "frame_sent"]
        assert [*range(1, ledger["last"] + 1)] == [each["seq"] for each in entries]
        assert entries[-1:] == rest["entries"]
        assert body["nonce"] == accepted["nonce"] == result["nonce"]
        assert (plain["id"], session.session_id) == (result["message_id"], sent[-1]["session_id"])
        assert accepted["monotonic_ns"] < sent[-1]["monotonic_ns"]
        assert {body["nonce"]: 1} == presses


async def test_sessions_are_disturbed_by_routes(user: Client) -> None:
    """A session, or all of a user's, can be asked for a heartbeat, sent op 7 and op 9, closed and cut."""
    async with user.session() as session:
        for what, op in ("heartbeat", 1), ("op7", 7):
            assert await admin(user, "POST", f"/sessions/{session.session_id}/{what}") == (
                200,
                {"sessions": 1},
            )
            assert op == (await session.op(op))["op"]
        await admin(user, "POST", f"/sessions/{user.id}/op9", {"resumable": True})
        assert True is (await session.op(9))["d"]
        await admin(user, "POST", f"/sessions/{user.id}/close", {"code": 4001})
        assert await session.close_code() == 4001
    async with user.session() as session:
        await admin(user, "POST", f"/sessions/{session.session_id}/cut")
        assert await session.close_code() == 1006


async def test_faults_are_listed_and_disarmed(user: Client) -> None:
    """What is armed by a route is listed with what became of it, and can be taken back."""
    fault = {
        "where": "rest",
        "match": {"route": "/users/*"},
        "do": {"kind": "fail", "status": 503},
        "times": None,
    }
    _, armed = await admin(user, "POST", "/faults", fault)
    assert (await user.call("GET", "/users/@me"))[0] == 503
    _, listed = await admin(user, "GET", "/faults")
    assert (armed["id"], 1, False) == (listed[0]["id"], listed[0]["struck"], listed[0]["spent"])
    assert await admin(user, "DELETE", f"/faults/{armed['id']}") == (200, {"disarmed": True})
    assert (await user.call("GET", "/users/@me"))[0] == 200
    await admin(user, "POST", "/faults", fault)
    assert await admin(user, "DELETE", "/faults") == (200, {})
    assert await admin(user, "GET", "/faults") == (200, [])


async def test_wrong_requests_are_explained(user: Client) -> None:
    """A wrong fault, a missing field and an unknown user are refused with a sentence."""
    misplaced = {"where": "gateway", "do": {"kind": "captcha"}}
    for path, body, status in (
        ("/faults", {"where": "rest", "do": {"kind": "nonsense"}}, 400),
        ("/faults", {"where": "rest", "do": {"kind": "fail"}, "match": {"rute": "x"}}, 400),
        ("/faults", misplaced, 400),
        ("/guilds", {}, 400),
        ("/sessions/1/cut", {}, 404),
        ("/apps/nobody/settings", {}, 404),
    ):
        answered, refused = await admin(user, "POST", path, body)
        assert status == answered
        assert refused["message"]


async def test_application_is_configured_by_a_route(user: Client, parrot: Parrot) -> None:
    """Settings are handed to the application as they are."""
    assert await admin(user, "POST", "/apps/parrot/settings", {"mood": "fast"}) == (200, {"configured": True})
    assert parrot.configured == {"mood": "fast"}
    assert await admin(user, "GET", "/apps/parrot/settings") == (200, {})


async def test_clock_moves_for_links_and_not_for_hearts(user: Client, discord: LocalDiscord) -> None:
    """A day later the session still lives, and the server's Date is a day later."""
    async with user.session() as session:
        before = discord.clock.now()
        _, answer = await admin(user, "POST", "/clock", {"advance": 86_400})

        assert before + 86_400 <= answer["time"]
        await user.call("GET", "/users/@me")
        assert before + 86_399 <= parsedate_to_datetime(user.last.headers["Date"]).timestamp()
        assert await session.settle() == []


async def test_violations_are_reported_and_cleared(user: Client) -> None:
    """The report has total, kinds and details."""
    stranger = Client(user.http, user.url, "no.such.token")
    for _ in range(2):
        await stranger.call("GET", "/users/@me")
    _, report = await admin(user, "GET", "/violations")

    assert (report["total"], report["by_kind"]) == (1, {"refused_token_reused": 1})
    assert report["details"][0]["path"] == "/api/v9/users/@me"
    await admin(user, "DELETE", "/violations")
    assert (await admin(user, "GET", "/violations"))[1]["total"] == 0


async def test_slow_mode_is_set_by_a_route(user: Client, discord: LocalDiscord) -> None:
    """The channel object tells it."""
    await admin(user, "POST", f"/channels/{user.channel}", {"slow_mode": 7})

    assert discord.admin.find_channel(user.channel).slow_mode == 7
