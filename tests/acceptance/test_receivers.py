"""Callbacks as callers' servers meet them: the slow, the strict, the broken, and the one that looks at the clock."""

import contextlib
import http.client
import http.server
import json
import select
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, relay

Handler = http.server.BaseHTTPRequestHandler
#: Answers one callback, whose body was read.
Answer = Callable[[Handler, bytes], None]


@pytest.fixture(scope="module")
def server(folder: Path, local: Local) -> Iterator[Relay]:
    """A server that repeats a failed callback at once."""
    with relay(
        folder, local, discord_press_interval_seconds="0", callbacks_schedule_seconds="0,0.1,0.1"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def seat(local: Local) -> tuple[str, str]:
    """A Discord token and its channel."""
    return local.new_user("receivers")


@dataclass
class Came:
    """One request that a receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def job(self) -> dict[str, Any]:
        job: dict[str, Any] = json.loads(self.body)
        return job


@dataclass
class Hook:
    """A receiver with manners of its own."""

    url: str
    came: "Queue[Came]" = field(default_factory=Queue)

    def next(self) -> Came:
        return self.came.get(timeout=PATIENCE)


def say(handler: Handler, status: int = 200, **headers: str) -> None:
    """Answer with a status and nothing else."""
    handler.send_response(status)
    for name, value in {"Content-Length": "0", **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()


@contextmanager
def receiver(answer: Answer) -> Iterator[Hook]:
    """Listen on a free port, note what comes, and let `answer` reply."""

    class ItsHandler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            # Read as an official client does: exactly as many bytes as announced, which must be announced.
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came = Came({name.lower(): value for name, value in self.headers.items()}, body)
            answer(self, body)
            found.came.put(came)

        def log_message(self, *_: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ItsHandler)
    found = Hook(f"http://127.0.0.1:{listening.server_port}/hook")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def settled(server: Relay, job_id: str) -> tuple[str, list[tuple[int | None, str | None]]]:
    """Wait until a job's callback is over, and return how it ended, and each try's status and error."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.closing(sqlite3.connect(server.data_folder / "pikarelay.sqlite3")) as database:
            found = database.execute(
                "SELECT callback_id, state FROM callbacks WHERE job_id = ?", [job_id]
            ).fetchall()
            for callback_id, state in found:
                if state != "waiting":
                    tries = database.execute(
                        "SELECT status, error FROM callback_attempts WHERE callback_id = ? ORDER BY attempt",
                        [callback_id],
                    ).fetchall()
                    return state, tries
        assert time.monotonic() < deadline, f"the callback of {job_id} did not end: {found}"
        time.sleep(0.02)


def start(server: Relay, seat: tuple[str, str], url: str, **fields: str) -> str:
    given = {"prompt": "a kite", "discord": seat[0], "channel": seat[1], "replyUrl": url, **fields}
    answer = server.post("create", given)
    assert 200 == answer.status_code, answer.text
    job_id: str = answer.json()["jobid"]
    return job_id


def test_slow_receiver(server: Relay, seat: tuple[str, str]) -> None:
    """A receiver that answers only when it has downloaded the video gets one callback."""
    videos: list[tuple[str, bytes]] = []

    def download(handler: Handler, body: bytes) -> None:
        url = json.loads(body)["attachments"][0]["url"]
        # No Authorization: a plain GET, as clients make it, of an address that ends as the file does.
        video = requests.get(url, timeout=PATIENCE)
        videos.append((video.headers["Content-Type"], video.content))
        assert urlsplit(url).path.endswith(".mp4")
        # Longer than anybody who had no patience would wait.
        time.sleep(1.0)
        say(handler)

    with receiver(download) as hook:
        job_id = start(server, seat, hook.url)

        assert ("delivered", [(200, None)]) == settled(server, job_id)
        assert 1 == hook.came.qsize()
        assert [("video/mp4", b"ftyp")] == [(kind, video[4:8]) for kind, video in videos]


def test_what_arrives(server: Relay, seat: tuple[str, str], hook: Receiver) -> None:
    """A callback has its length, is not chunked, and holds what a poll says, the reference unit for unit."""
    reference = '"\U0001f3ac\u2028\\u0041 <b>&amp;\t' + "\u05e9" * 1000
    job_id = start(server, seat, hook.url, replyRef=reference)
    received = hook.next()

    assert str(len(received.body)) == received.headers["content-length"]
    assert "transfer-encoding" not in received.headers
    assert "application/json" == received.headers["content-type"]
    assert reference == received.job["replyRef"]
    assert server.job(job_id) == received.job


def test_redirect(server: Relay, seat: tuple[str, str], hook: Receiver) -> None:
    """A redirect is a failure: it is not followed, and the callback is tried again by the schedule, the same each time."""

    def redirect(handler: Handler, _: bytes) -> None:
        say(handler, 307, Location=hook.url)

    with receiver(redirect) as elsewhere:
        job_id = start(server, seat, elsewhere.url)

        assert ("dead", [(307, "http_307")] * 3) == settled(server, job_id)
        tries = [elsewhere.next() for _ in range(3)]
        assert hook.callbacks.empty()
        assert 1 == len({(came.headers["webhook-id"], came.body) for came in tries})


def test_hang_up(server: Relay, seat: tuple[str, str]) -> None:
    """A receiver that hangs up without an answer is tried again."""
    calls: list[bytes] = []

    def hang_up_once(handler: Handler, body: bytes) -> None:
        calls.append(body)
        if len(calls) > 1:
            say(handler)

    with receiver(hang_up_once) as hook:
        job_id = start(server, seat, hook.url)

        state, ((status, error), last) = settled(server, job_id)
        assert ("delivered", None, (200, None)) == (state, status, last)
        assert error
        assert [calls[0]] * 2 == calls


@pytest.mark.parametrize("status", ["completed", "moderated", "failed", "cancelled"])
def test_once_per_ending(
    server: Relay, local: Local, seat: tuple[str, str], hook: Receiver, status: str
) -> None:
    """Whatever way a job ends, its caller hears of it once, in the words of a poll."""
    # `respond`: its first message comes at once, however long the video takes.
    manners = {"completed": "plain", "cancelled": "respond"}
    local.configure_pika(behaviour=manners.get(status, status), speed=5.0 if status == "cancelled" else 0.0)
    try:
        job_id = start(server, seat, hook.url, replyRef="mine")
        if status == "cancelled":
            answer = server.get(f"/v1/pika/jobs/cancel/?jobid={job_id}").json()
            assert {"jobid": job_id, "status": "cancelled", "code": 200} == answer
        received = hook.next()
    finally:
        local.configure_pika(behaviour="plain", speed=0.0)

    assert ("delivered", [(200, None)]) == settled(server, job_id)
    assert (status, "mine", 200) == (received.job["status"], received.job["replyRef"], received.job["code"])
    assert server.finished(job_id) == received.job
    assert (status in {"moderated", "failed"}) == ("error" in received.job)
    assert (status == "completed") == ("attachments" in received.job)
    assert hook.callbacks.empty()


@pytest.mark.parametrize("behaviour", ["plain", "respond", "edit_in_place", "moderated"])
def test_never_before_the_answer(server: Relay, local: Local, seat: tuple[str, str], behaviour: str) -> None:
    """However fast the bot is: when the callback comes, the answer of the POST is with the client already."""
    local.configure_pika(behaviour=behaviour, speed=0.0)
    connections: list[socket.socket] = []
    seen: list[bytes] = []

    def look(handler: Handler, _: bytes) -> None:
        readable = select.select(connections[-1:], [], [], 0)[0]
        seen.append(readable[0].recv(65536, socket.MSG_PEEK) if readable else b"")
        say(handler)

    parts = urlsplit(server.url)
    try:
        with receiver(look) as hook:
            for number in range(10):
                form = requests.Request("POST", server.url, files={
                    "prompt": (None, f"a kite {number}"), "discord": (None, seat[0]), "channel": (None, seat[1]),
                    "replyUrl": (None, hook.url), "replyRef": (None, str(number)),
                }).prepare()  # fmt: skip
                headers = {**server.headers, "Content-Type": form.headers["Content-Type"]}
                with contextlib.closing(
                    http.client.HTTPConnection(str(parts.hostname), parts.port)
                ) as client:
                    client.connect()
                    assert client.sock is not None
                    connections.append(client.sock)
                    client.request("POST", "/v1/pika/create", form.body, headers)
                    # Not read before the callback has come: only what was sent can be seen there.
                    job = hook.next().job
                    answer = json.loads(client.getresponse().read())

                assert job["jobid"] == answer["jobid"]
                assert job["jobid"].encode() in seen[-1]
                assert seen[-1].startswith(b"HTTP/1.1 200 ")
    finally:
        local.configure_pika(behaviour="plain", speed=0.0)
