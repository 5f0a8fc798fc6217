"""The REST edge: headers, refusals, history, messages, uploads and the index."""

import time
from typing import Any

import aiohttp
import pytest

from localdiscord.server import LocalDiscord, Settings
from localdiscord.world.rules import Rules
from tests.localdiscord.client import Client


def form_code(body: dict[str, Any], *path: str) -> str:
    """Return the code of the first error at the path of a form refusal."""
    tree = body["errors"]
    for step in path:
        tree = tree[step]
    code: str = tree["_errors"][0]["code"]
    return code


async def say(client: Client, text: str, **more: Any) -> dict[str, Any]:
    path = f"/channels/{client.channel}/messages"
    status, answer = await client.call("POST", path, json={"content": text, **more})
    assert status == 200
    message: dict[str, Any] = answer
    return message


@pytest.mark.parametrize("version", ["v9", "v10"])
async def test_answers_carry_the_headers_libraries_compare(
    user: Client, discord: LocalDiscord, version: str
) -> None:
    """JSON is exactly application/json, `Via` is there, and users get no rate limit headers."""
    status, body = await user.call("GET", f"{discord.url}/api/{version}/users/@me")

    assert (200, user.id) == (status, body["id"])
    assert user.last.headers["Content-Type"] == "application/json"
    assert user.last.headers["Via"] == "1.1 localdiscord"
    assert not [name for name in user.last.headers if name.lower().startswith("x-ratelimit")]


async def test_bots_read_their_limits_in_headers(bot: Client) -> None:
    """A bot's answers tell limit, remaining, reset and bucket."""
    await bot.call("GET", "/users/@me")

    headers = bot.last.headers
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("50", "49")
    assert 0 < float(headers["X-RateLimit-Reset-After"]) <= 1
    assert len(headers["X-RateLimit-Bucket"]) == 32


async def test_unknown_routes_and_methods_are_json(user: Client) -> None:
    """404 and 405 have Discord's bodies."""
    assert await user.call("GET", "/nothing/here") == (404, {"message": "404: Not Found", "code": 0})
    assert await user.call("PUT", "/users/@me") == (405, {"message": "405: Method Not Allowed", "code": 0})


async def test_missing_authorization_is_counted(user: Client, discord: LocalDiscord) -> None:
    """A call without a token is 401, and a violation."""
    async with user.http.get(f"{discord.api_url}/users/@me") as answer:
        assert answer.status == 401
        assert await answer.json() == {"message": "401: Unauthorized", "code": 0}
    assert discord.world.violations.report()["by_kind"] == {"authorization_missing": 1}


@pytest.mark.parametrize("as_bot", [True, False])
async def test_prefix_must_fit_the_token(user: Client, bot: Client, as_bot: bool) -> None:
    """A user's token with `Bot `, or a bot's without, is refused."""
    wrong = Client(user.http, user.url, user.token if as_bot else bot.token, bot=as_bot)

    assert (await wrong.call("GET", "/users/@me"))[0] == 401


async def test_one_message_is_for_bots_only(user: Client, discord: LocalDiscord) -> None:
    """A user that reads a single message is refused and counted; `around` serves it."""
    message = await say(user, "here")
    path = f"/channels/{user.channel}/messages"

    status, body = await user.call("GET", f"{path}/{message['id']}")
    assert (status, body["code"]) == (403, 20002)
    assert discord.world.violations.report()["by_kind"] == {"route_not_allowed": 1}
    _, around = await user.call("GET", f"{path}?around={message['id']}&limit=1")
    assert [message["id"]] == [each["id"] for each in around]


