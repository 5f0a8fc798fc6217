"""What a running server writes to its log: one line of JSON an event, whatever a stranger sends."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, relay

PROMPT = "a canary that nobody may write down"
FORGED = '\r\n{"event": "forged", "level": "info"}\r\n'


@pytest.fixture(scope="module")
def server(folder: Path, local: Local) -> Iterator[Relay]:
    """A server that logs all that it can."""
    with relay(folder, local, "--log-level", "debug", discord_press_interval_seconds="0") as running:
        yield running


def events(server: Relay) -> list[dict[str, Any]]:
    """Return the log's events; anything that is none fails here."""
    lines = server.log.read_bytes().split(b"\n")
    assert b"" == lines[-1]
    found = [json.loads(line) for line in lines[:-1]]
    for event in found:
        assert {"event", "level", "logger", "timestamp"} <= event.keys()
        assert "forged" != event["event"]
    return found


def line(server: Relay, answer: requests.Response) -> dict[str, Any]:
    """Return the one line above debug that a request has left, without what every line has."""
    found = [
        {name: value for name, value in event.items() if name not in {"timestamp", "logger", "request_id"}}
        for event in events(server)
        if event.get("request_id") == answer.headers["X-Request-Id"] and event["level"] != "debug"
    ]
    (its,) = found
    return its


def test_request_is_found_by_its_id(server: Relay, local: Local, hook: Receiver) -> None:
    """The id in an answer's header leads to the request's line, and from there to its job, its callback or its account."""
    token, channel = local.new_user("logged")
    account = f"{server.url}/v1/pika/account/{channel}"
    seat = {"discord": token, "channel": channel}
    set_up = requests.post(account, headers=server.headers, json={**seat, "maxJobs": 3}, timeout=PATIENCE)
    made = server.post("create", {"prompt": PROMPT, "replyUrl": hook.url, **seat})
    refused = server.get("/v1/pika/jobs/?jobid=nobody")
    job_id = made.json()["jobid"]
    server.finished(job_id)
    callback_id = hook.next().headers["webhook-id"]
    cancelled = server.get(f"/v1/pika/jobs/cancel/?jobid={job_id}")
    replays = [
        requests.post(f"{server.url}/v1/pikarelay/callbacks/replay", headers=server.headers, json=meant, timeout=PATIENCE)
        for meant in ({"jobid": job_id}, {"target": hook.url})
    ]  # fmt: skip
    changed = requests.post(
        f"{server.url}/v2/account", headers=server.headers, json={"replyUrl": ""}, timeout=PATIENCE
    )
    removed = requests.delete(account, headers=server.headers, timeout=PATIENCE)
    answers = (set_up, made, refused, cancelled, *replays, changed, removed)

    assert [
        {"event": "account.set", "level": "info", "channel": channel},
        {
            "event": "job.answered", "level": "info", "job_id": job_id, "verb": "pika-create",
            "status": made.json()["status"], "is_repeat": False,
        },
        {
            "event": "request.refused", "level": "info", "path": "/v1/pika/jobs/", "code": 404,
            "error": "Unable to locate job nobody",
        },
        {"event": "job.cancel_answered", "level": "info", "job_id": job_id, "status": "completed"},
        {"event": "callback.replayed", "level": "info", "callback_id": callback_id, "job_id": job_id},
        {"event": "callbacks.replayed", "level": "info", "count": 0, "job_ids": []},
        {"event": "caller.reply_url_set", "level": "info"},
        {"event": "account.removed", "level": "info", "channel": channel},
    ] == [line(server, answer) for answer in answers]  # fmt: skip


def test_client_names_no_request(server: Relay) -> None:
    """A request id that a client sends is not taken over, so that no two requests share one."""
    sent = {**server.headers, "X-Request-Id": "0123456789abcdef"}
    answer = requests.get(server.url + "/v1/pika/jobs", headers=sent, timeout=PATIENCE)

    assert sent["X-Request-Id"] != answer.headers["X-Request-Id"]
    assert not [e for e in events(server) if e.get("request_id") == sent["X-Request-Id"]]


def test_nothing_can_be_forged(server: Relay) -> None:
    """Line breaks in paths, queries, fields, file names, keys and in what is no request make no line of the log."""
    for where in (
        f"/{quote(FORGED)}",
        f"/v1/pika/jobs/?jobid={quote(FORGED)}",
        f"/v1/pika/account/{quote(FORGED)}",
    ):
        requests.get(server.url + where, headers=server.headers, timeout=PATIENCE)
    server.post("button", {"jobid": FORGED, "button": FORGED})
    server.post("button", {FORGED: "x", "jobid": "x", "button": "y"})
    files = {"image": (FORGED, b"\x89PNG\r\n\x1a\n" + FORGED.encode())}
    requests.post(f"{server.url}/v1/pika/animate", headers=server.headers, files=files, timeout=PATIENCE)
    bad_type = {**server.headers, "Content-Type": 'multipart/form-data; boundary="a\x0bb"'}
    requests.post(f"{server.url}/v1/pika/create", headers=bad_type, data=FORGED, timeout=PATIENCE)
    address = urlsplit(server.url)
    with socket.create_connection(
        (str(address.hostname), int(address.port or 0)), timeout=PATIENCE
    ) as connection:
        connection.sendall(FORGED.encode() + b"\x1b[31m\r\n\r\n")
        while connection.recv(65536):
            pass
    before = len(events(server))
    server.get("/v1/nowhere")

    # The refusal, and that it was answered.
    assert 2 == len(events(server)) - before


def test_no_body_and_no_secret(server: Relay, local: Local) -> None:
    """At its most talkative the log has neither a prompt nor a token in it."""
    token, channel = local.new_user("quiet")
    server.created(PROMPT, token, channel, replyRef="a reference that is nobody's business")
    requests.post(f"{server.url}/v1/pika/account/{channel}", headers=server.headers, timeout=PATIENCE,
                  json={"discord": token, "channel": channel, "maxJobs": 3})  # fmt: skip
    server.post("create", {"prompt": PROMPT, "discord": token + "x", "channel": channel})
    text = server.log.read_text()

    assert len(events(server)) > 5
    for secret in (PROMPT, token, server.api_token, "nobody's business"):
        assert secret not in text
