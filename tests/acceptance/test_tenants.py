"""Tenants and their API tokens: what each may do, and what nobody else sees."""

import json
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import requests

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay


class Answer(NamedTuple):
    """What may tell one thing from another."""

    code: int
    text: str
    headers: tuple[str, ...]


def ask(server: Relay, token: str, method: str, path: str, **more: Any) -> requests.Response:
    return requests.request(
        method,
        server.url + path,
        headers={"Authorization": f"Bearer {token}"},
        timeout=PATIENCE,
        **more,
    )


def operations(server: Relay) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every operation of the API's own document, by method and path."""
    paths = requests.get(f"{server.url}/openapi.json", timeout=PATIENCE).json()["paths"]
    return {(method.upper(), path): its for path, found in paths.items() for method, its in found.items()}


def names_a_job(path: str, operation: dict[str, Any]) -> bool:
    # The list takes one too, as some clients ask for a job, though its document does not say so.
    in_query = path == "/v1/pika/jobs" or any(its.get("name") == "jobid" for its in operation["parameters"])
    forms = operation.get("requestBody", {}).get("content", {}).values()
    return in_query or "{jobid}" in path or any("jobid" in str(form["schema"]) for form in forms)


#: What the operations need beside a jobid or a channel to get as far as looking for it.
REST = {"/v1/pika/button": {"button": "retry"}}
#: Operations on what the token's own tenant has, and on nothing that could be named.
OWN = {
    ("GET", "/v1/pika/account"),
    ("GET", "/v1/pikarelay/callbacks"),
    ("GET", "/v1/pikarelay/accounts"),
    ("GET", "/v2/account"),
    ("GET", "/v1/account"),
    ("POST", "/v2/account"),
}
#: Operations that make a job on an account: another tenant's account is as good as none.
MAKING = {f"/v1/pika/{name}" for name in ("create", "animate", "encrypt_text", "encrypt_image")}


@pytest.fixture(scope="module")
def stranger(server: Relay) -> str:
    """The API token of a tenant who has nothing."""
    return server.new_token("a stranger")


@pytest.fixture(scope="module")
def seat(server: Relay, local: Local) -> tuple[str, str]:
    """A configured account: its Discord token and its channel."""
    token, channel = local.new_user("tenants")
    ask(
        server, server.api_token, "POST", f"/v1/pika/account/{channel}",
        json={"discord": token, "channel": channel, "maxJobs": 3},
    ).raise_for_status()  # fmt: skip
    return token, channel


@pytest.fixture(scope="module")
def job(server: Relay, seat: tuple[str, str]) -> dict[str, Any]:
    """A completed job of somebody else's."""
    return server.created("a blue boat", *seat)


def told(server: Relay, token: str, method: str, path: str, job_id: str) -> Answer:
    """Ask one operation about a job, by whatever way it takes an id."""
    query = {"params": {"jobid": job_id}} if method == "GET" else {}
    form = {"json": {"jobid": job_id, **REST.get(path, {})}} if method == "POST" else {}
    answer = ask(server, token, method, path.replace("{jobid}", job_id), **query, **form)
    return Answer(answer.status_code, answer.text.replace(job_id, "ID"), tuple(sorted(answer.headers)))


def test_foreign_job_on_every_route(server: Relay, stranger: str, job: dict[str, Any]) -> None:
    """On every operation that takes a jobid, somebody else's is answered as one that never was, to the letter."""
    unknown = job["jobid"][:-4] + "zzzz"
    found = [place for place, its in operations(server).items() if names_a_job(place[1], its)]
    answers = {
        (method, path): [told(server, stranger, method, path, job_id) for job_id in (job["jobid"], unknown)]
        for method, path in found
    }

    assert {
        "GET /v1/pika/jobs", "GET /v1/pika/jobs/", "GET /v1/pika/jobs/cancel", "POST /v1/pika/button",
        "GET /v1/pikarelay/callbacks/{jobid}", "POST /v1/pikarelay/callbacks/replay",
    } == {f"{method} {path}" for method, path in found}  # fmt: skip
    for place, (foreign, never) in answers.items():
        assert foreign == never, place
        assert (404, '{"error":"Unable to locate job ID","code":404}') == foreign[:2], place