async def test_history_is_newest_first(user: Client) -> None:
    """Every cursor answers newest first; `after` holds the oldest messages past it."""
    ids = [(await say(user, str(number)))["id"] for number in range(6)]
    path = f"/channels/{user.channel}/messages"

    async def read(query: str) -> list[int]:
        _, found = await user.call("GET", f"{path}{query}")
        return [ids.index(each["id"]) for each in found]

    assert await read("") == [5, 4, 3, 2, 1, 0]
    assert await read("?limit=2") == [5, 4]
    assert await read(f"?after={ids[0]}&limit=2") == [2, 1]
    assert await read(f"?before={ids[4]}&limit=2") == [3, 2]
    assert await read(f"?around={ids[3]}&limit=3") == [4, 3, 2]
    assert (await user.call("GET", f"{path}?limit=101"))[1]["code"] == 50035


async def test_message_can_be_edited_and_deleted(user: Client) -> None:
    """Edits and deletions are announced; the timestamp stays."""
    async with user.session() as session:
        message = await say(user, "first", nonce="17")
        created = await session.event("MESSAGE_CREATE")
        path = f"/channels/{user.channel}/messages/{message['id']}"
        await user.call("PATCH", path, json={"content": "second"})
        edited = await session.event("MESSAGE_UPDATE")
        assert (await user.call("DELETE", path))[0] == 204
        deleted = await session.event("MESSAGE_DELETE")

        assert "17" == created["nonce"] == message["nonce"]
        assert ("second", message["timestamp"]) == (edited["content"], edited["timestamp"])
        assert edited["edited_timestamp"] > edited["timestamp"]
        assert {"id": message["id"], "channel_id": user.channel} == deleted
        assert (await user.call("DELETE", path))[0] == 404


async def test_enforced_nonce_posts_once(user: Client) -> None:
    """A message repeated with `enforce_nonce` is the message of before."""
    first = await say(user, "once", nonce="5", enforce_nonce=True)
    second = await say(user, "once", nonce="5", enforce_nonce=True)

    assert first["id"] == second["id"]


async def test_files_in_band_become_attachments(user: Client) -> None:
    """Multipart files are stored with the descriptions of their entries."""
    form = aiohttp.FormData()
    entry = {"id": 0, "description": "a cat"}
    form.add_field("payload_json", f'{{"attachments":[{{"id":{entry["id"]},"description":"a cat"}}]}}')
    form.add_field("files[0]", b"meow", filename="cat.txt", content_type="text/plain")

    status, message = await user.call("POST", f"/channels/{user.channel}/messages", data=form)
    attachment = message["attachments"][0]
    assert (
        status,
        attachment["filename"],
        attachment["size"],
        attachment["description"],
    ) == (200, "cat.txt", 4, "a cat")


BAD_MESSAGES: list[tuple[dict[str, Any], int, int]] = [
    ({}, 400, 50006),
    ({"content": "x" * 2001}, 400, 50035),
    ({"content": "x", "nonce": "1" * 26}, 400, 50035),
    ({"content": []}, 400, 50035),
    ({"content": "x", "embeds": [{}] * 11}, 400, 50035),
    ({"content": "x", "message_reference": {"message_id": "1"}}, 400, 50035),
    ({"content": "x", "components": [{"type": 2}]}, 400, 50035),
    ({"content": "x", "flags": 1 << 15}, 400, 50035),
    ({"content": "x", "attachments": [{"id": "0", "uploaded_filename": "no/such"}]}, 400, 50146),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD_MESSAGES)
async def test_bad_message_is_refused(user: Client, body: dict[str, Any], status: int, code: int) -> None:
    """Every field is judged, with the code Discord gives."""
    answered, refused = await user.call("POST", f"/channels/{user.channel}/messages", json=body)

    assert (status, code) == (answered, refused["code"])


async def test_body_must_be_json(user: Client) -> None:
    """Broken JSON is 50109; another content type is a form error."""
    path = f"/channels/{user.channel}/messages"
    json_type = {"Content-Type": "application/json"}
    assert (await user.call("POST", path, data=b"{", headers=json_type))[1]["code"] == 50109
    _, refused = await user.call("POST", path, data=b"x", headers={"Content-Type": "text/plain"})
    assert form_code(refused) == "CONTENT_TYPE_INVALID"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary at all"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="payload_json"\r\n\r\n{',
        ),
    ],
)
async def test_broken_multipart_is_refused(user: Client, content_type: str, body: bytes) -> None:
    """A multipart body that cannot be read is a refusal, never a server error."""
    path = f"/channels/{user.channel}/messages"
    headers = {"Content-Type": content_type}

    assert (await user.call("POST", path, data=body, headers=headers))[0] == 400


