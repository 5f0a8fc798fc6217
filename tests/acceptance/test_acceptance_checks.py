"""
The eight checks by which a server is accepted as one that existing clients can be pointed at, one test each.

Each shows its check in one story. The many cases behind them are in the modules named for their subject.
"""

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, relay
from tests.acceptance.test_client_shapes import SHAPES, stored

_numbers = itertools.count(1)
#: The way of answering in which the bot's first message comes at once, however long the video takes.
TALKATIVE = "respond"
RATE_LIMIT = {
    "where": "rest",
    "match": {"method": "POST", "route": "/interactions"},
    "do": {"kind": "rate_limit", "scope": "user", "retry_after": 0.2},
    "times": 1,
}


@pytest.fixture(autouse=True)
def _quick_bot(local: Local) -> Iterator[None]:
    yield
    local.configure_pika(behaviour="plain", speed=0.0)


def ask(server: Relay, method: str, path: str, **more: Any) -> requests.Response:
    return requests.request(
        method, server.url + path, headers=server.headers, timeout=PATIENCE, allow_redirects=False, **more
    )


def set_account(server: Relay, token: str, channel: str, max_jobs: int = 10) -> None:
    account = {"discord": token, "channel": channel, "maxJobs": max_jobs}
    assert 204 == ask(server, "POST", f"/v1/pika/account/{channel}", json=account).status_code


def create(server: Relay, seat: tuple[str, str] | None = None, **fields: str) -> requests.Response:
    given = {} if seat is None else {"discord": seat[0], "channel": seat[1]}
    # A press waits for its equals on the channel until it is known how the bot ties its answers to them.
    return server.post("create", {"prompt": f"{next(_numbers):04} kites", **given, **fields})


def retry(server: Relay, parent: dict[str, Any], **fields: str) -> requests.Response:
    return server.post("button", {"jobid": parent["jobid"], "button": "retry", **fields})


def masked(token: str) -> str:
    return f"{token[:3]}…secured…{token[-3:]}"


def test_1_client_shapes(server: Relay, local: Local) -> None:
    """Multipart from each of the client shapes is accepted, with the same stored result."""
    parent = server.created("a red kite", *local.new_user("check-1"))
    fields = {"jobid": parent["jobid"], "button": "retry", "replyRef": "r", "discord": None, "maxJobs": None}
    answers = [client(server, "button", fields, None) for client in SHAPES]
    finished = [stored(server.finished(answer["jobid"])) for answer in answers]

    assert [200] * len(SHAPES) == [answer["code"] for answer in answers]
    assert [finished[0]] * len(SHAPES) == finished


def test_2_button(server: Relay, local: Local) -> None:
    """The button works with and without a token, with a changed and a deleted account, and on a button job."""
    token, channel = local.new_user("check-2")
    set_account(server, token, channel)
    parent = server.finished(create(server, None, channel=channel).json()["jobid"])

    by_account = retry(server, parent).json()
    by_request = retry(server, parent, discord=token).json()
    user_id = next(u["id"] for u in local.get("/state")["users"] if u["username"] == "check-2")
    changed = local.post(f"/users/{user_id}/token")["token"]
    set_account(server, changed, channel)
    by_changed = server.finished(retry(server, parent).json()["jobid"])
    gone = ask(server, "DELETE", f"/v1/pika/account/{channel}")
    by_parent = retry(server, by_changed).json()

    assert [masked(token)] * 2 == [by_account["discord"], by_request["discord"]]
    assert [masked(changed)] * 2 == [by_changed["discord"], by_parent["discord"]]
    assert (204, by_changed["jobid"], "started") == (
        gone.status_code,
        by_parent["parentJobId"],
        by_parent["status"],
    )
    assert "completed" == server.finished(by_parent["jobid"])["status"]
    for answer in (by_account, by_request):
        server.finished(answer["jobid"])

    # The job remembers the token that its account had when it was made. It is over, which Discord may have said before.
    refused = retry(server, parent)
    assert (502, "failed", masked(token)) == (
        refused.status_code,
        refused.json()["status"],
        refused.json()["discord"],
    )
    assert refused.json()["error"]

    local.configure_pika(behaviour=TALKATIVE, speed=60.0)
    running = create(server, (changed, channel)).json()
    for fields, code, error in (
        ({"jobid": running["jobid"], "button": "retry"}, 400, "button retry not supported"),
        ({"jobid": "unknown", "button": "retry"}, 404, "Unable to locate job unknown"),
        ({"jobid": parent["jobid"], "button": "remix"}, 400, "button remix not supported"),
        ({"jobid": parent["jobid"]}, 400, "jobid or button value is missing"),
        (
            {"jobid": parent["jobid"], "button": "retry", "replyRef": "x" * 1025},
            400,
            "replyRef or replyUrl is too long",
        ),
    ):
        assert {"error": error, "code": code} == server.post("button", fields).json()
    ask(server, "GET", f"/v1/pika/jobs/cancel/?jobid={running['jobid']}")