def test_every_other_route_shows_a_stranger_nothing(
    server: Relay, stranger: str, job: dict[str, Any], seat: tuple[str, str]
) -> None:
    """Every operation without a jobid knows nothing of another tenant's jobs, accounts and channels."""
    _, channel = seat
    nowhere = "1180000000000000077"
    seen = set()
    for (method, path), its in operations(server).items():
        if names_a_job(path, its):
            continue
        seen.add((method, path))
        if "{channel}" in path and method != "POST":
            # Theirs and nobody's are the same. To set one up on the same channel is not to see theirs.
            theirs, nobodys = (
                ask(server, stranger, method, path.replace("{channel}", its)) for its in (channel, nowhere)
            )

            assert (404, nobodys.text) == (theirs.status_code, theirs.text), (method, path)
        elif (method, path) in OWN:
            shown = ask(server, stranger, method, path, **({"json": {}} if method == "POST" else {})).text

            assert job["jobid"] not in shown
            assert channel not in shown
        elif path in MAKING:
            form = {"prompt": "a boat", "message": "m", "channel": channel}
            refused = ask(server, stranger, method, path, json=form)

            assert 400 == refused.status_code, (path, refused.text)
        else:
            assert (method, path) == ("POST", "/v1/pika/account/{channel}")
    assert len(operations(server)) == len(seen) + 6
    assert "completed" == server.job(job["jobid"])["status"]
    assert 200 == server.get(f"/v1/pika/account/{channel}").status_code


def test_subscription(server: Relay) -> None:
    """Without a subscription jobs are 402 and accounts are not; the day that it is set, they are answered."""
    server.command("tenant", "add", "late", "--subscription", "2026-01-31")
    token = server.new_token("late")
    paths = ["/v1/pika/jobs", "/v1/pika/jobs/?jobid=x", "/v1/pika/jobs/cancel/?jobid=x", "/v2/account"]
    before = [ask(server, token, "GET", path) for path in paths]
    submitted = ask(server, token, "POST", "/v1/pika/create", json={})
    done = server.command("tenant", "set", "late", "--subscription", "unlimited")
    after = [ask(server, token, "GET", path).status_code for path in paths]
    wrong = server.command("tenant", "set", "late", "--subscription", "tomorrow")

    assert [402, 402, 402, 200] == [answer.status_code for answer in before]
    assert {"error": "Account has no subscription or subscription expired", "code": 402} == submitted.json()
    assert "260131" == before[-1].json()["sub"]
    assert 0 == done.returncode, done.stderr
    assert [200, 404, 404, 200] == after
    assert (1, 1) == (wrong.returncode, len(wrong.stderr.splitlines()))


def test_scopes(server: Relay, seat: tuple[str, str]) -> None:
    """A token made for one thing is told, with 403, which scope the other takes; what needs none is open to both."""
    _, channel = seat
    use = server.new_token("scoped", "--scope", "use", "--days", "30")
    administer = server.new_token("scoped", "--scope", "administer")
    account = {"discord": "t" * 60, "channel": "1180000000000000078", "maxJobs": 1}
    jobs = [("GET", "/v1/pika/jobs"), ("POST", "/v1/pika/create"), ("GET", "/v1/pikarelay/callbacks")]
    changes = [
        ("POST", "/v1/pika/account/1180000000000000078"), ("DELETE", f"/v1/pika/account/{channel}"),
        ("POST", "/v2/account"), ("POST", "/v1/pikarelay/callbacks/replay"),
    ]  # fmt: skip
    refusals = {
        token: [ask(server, token, method, path, json=account) for method, path in lacking]
        for token, lacking in ((administer, jobs), (use, changes))
    }
    allowed = [
        ask(server, use, "GET", "/v1/pika/jobs"),
        ask(server, administer, "POST", "/v2/account", json={"replyUrl": ""}),
        ask(server, use, "GET", "/v2/account"),
        ask(server, administer, "GET", "/v2/account"),
    ]
    listed = server.command("token", "list", "--tenant", "scoped").stdout.splitlines()

    assert {'{"error":"API token has no scope use","code":403}'} == {its.text for its in refusals[administer]}
    assert {'{"error":"API token has no scope administer","code":403}'} == {its.text for its in refusals[use]}
    assert [200] * 4 == [answer.status_code for answer in allowed]
    assert ["use  until", "administer  no end"] == [
        line.split("  valid  ")[1][:n].strip() for line, n in zip(listed, (10, 18), strict=True)
    ]


@pytest.fixture
def leaver(server: Relay, local: Local, hook: Receiver) -> tuple[str, str]:
    """A tenant with an account of its own and callbacks: the API token, and the channel."""
    made = server.command("tenant", "add", "leaver", "--reply-url", hook.url)
    assert 0 == made.returncode, made.stderr
    token = server.new_token("leaver")
    discord, channel = local.new_user("leaver")
    account = {"discord": discord, "channel": channel, "maxJobs": 3}
    ask(server, token, "POST", f"/v1/pika/account/{channel}", json=account).raise_for_status()
    return token, channel