async def test_foreign_places_are_closed(user: Client, bot: Client) -> None:
    """A channel one is not in is 403, one that is not there 404, and an id that is none 400."""
    assert _codes(await bot.call("GET", f"/channels/{user.channel}/messages")) == (403, 50001)
    assert _codes(await user.call("GET", "/channels/1/messages")) == (404, 10003)
    assert _codes(await user.call("GET", "/channels/x/messages")) == (400, 50035)
    assert _codes(await user.call("GET", "/guilds/1")) == (404, 10004)
    assert _codes(await user.call("GET", "/users/1")) == (404, 10013)


def _codes(answer: tuple[int, Any]) -> tuple[int, int]:
    return answer[0], answer[1]["code"]


async def test_direct_channel_is_opened_once(user: Client, bot: Client) -> None:
    """The same channel comes back, and the user's sessions are told of the new one."""
    async with user.session() as session:
        _, one = await user.call("POST", "/users/@me/channels", json={"recipient_id": bot.id})
        _, two = await bot.call("POST", "/users/@me/channels", json={"recipients": [user.id]})

        assert one["id"] == two["id"] == (await session.event("CHANNEL_CREATE"))["id"]
        assert [bot.id] == [each["id"] for each in one["recipients"]]


async def test_commands_keep_their_ids(bot: Client, user: Client, discord: LocalDiscord) -> None:
    """A command registered again keeps id and version until it changes."""
    path = f"/applications/{bot.application_id}/commands"
    command = {"name": "go", "description": "Go", "options": []}
    _, first = await bot.call("PUT", path, json=[command])
    _, second = await bot.call("PUT", path, json=[command])
    _, third = await bot.call("PUT", path, json=[{**command, "description": "Go on"}])
    _, listed = await bot.call("GET", path)
    channel = discord.admin.open_dm(user.id, "Robot")["channel_id"]
    _, index = await user.call("GET", f"/channels/{channel}/application-command-index")

    assert first == second
    assert first[0]["id"] == third[0]["id"]
    assert first[0]["version"] != third[0]["version"]
    assert third == listed == index["application_commands"]
    assert [each["name"] for each in index["applications"]] == ["Robot"]


async def test_upload_has_rules_of_its_own(user: Client, discord: LocalDiscord) -> None:
    """The bucket refuses a content type, counts a token, and forgets what was deleted."""
    path = f"/channels/{user.channel}/attachments"
    files = {"files": [{"id": 7, "filename": "a b.txt", "file_size": 3}]}
    status, answer = await user.call("POST", path, json=files)
    place = answer["attachments"][0]
    url, name = place["upload_url"], place["upload_filename"]

    assert (status, place["id"], name.endswith("/a b.txt")) == (200, 7, True)
    assert (await _put(user, url, {"Content-Type": "text/plain"})) == 403
    assert (await _put(user, url, {"Content-Type": ""})) == 200
    assert (await _put(user, url[:-4] + "none", {"Content-Type": ""})) == 404
    assert (await _put(user, url, {"Content-Type": "", "Authorization": user.token})) == 200
    assert discord.world.violations.report()["by_kind"] == {"authorization_sent_to_cdn": 1}
    message = await say(user, "", attachments=[{"id": "0", "uploaded_filename": name}])
    assert message["attachments"][0]["size"] == 3
    assert (await user.call("DELETE", f"/attachments/{name}"))[0] == 204
    assert (await user.call("DELETE", f"/attachments/{name}"))[1]["code"] == 50146


