"""Rows 30 to 35: Discord refuses, limits, falls silent and repeats itself; and two callers want one thing. Against a running server."""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.servers import Local, Receiver, Relay, receiver, relay
from tests.hostile.receivers import tried

PRESSES = {"method": "POST", "route": "/interactions"}


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@contextlib.contextmanager
def faulty(local: Local, where: str, kind: str, match: dict[str, Any], **more: Any) -> Iterator[None]:
    """Strike inside the block: once, unless `times` says otherwise."""
    times = {"times": more.pop("times")} if "times" in more else {}
    armed = local.post("/faults", {"where": where, "match": match, "do": {"kind": kind, **more}, **times})
    yield
    local.delete(f"/faults/{armed['id']}")


def a_user(local: Local, name: str) -> tuple[str, tuple[str, str]]:
    """Return a user's id, and its token with the channel."""
    user = local.post("/users", {"username": name})
    return user["id"], (user["token"], user["dm_channels"]["Pika"])


def accepted(local: Local, channel: str) -> list[str]:
    """Return the nonces that Discord took in a channel, in order."""
    return [
        entry["nonce"]
        for entry in local.ledger()
        if entry["event"] == "interaction_accepted" and entry["channel_id"] == channel
    ]


@pytest.mark.parametrize(("kind", "status"), [("unauthorized", 401), ("blocked", 403)])
def test_row_30_refused_token(server: Relay, local: Local, kind: str, status: int) -> None:
    """A job fails with what Discord said of its token; that token is not used again until a person has set it anew."""
    user_id, seat = a_user(local, f"row30-{kind}")
    server.configure(seat)
    server.created("before", *seat)
    fields = {"prompt": "a kite", "channel": seat[1]}
    with faulty(local, "rest", kind, {**PRESSES, "user_id": user_id}):
        refused = server.post("create", fields)
        job = server.finished(refused.json()["jobid"]) if refused.status_code == 200 else refused.json()
    asked = len(accepted(local, seat[1]))
    again = [server.post("create", fields) for _ in range(3)]
    parked = len(accepted(local, seat[1]))
    server.configure(seat)
    server.created("after", *seat)

    assert "failed" == job["status"]
    assert f"{status}" in job["error"]
    assert job["errorDetails"]
    assert {"failed"} == {answer.json()["status"] for answer in again}
    # No request of theirs came to Discord: the fault was spent, so it would have been taken.
    assert asked == parked == 1


def test_row_31_discord_limits(server: Relay, local: Local) -> None:
    """A 429 of Discord's is ours, with its words as a text and no list of jobs; there is no job, and nothing is sent meanwhile."""
    user_id, seat = a_user(local, "row31")
    parent = server.created("before", *seat)
    press = {"jobid": parent["jobid"], "button": "retry"}
    before = server.stored_jobs(), len(accepted(local, seat[1]))
    match = {**PRESSES, "user_id": user_id}
    with faulty(local, "rest", "rate_limit", match, scope="global", retry_after=10):
        answers = [server.post("button", press) for _ in range(3)]
    command = server.post("create", {"prompt": "a kite", "discord": seat[0], "channel": seat[1]})

    for answer in [*answers, command]:
        told = answer.json()
        assert (429, 429) == (answer.status_code, told["code"])
        assert isinstance(told["errorDetails"], str)
        assert json.loads(told["errorDetails"])["global"] is True
        assert "executingJobs" not in told
        assert "jobid" not in told
    assert [] == [job for job in server.get("/v1/pika/jobs").json() if job == parent["jobid"]]
    # Withdrawn ones are kept for what may come of their presses, and shown to nobody.
    assert before[1] == len(accepted(local, seat[1]))


def test_row_32_lost_answer(server: Relay, local: Local) -> None:
    """When Discord takes a press and its answer is lost, the job goes on and has its own video; the press is not repeated."""
    user_id, seat = a_user(local, "row32")
    parent = server.created("before", *seat)
    with faulty(local, "rest", "drop_connection", {**PRESSES, "user_id": user_id}, when="after"):
        answer = server.post("button", {"jobid": parent["jobid"], "button": "retry"})
    job = server.finished(answer.json()["jobid"])

    assert (200, "completed") == (answer.status_code, job["status"])
    nonces = accepted(local, seat[1])
    assert server.nonces()[job["jobid"]] == nonces[-1]
    assert 2 == len(nonces) == len(set(nonces))


