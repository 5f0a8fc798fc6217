"""Ten retries of one parent at once: the burst that every other program of the kind mixes up."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.acceptance.servers import Local, Relay


def results_by_nonce(local: Local) -> dict[str, str]:
    """Return, from the local Discord's own ledger, which press caused which result message."""
    return {entry["nonce"]: entry["message_id"] for entry in local.ledger() if entry["event"] == "result"}


# Plain last: once a bot has given a result that does not name its press, its equal presses run one after the other.
@pytest.mark.parametrize("behaviour", ["respond", "edit_in_place", "reply", "plain"])
def test_ten_at_once(server: Relay, local: Local, behaviour: str) -> None:
    """
    Ten retries of one parent pressed at once become ten jobs, each with the result that its own press caused, and the
    eleventh is refused with the ids of the ten.
    """
    local.configure_pika(behaviour=behaviour, speed=0.0, video="tiny")
    token, channel = local.new_user(f"burst-{behaviour}")
    parent = server.created(f"ten waves, {behaviour}", token, channel)
    local.configure_pika(behaviour=behaviour, speed=0.5)
    fields = {"jobid": parent["jobid"], "button": "retry", "maxJobs": "10"}

    with ThreadPoolExecutor(10) as pool:
        posts = [pool.submit(server.post, "button", fields) for _ in range(10)]
        while len(server.get("/v1/pika/jobs").json()) < 10:
            time.sleep(0.005)
        eleventh = server.post("button", fields)
        answers = [post.result() for post in posts]

    started = [answer.json() for answer in answers]
    assert [200] * 10 == [answer.status_code for answer in answers]
    assert {"started"} == {job["status"] for job in started}
    ids = {job["jobid"] for job in started}
    assert 10 == len(ids)
    assert 429 == eleventh.status_code
    refusal = eleventh.json()
    assert "Maximum of 10 jobs executing in parallel supported" == refusal["error"]
    assert ids == set(refusal["executingJobs"])
    assert ["error", "executingJobs", "code"] == list(refusal)

    finished = [server.finished(job_id) for job_id in ids]

    assert ["completed"] * 10 == [job["status"] for job in finished]
    assert 10 == len({job["messageId"] for job in finished})
    assert 10 == len({job["attachments"][0]["id"] for job in finished})
    assert {job["jobid"]: job["messageId"] for job in finished} == caused(server, local, ids)


def caused(server: Relay, local: Local, job_ids: set[str]) -> dict[str, str]:
    """Return for each job the result that its own press caused. The nonce of a job is read from the server's disk."""
    nonces = server.nonces()
    results = results_by_nonce(local)
    return {job_id: results[nonces[job_id]] for job_id in job_ids}


def test_no_press_is_doubled(local: Local) -> None:
    """The local Discord has seen every nonce once."""
    presses: dict[str, Any] = requests.get(local.url + "/admin/presses", timeout=10).json()

    assert {1} == set(presses.values())