def test_life_of_a_tenant(server: Relay, hook: Receiver, leaver: tuple[str, str]) -> None:
    """A tenant's jobs call back to its own address; it is shown without secrets, and removed it is nobody."""
    token, channel = leaver
    secret = server.command("tenant", "secret", "leaver", "--rotate").stdout.strip()
    made = ask(server, token, "POST", "/v1/pika/create", json={"prompt": "a kite", "channel": channel})
    called = hook.next()
    text = server.command("tenant", "show", "leaver").stdout
    shown = json.loads(text)
    removed = server.command("tenant", "remove", "leaver")
    after = ask(server, token, "GET", "/v1/pika/jobs")
    again = server.command("tenant", "remove", "leaver")
    names = server.command("tenant", "list").stdout

    assert made.json()["jobid"] == called.job["jobid"]
    assert called.headers["webhook-signature"].startswith("v1,")
    assert (hook.url, True, [channel]) == (
        shown["replyUrl"], shown["callbacksAreSigned"], [its["channel"] for its in shown["accounts"]]
    )  # fmt: skip
    assert secret not in text
    assert token not in text
    assert "leaver is removed, and 1 job of it.\n" == removed.stdout
    assert 401 == after.status_code
    assert (1, 1) == (again.returncode, len(again.stderr.splitlines()))
    assert "leaver" not in names


class SlowPost:
    """A POST whose body keeps the server waiting: it has been let in, and nothing else has happened."""

    def __init__(self, server: Relay, token: str, path: str, body: dict[str, Any]) -> None:
        self._body = json.dumps(body).encode()
        parts = urlsplit(server.url)
        self._socket = socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=PATIENCE)
        self._file = self._socket.makefile("rb")
        self._socket.sendall(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nExpect: 100-continue\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self._body)}\r\n\r\n".encode()
        )
        # The server asks for the body once it knows who sends it.
        interim = self._file.readline(), self._file.readline()
        assert (b"HTTP/1.1 100 Continue\r\n", b"\r\n") == interim

    def finish(self) -> tuple[int, dict[str, Any]]:
        """Send the body, and return code and body of the answer."""
        with self._socket, self._file:
            self._socket.sendall(self._body)
            code, length = int(self._file.readline().split()[1]), 0
            while line := self._file.readline().strip().lower():
                length = int(line.partition(b": ")[2]) if line.startswith(b"content-length") else length
            return code, json.loads(self._file.read(length))


def test_end_of_a_subscription_during_a_post(server: Relay) -> None:
    """A tenant that sends a body slowly undoes nothing that an operator has set meanwhile."""
    server.command("tenant", "add", "dawdler")
    token = server.new_token("dawdler")
    post = SlowPost(server, token, "/v2/account", {"replyUrl": "https://example.com/"})
    server.command("tenant", "set", "dawdler", "--subscription", "none")
    code, body = post.finish()
    shown = json.loads(server.command("tenant", "show", "dawdler").stdout)

    assert (200, "https://example.com/") == (code, body["replyUrl"])
    assert ("no subscription", "https://example.com/") == (shown["subscription"], shown["replyUrl"])
    assert 402 == ask(server, token, "GET", "/v1/pika/jobs").status_code


def test_removal_during_a_post(server: Relay) -> None:
    """A tenant that is removed while it sends bodies is refused as nobody, and leaves nothing behind."""
    server.command("tenant", "add", "goner")
    token, channel = server.new_token("goner"), "1180000000000000079"
    seat = {"discord": "t" * 60, "channel": channel}
    posts = [
        SlowPost(server, token, "/v2/account", {"replyUrl": "https://example.com/"}),
        SlowPost(server, token, f"/v1/pika/account/{channel}", {**seat, "maxJobs": 1}),
        SlowPost(server, token, "/v1/pika/create", {**seat, "prompt": "a ghost"}),
    ]
    removed = server.command("tenant", "remove", "goner")
    answers = [post.finish() for post in posts]

    assert 0 == removed.returncode, removed.stderr
    assert [(401, {"error": "Unauthorized", "code": 401})] * 3 == answers
    assert "goner" not in server.command("tenant", "list").stdout
    assert channel not in server.command("account", "list").stdout
    assert channel not in server.command("jobs", "list").stdout