def test_row_32_unknown_outcome(folder: Path, local: Local) -> None:
    """When nothing is heard of it either, the job stays started to its limit and fails with that sentence; no second press."""
    user_id, seat = a_user(local, "row32-silent")
    own = folder / "unknown"
    own.mkdir()
    settings = {"discord_answer_wait_seconds": "1", "discord_first_message_seconds": "3"}
    with (
        relay(own, local, discord_press_interval_seconds="0", **settings) as server,
        faulty(local, "app", "silence", {"user_id": user_id}, times=None),
        faulty(local, "rest", "drop_connection", {**PRESSES, "user_id": user_id}, when="before"),
    ):
        answer = server.post("create", {"prompt": "a kite", "discord": seat[0], "channel": seat[1]})
        job = server.finished(answer.json()["jobid"])

    assert (200, "started") == (answer.status_code, answer.json()["status"])
    assert ("failed", "Outcome of the press is unknown") == (job["status"], job["error"])
    assert [] == accepted(local, seat[1])


#: What happens to the bot's messages, and to the answer of the press.
REPEATS = {
    "twice": [("gateway", "duplicate", {"event": "MESSAGE_*"}, {"times": None})],
    "out of order": [("gateway", "reorder", {"event": "MESSAGE_*"}, {"seconds": 0.2, "times": None})],
    "before the answer": [("rest", "slow", PRESSES, {"seconds": 1.0, "when": "after"})],
    "all of it": [
        ("gateway", "duplicate", {"event": "MESSAGE_*"}, {"times": None}),
        ("rest", "slow", PRESSES, {"seconds": 0.5, "when": "after"}),
    ],
}


@pytest.mark.parametrize("how", REPEATS)
def test_row_33_repeated_events(server: Relay, local: Local, hook: Receiver, how: str) -> None:
    """A completion that comes twice, out of order or before the press's own answer ends the job once, with one callback."""
    _, seat = a_user(local, f"row33-{how}")
    with contextlib.ExitStack() as stack:
        for where, kind, match, more in REPEATS[how]:
            stack.enter_context(faulty(local, where, kind, match, **more))
        job = server.created("once", *seat, replyUrl=hook.url)
        first = hook.next()
    callback = tried(server, job["jobid"])
    time.sleep(0.3)

    assert ("completed", 1) == (job["status"], callback["attempts"])
    assert server.job(job["jobid"]) == job
    assert (job["jobid"], job["attachments"]) == (first.job["jobid"], first.job["attachments"])
    with pytest.raises(queue.Empty):
        hook.callbacks.get_nowait()


def test_row_34_one_place_left(server: Relay, local: Local) -> None:
    """Of two clients that press the same button at once with one place left, one gets a job, and the other a 429 that names it."""
    _, seat = a_user(local, "row34")
    parent = server.created("one place", *seat)
    local.configure_pika(behaviour="respond", speed=0.2)
    press = {"jobid": parent["jobid"], "button": "retry", "maxJobs": "1"}
    try:
        for _ in range(5):
            together = threading.Barrier(2)

            def press_at_once(together: threading.Barrier = together) -> requests.Response:
                together.wait()
                return server.post("button", press)

            with ThreadPoolExecutor(2) as pool:
                answers = [pool.submit(press_at_once) for _ in range(2)]
            won, lost = sorted((answer.result() for answer in answers), key=lambda answer: answer.status_code)

            assert (200, 429) == (won.status_code, lost.status_code), lost.text
            assert [won.json()["jobid"]] == lost.json()["executingJobs"]
            server.finished(won.json()["jobid"])
    finally:
        local.configure_pika(behaviour="respond", speed=0.0)


def test_row_35_cancel_and_completion(server: Relay, local: Local, hook: Receiver) -> None:
    """When a job is cancelled in the moment in which it completes, one wins, both answers say so, and there is one callback."""
    _, seat = a_user(local, "row35")
    local.configure_pika(behaviour="respond", speed=0.02)
    ended: dict[str, int] = {"completed": 0, "cancelled": 0}
    try:
        for number in range(20):
            answer = server.post(
                "create",
                {"prompt": f"race {number}", "discord": seat[0], "channel": seat[1], "replyUrl": hook.url},
            )
            job_id = answer.json()["jobid"]
            time.sleep(number * 0.005)
            told = server.get(f"/v1/pika/jobs/cancel/?jobid={job_id}").json()
            job, callback = server.finished(job_id), hook.next()
            ended[job["status"]] += 1

            assert told["status"] == job["status"] == callback.job["status"]
            assert job_id == callback.job["jobid"]
        assert 20 == sum(ended.values())
        with pytest.raises(queue.Empty):
            hook.callbacks.get_nowait()
    finally:
        local.configure_pika(behaviour="respond", speed=0.0)