def test_3_one_place(server: Relay, local: Local, hook: Receiver) -> None:
    """With maxJobs=1 the second job is 429 with the first one's id; after the callback it is taken."""
    local.configure_pika(behaviour=TALKATIVE, speed=1.0)
    seat = local.new_user("check-3")
    first = create(server, seat, maxJobs="1", replyUrl=hook.url).json()
    second = create(server, seat, maxJobs="1", replyUrl=hook.url)

    assert (429, [first["jobid"]]) == (second.status_code, second.json()["executingJobs"])
    assert first["jobid"] == hook.next().job["jobid"]

    again = create(server, seat, maxJobs="1")

    assert 200 == again.status_code
    server.finished(again.json()["jobid"])


def test_4_rate_limit(server: Relay, local: Local) -> None:
    """Discord's 429 has no executingJobs, errorDetails is a string of JSON, and no job is there."""
    seats = [local.new_user("check-4-button"), local.new_user("check-4-create")]
    parent = server.created("a kite", *seats[0])
    before = server.get("/v1/pika/jobs").json()
    submits: list[Callable[[], requests.Response]] = [
        lambda: retry(server, parent, maxJobs="1"),
        lambda: create(server, seats[1], maxJobs="1"),
    ]
    for submit in submits:
        local.post("/faults", RATE_LIMIT)
        answer = submit()

        assert 429 == answer.status_code
        assert ["error", "errorDetails", "code"] == list(answer.json())
        assert "Discord /interactions failed with HTTP status 429" == answer.json()["error"]
        assert json.loads(answer.json()["errorDetails"])["retry_after"] > 0
        assert before == server.get("/v1/pika/jobs").json()

    for submit in submits:
        # As clients do, until Discord's window is over. Not ours: the place of the job that was not made is free.
        while (answer := submit()).status_code == 429:
            assert "executingJobs" not in answer.json()
            time.sleep(0.05)
        assert "completed" == server.finished(answer.json()["jobid"])["status"]


def no_nulls(value: Any) -> bool:
    if isinstance(value, dict):
        return all(no_nulls(item) for item in value.values())
    if isinstance(value, list):
        return all(no_nulls(item) for item in value)
    return value is not None


def test_5_every_body(tmp_path: Path, local: Local, hook: Receiver) -> None:
    """Every JSON body has its type, its status as code, and no null; no token is in a body, a callback or a log."""
    token, channel = local.new_user("check-5")
    other, _ = local.new_user("check-5-other")
    with relay(tmp_path, local, discord_press_interval_seconds="0", log_level="debug") as server:
        answers = [create(server, (token, channel), replyUrl=hook.url, replyRef="r")]
        parent = server.finished(answers[0].json()["jobid"])
        answers.append(retry(server, parent))
        child = server.finished(answers[1].json()["jobid"])
        local.post("/faults", RATE_LIMIT)
        answers.append(retry(server, parent))
        local.post("/faults", {**RATE_LIMIT, "do": {"kind": "fail", "status": 403}})
        answers += [retry(server, parent), retry(server, parent, discord=token + "x")]
        local.configure_pika(behaviour=TALKATIVE, speed=60.0)
        answers.append(create(server, (token, channel)))
        answers.append(create(server, (token, channel), maxJobs="1"))
        cancel = f"/v1/pika/jobs/cancel/?jobid={answers[-2].json()['jobid']}"
        answers += [ask(server, "GET", cancel), ask(server, "GET", f"/v1/pika/jobs/?jobid={parent['jobid']}")]
        answers += [ask(server, "GET", f"/v1/pika/jobs/?jobid={child['jobid']}"), create(server)]
        answers += [ask(server, "GET", path) for path in ("/v1/pika/jobs/", "/v1/pika/jobs/?jobid=x", "/x")]
        answers += [ask(server, "PUT", "/v1/pika/create"), ask(server, "GET", f"/v1/pika/account/{channel}")]
        answers.append(ask(server, "POST", f"/v1/pika/account/{channel}", json={"discord": other}))
        answers.append(requests.get(server.url + "/v1/pika/jobs", timeout=PATIENCE))
        set_account(server, token, channel)
        bare = [ask(server, "GET", path) for path in ("/v1/pika/jobs", "/v1/pika/account", "/v2/account")]
        bare.append(ask(server, "GET", f"/v1/pika/account/{channel}"))
        called_back = hook.next()
        # While it runs: stopping logs nothing of a request.
        log = server.log.read_text()

    assert {200, 400, 401, 404, 405, 429, 502} == {answer.status_code for answer in answers}
    for answer in answers:
        assert (answer.status_code, True) == (answer.json()["code"], no_nulls(answer.json())), answer.text
    for answer in bare:
        assert (200, True) == (answer.status_code, no_nulls(answer.json())), answer.text
    for answer in [*answers, *bare]:
        assert "application/json" == answer.headers["Content-Type"]
        assert not re.search(f"{re.escape(token)}|{re.escape(server.api_token)}", answer.text)
    assert (masked(token), True) == (called_back.job["discord"], no_nulls(called_back.job))
    assert token.encode() not in called_back.body
    assert parent["jobid"] in log
    for secret in (token, other, server.api_token):
        assert secret not in log