async def _put(client: Client, url: str, headers: dict[str, str]) -> int:
    async with client.http.put(url, data=b"abc", headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("files", "status"),
    [
        (None, 400),
        ([{}], 400),
        ([{"filename": "x"}], 400),
        ([{"filename": "x", "file_size": 1}] * 11, 400),
        ([{"filename": "x", "file_size": 10 * 1024 * 1024 + 1}], 413),
    ],
)
async def test_bad_announcement_is_refused(user: Client, files: Any, status: int) -> None:
    """One to ten files with names and sizes, none larger than 10 MiB."""
    path = f"/channels/{user.channel}/attachments"

    assert status == (await user.call("POST", path, json={"files": files}))[0]


async def test_fifty_requests_a_second_are_the_global_limit(user: Client, discord: LocalDiscord) -> None:
    """The 51st request of a second is a global 429; another inside its window is one more violation."""
    answers = [await user.call("GET", "/users/@me") for _ in range(51)]
    status, body = answers[-1]

    assert {200} == {each[0] for each in answers[:-1]}
    assert (status, body["global"]) == (429, True)
    assert list(body) == ["message", "retry_after", "global"]
    assert tuple(user.last.headers[name] for name in ("X-RateLimit-Scope", "X-RateLimit-Global")) == (
        "global",
        "true",
    )
    assert discord.world.violations.report()["by_kind"] == {"global_rate_exceeded": 1}


async def test_bots_have_buckets(bot: Client, user: Client, discord: LocalDiscord) -> None:
    """The sixth message in five seconds is a violation for a bot, which could have read its headers."""
    channel = discord.admin.open_dm(user.id, "Robot")["channel_id"]
    path = f"/channels/{channel}/messages"
    for left in range(4, -1, -1):
        await bot.call("POST", path, json={"content": "x"})
        assert str(left) == bot.last.headers["X-RateLimit-Remaining"]
    status, body = await bot.call("POST", path, json={"content": "x"})

    assert (status, body["global"]) == (429, False)
    assert discord.world.violations.report()["by_kind"] == {"bucket_exceeded": 1}
    assert (await bot.call("POST", f"/channels/{channel}/typing"))[0] == 204


async def test_slow_mode_holds_for_messages_and_presses(user: Client, discord: LocalDiscord) -> None:
    """In a slow channel the second message, or a press after it, is a 429 with code 20016; insisting is counted."""
    discord.admin.slow_mode(user.channel, 30)
    now = time.monotonic()
    discord.world.monotonic = lambda: now
    async with user.session() as session:
        await say(user, "slowly")
        path = f"/channels/{user.channel}/messages"
        assert _codes(await user.call("POST", path, json={"content": "fast"})) == (429, 20016)
        body = await user.command(user.channel, session, "defer")
        assert _codes(await user.call("POST", "/interactions", json=body)) == (429, 20016)
        assert discord.world.violations.total == 0
        discord.world.monotonic = lambda: now + 1
        assert _codes(await user.call("POST", path, json={"content": "fast"})) == (429, 20016)
        assert discord.world.violations.report()["by_kind"] == {"request_inside_429_window": 1}
        discord.world.monotonic = lambda: now + 30
        await say(user, "slowly")


async def test_too_many_refusals_lead_to_a_ban(http: aiohttp.ClientSession) -> None:
    """At the limit of invalid requests Cloudflare answers, without `Via` and without JSON."""
    rules = Rules(invalid_request_limit=3)
    async with LocalDiscord.start(Settings(pika=False, rules=rules)) as discord:
        stranger = Client(http, discord.url, "no.such.token")
        answers = [await stranger.call("GET", "/users/@me") for _ in range(4)]

        assert [status for status, _ in answers] == [401, 401, 401, 429]
        assert answers[-1][1] == b"error code: 1015"
        assert "Via" not in stranger.last.headers
        counts = discord.world.violations.report()["by_kind"]
        assert counts == {"refused_token_reused": 2, "invalid_requests_exceeded": 1}
