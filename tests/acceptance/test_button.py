"""POST /v1/pika/button, as the contract's page describes it, sentence by sentence."""

import re
from typing import Any

import pytest

from tests.acceptance.servers import Local, Receiver, Relay

KEYS = [
    "jobid", "verb", "status", "created", "updated", "button", "parentJobId", "discord", "channel", "maxJobs",
    "replyUrl", "replyRef", "messageId", "content", "timestamp", "code",
]  # fmt: skip


@pytest.fixture(scope="module")
def seat(local: Local) -> tuple[str, str]:
    """A Discord token and its channel."""
    return local.new_user("button")


@pytest.fixture(scope="module")
def parent(server: Relay, local: Local, seat: tuple[str, str]) -> dict[str, Any]:
    """A completed job."""
    local.configure_pika(behaviour="plain", speed=0.2)
    return server.created("waves crashing over the sandy beach, overhead shot", *seat)


def test_the_whole_answer(
    server: Relay, seat: tuple[str, str], parent: dict[str, Any], hook: Receiver
) -> None:
    """The 200 has the page's keys in the page's order, with the page's formats."""
    reference = "ref \U0001f3ac ümlaut ␀ " + "x" * 900
    fields = {
        "jobid": parent["jobid"],
        "button": "retry",
        "maxJobs": "7",
        "replyUrl": hook.url,
        "replyRef": reference,
    }

    answer = server.post("button", fields)
    job = answer.json()

    assert 200 == answer.status_code == job["code"]
    assert "application/json" == answer.headers["Content-Type"]
    assert KEYS == list(job)
    assert ("pika-button", "started", "retry") == (job["verb"], job["status"], job["button"])
    assert (parent["jobid"], seat[1]) == (job["parentJobId"], job["channel"])
    assert (7, hook.url, reference) == (job["maxJobs"], job["replyUrl"], job["replyRef"])
    assert f"{seat[0][:3]}…secured…{seat[0][-3:]}" == job["discord"]
    for moment in (job["created"], job["updated"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
    assert job["created"] <= job["updated"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", job["timestamp"])
    assert (
        "Creation job queued. (Prompt: waves crashing over the sandy beach, overhead shot" in job["content"]
    )
    assert re.fullmatch(r"\d{17,20}", job["messageId"])

    finished = server.finished(job["jobid"])
    received = hook.next()

    assert ("completed", ["retry"]) == (finished["status"], finished["buttons"])
    assert finished["attachments"][0]["url"].split("?")[0].endswith(".mp4")
    assert finished == received.job
    assert reference == received.job["replyRef"]
    assert "application/json" == received.headers["content-type"]
    assert "transfer-encoding" not in received.headers


def test_job_of_a_retry(server: Relay, parent: dict[str, Any]) -> None:
    """A button job is itself a parent."""
    first = server.finished(
        server.post("button", {"jobid": parent["jobid"], "button": "retry"}).json()["jobid"]
    )

    second = server.post("button", {"jobid": first["jobid"], "button": "retry"}).json()

    assert first["jobid"] == second["parentJobId"]
    assert "completed" == server.finished(second["jobid"])["status"]


def test_max_jobs(server: Relay, local: Local) -> None:
    """MaxJobs is the request's, else the parent's, else 10; the 429 names the jobs that hold the places."""
    local.configure_pika(behaviour="plain", speed=1.0)
    seat = local.new_user("max-jobs")
    parent = server.created("a kite", *seat, maxJobs="3")
    one = server.post("button", {"jobid": parent["jobid"], "button": "retry"}).json()
    full = server.post("button", {"jobid": parent["jobid"], "button": "retry", "maxJobs": "1"})
    two = server.post("button", {"jobid": parent["jobid"], "button": "retry", "maxJobs": "nonsense"}).json()

    assert [3, 3] == [one["maxJobs"], two["maxJobs"]]
    assert 429 == full.status_code
    assert {
        "error": "Maximum of 1 jobs executing in parallel supported",
        "executingJobs": [one["jobid"]],
        "code": 429,
    } == full.json()
    assert "Maximum of" not in str(server.finished(one["jobid"]))
    server.finished(two["jobid"])


def test_token_precedence(server: Relay, local: Local) -> None:
    """The press is made with the request's token, else the account's current one, else the parent's."""
    first, channel = local.new_user("precedence")
    parent = server.created("a boat", first, channel)
    fields = {"jobid": parent["jobid"], "button": "retry"}
    user_id = next(u["id"] for u in local.get("/state")["users"] if u["username"] == "precedence")

    assert shown(first) == server.post("button", fields).json()["discord"]

    second = local.post(f"/users/{user_id}/token")["token"]
    stored = server.command("account", "set", channel, stdin=second)
    assert 0 == stored.returncode, stored.stderr

    job = server.post("button", fields).json()
    assert (shown(second), "started") == (job["discord"], job["status"])
    assert "completed" == server.finished(job["jobid"])["status"]

    old = server.post("button", {**fields, "discord": first})
    assert shown(first) == old.json()["discord"]
    assert (502, "failed") == (old.status_code, old.json()["status"])


def shown(token: str) -> str:
    return f"{token[:3]}…secured…{token[-3:]}"


def test_running_and_failed_parents(server: Relay, local: Local) -> None:
    """A parent that is running, and one that was moderated, has no button to press."""
    seat = local.new_user("unfinished")
    local.configure_pika(behaviour="plain", speed=1.0)
    running = server.post("create", {"prompt": "a horse", "discord": seat[0], "channel": seat[1]}).json()
    pressed = server.post("button", {"jobid": running["jobid"], "button": "retry"})

    assert (400, "button retry not supported") == (pressed.status_code, pressed.json()["error"])

    server.finished(running["jobid"])
    local.configure_pika(behaviour="moderated", speed=0.0)
    moderated = server.post("create", {"prompt": "a cow", "discord": seat[0], "channel": seat[1]}).json()
    ended = server.finished(moderated["jobid"])
    pressed = server.post("button", {"jobid": moderated["jobid"], "button": "retry"})
    local.configure_pika(behaviour="plain", speed=0.0)

    assert "moderated" == ended["status"]
    assert ended["error"]
    assert "attachments" not in ended
    assert (400, "button retry not supported") == (pressed.status_code, pressed.json()["error"])


def test_discord_says_429(server: Relay, local: Local) -> None:
    """Discord's 429 comes back with its own words as a string, and no job remains."""
    seat = local.new_user("limited")
    parent = server.created("a dog", *seat)
    local.post("/faults", {
        "where": "rest", "match": {"method": "POST", "route": "/interactions"},
        "do": {"kind": "rate_limit", "scope": "global", "retry_after": 0.4}, "times": 1,
    })  # fmt: skip

    answer = server.post("button", {"jobid": parent["jobid"], "button": "retry", "maxJobs": "1"})

    assert 429 == answer.status_code
    assert ["error", "errorDetails", "code"] == list(answer.json())
    assert "Discord /interactions failed with HTTP status 429" == answer.json()["error"]
    assert '"retry_after"' in answer.json()["errorDetails"]
    assert [] == server.get("/v1/pika/jobs").json()


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_discord_refuses(server: Relay, local: Local, hook: Receiver, status: int) -> None:
    """Any other refusal of Discord's makes the job failed, says so with 502, and calls back."""
    seat = local.new_user(f"refused-{status}")
    parent = server.created("a bird", *seat)
    local.post("/faults", {
        "where": "rest", "match": {"method": "POST", "route": "/interactions"},
        "do": {"kind": "fail", "status": status}, "times": 1,
    })  # fmt: skip

    answer = server.post("button", {"jobid": parent["jobid"], "button": "retry", "replyUrl": hook.url})
    job = answer.json()

    assert (502, 502) == (answer.status_code, job["code"])
    assert ("failed", f"Discord /interactions failed with HTTP status {status}") == (
        job["status"],
        job["error"],
    )
    assert {**job, "code": 200} == hook.next().job == server.job(job["jobid"])