def test_6_callback(server: Relay, local: Local, hook: Receiver) -> None:
    """The callback has its length and the caller's reference, comes once an ending, and also for a cancelled job."""
    local.configure_pika(behaviour=TALKATIVE, speed=1.0)
    seat = local.new_user("check-6")
    cancelled = create(server, seat, replyUrl=hook.url, replyRef="one \U0001f3ac").json()
    ask(server, "GET", f"/v1/pika/jobs/cancel/?jobid={cancelled['jobid']}")
    completed = create(server, seat, replyUrl=hook.url, replyRef="two").json()
    ends = [hook.next(), hook.next()]
    # To cancel what has ended changes nothing, and is nothing to call back about.
    again = ask(server, "GET", f"/v1/pika/jobs/cancel/?jobid={completed['jobid']}").json()

    assert [
        (cancelled["jobid"], "cancelled", "one \U0001f3ac"),
        (completed["jobid"], "completed", "two"),
    ] == [(end.job["jobid"], end.job["status"], end.job["replyRef"]) for end in ends]
    assert [str(len(end.body)) for end in ends] == [end.headers["content-length"] for end in ends]
    assert {"jobid": completed["jobid"], "status": "completed", "code": 200} == again
    assert hook.callbacks.empty()


def test_7_accounts(server: Relay, local: Local) -> None:
    """Chance skips full accounts, a channel alone pins, and a seat without account shares its channel's count."""
    local.configure_pika(behaviour=TALKATIVE, speed=60.0)
    full, free = local.new_user("check-7-full"), local.new_user("check-7-free")
    taken = create(server, full).json()
    set_account(server, *full, 1)
    set_account(server, *free, 4)
    by_chance = [create(server).json() for _ in range(3)]
    pinned = create(server, None, channel=full[1])
    last = create(server, None, channel=free[1]).json()
    none = create(server)
    for channel in (full[1], free[1]):
        ask(server, "DELETE", f"/v1/pika/account/{channel}")

    assert [free[1]] * 4 == [job["channel"] for job in [*by_chance, last]]
    assert (429, [taken["jobid"]]) == (pinned.status_code, pinned.json()["executingJobs"])
    assert (429, "Maximum of 5 jobs executing in parallel supported") == (
        none.status_code,
        none.json()["error"],
    )
    assert {job["jobid"] for job in [taken, *by_chance, last]} == set(none.json()["executingJobs"])
    for job in [taken, *by_chance, last]:
        ask(server, "GET", f"/v1/pika/jobs/cancel/?jobid={job['jobid']}")


def test_8_slashes(server: Relay, local: Local) -> None:
    """The jobs' addresses answer with and without their slash, and nothing is redirected."""
    job = server.created("a kite", *local.new_user("check-8"))
    job_id = job["jobid"]

    for path, expected in {
        f"/v1/pika/jobs/?jobid={job_id}": job,
        f"/v1/pika/jobs?jobid={job_id}": job,
        f"/v1/pika/jobs/cancel/?jobid={job_id}": {"jobid": job_id, "status": "completed", "code": 200},
        f"/v1/pika/jobs/cancel?jobid={job_id}": {"jobid": job_id, "status": "completed", "code": 200},
        "/v1/pika/jobs": [],
        "/v1/pika/jobs/": {"error": "Query param jobid not provided", "code": 400},
        "/v1/pika/jobs/cancel": {"error": "Query param jobid not provided", "code": 400},
        "/v1/pika/jobs/cancel/": {"error": "Query param jobid not provided", "code": 400},
    }.items():
        answer = ask(server, "GET", path)

        assert expected == answer.json(), path
        assert (expected["code"] if isinstance(expected, dict) else 200) == answer.status_code
    for verb in ("create", "button"):
        slashed = ask(server, "POST", f"/v1/pika/{verb}/", data={"x": ""})
        assert 400 == slashed.status_code == slashed.json()["code"]
