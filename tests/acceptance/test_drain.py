"""How a server ends: announced, in order, within bounds, and at once when it is told twice."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.acceptance.pictures import Upload, picture
from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, receiver, relay

#: From the signal to the last accepted connection.
NOTICE = 2.0
#: From the signal to the end, whatever happens.
AT_MOST = 25.0
#: A callback is tried again soon after a claim on it has run out.
SETTINGS = {"discord_press_interval_seconds": "0", "callbacks_schedule_seconds": "0,60"}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def seat(local: Local) -> tuple[str, str]:
    local.configure_pika(behaviour="plain", speed=0.0)
    return local.new_user(f"drain-{time.monotonic_ns()}")


class Ending:
    """A server that was told to end, and when."""

    def __init__(self, server: Relay) -> None:
        self.server = server
        self.began = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def code(self) -> int:
        """Return the exit status, once it has one."""
        assert self.server.process is not None
        return self.server.process.wait(PATIENCE)


def test_not_ready_at_once(own: Path, local: Local) -> None:
    """With SIGTERM a server is no longer ready while it still answers, and goes on being alive."""
    with relay(own, local, **SETTINGS) as server:
        before = server.get("/readyz").status_code
        ending = Ending(server)
        while (ready := server.get("/readyz")).status_code == 200:
            assert ending.seconds() < NOTICE / 2
        alive = server.get("/healthz").status_code

        assert (200, 503, 200) == (before, ready.status_code, alive)
        assert {"serving": "ending"} == {k: v for k, v in ready.json()["checks"].items() if v != "ok"}
        assert 0 == ending.code()


def connects(server: Relay) -> bool:
    address = urlsplit(server.url)
    try:
        socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return False
    return True


def test_goes_on_accepting_for_a_while(own: Path, local: Local) -> None:
    """For two seconds after SIGTERM new connections are served, each answer the last on its own; then there is nobody."""
    with relay(own, local, **SETTINGS) as server:
        kept = requests.Session()
        kept.headers.update(server.headers)
        before = kept.get(server.url + "/v1/pika/jobs", timeout=PATIENCE)
        ending = Ending(server)
        while "close" not in kept.get(server.url + "/v1/pika/jobs", timeout=PATIENCE).headers.get(
            "Connection", ""
        ):
            assert ending.seconds() < NOTICE
        served = 0
        while connects(server):
            served += server.get("/v1/pika/jobs").status_code == 200 if ending.seconds() < NOTICE - 0.5 else 0
            time.sleep(0.02)
        gone = ending.seconds()

        assert "Connection" not in before.headers
        assert served > 10
        assert NOTICE <= gone < NOTICE + 2
        assert 0 == ending.code()
        assert ending.seconds() < NOTICE + 5


def events(server: Relay) -> list[dict[str, Any]]:
    """Return the log's events."""
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def test_person_at_a_terminal_waits_for_nobody(own: Path, local: Local) -> None:
    """SIGINT ends a server like SIGTERM, without waiting for anybody to notice."""
    with relay(own, local, **SETTINGS) as server:
        os.kill(server.pid, signal.SIGINT)

        assert server.process is not None
        assert 0 == server.process.wait(PATIENCE)
        assert [0.0] == [e["notice_seconds"] for e in events(server) if e["event"] == "server.ending"]


def test_request_under_way_is_answered(own: Path, local: Local, seat: tuple[str, str]) -> None:
    """A POST that waits for the bot is answered, and its job goes on in the next process to its video."""
    local.configure_pika(behaviour="plain", speed=1.0)
    with relay(own, local, **SETTINGS) as server:
        answers: list[requests.Response] = []
        fields = {"prompt": "slowly", "discord": seat[0], "channel": seat[1]}
        asking = threading.Thread(target=lambda: answers.append(server.post("create", fields)))
        asking.start()
        while not local.get("/presses"):
            time.sleep(0.01)
        ending = Ending(server)
        asking.join(PATIENCE)

        assert [200] == [answer.status_code for answer in answers]
        assert 0 == ending.code()
    local.configure_pika(behaviour="plain", speed=0.0)
    with relay(own, local, **SETTINGS) as again:
        assert "completed" == again.finished(answers[0].json()["jobid"])["status"]


def test_patient_request_is_answered_early(own: Path, local: Local, seat: tuple[str, str]) -> None:
    """A POST that would wait for a minute and more is answered with its job as it is, 200 and `started`, before the server ends."""
    local.configure_pika(behaviour="plain", speed=60.0)
    with relay(own, local, **SETTINGS, discord_answer_wait_seconds="100") as server:
        answers: list[requests.Response] = []
        fields = {"prompt": "in vain", "discord": seat[0], "channel": seat[1]}
        asking = threading.Thread(target=lambda: answers.append(server.post("create", fields)))
        asking.start()
        before = len(local.get("/presses"))
        while not server.get("/v1/pika/jobs").json():
            time.sleep(0.01)
        ending = Ending(server)
        asking.join(PATIENCE)

        assert (200, "started") == (answers[0].status_code, answers[0].json()["status"]), before
        assert 0 == ending.code()
        assert ending.seconds() < AT_MOST


def test_upload_that_does_not_end(own: Path, local: Local, seat: tuple[str, str]) -> None:
    """An upload that goes on for longer than a stop waits is told 503, and leaves neither job nor file."""
    with relay(own, local, **SETTINGS) as server:
        upload = Upload(server, seat, picture(20 * 1024 * 1024))
        with upload.connect() as connection:
            connection.sendall(upload.head)
            ending = Ending(server)
            sent = 0
            connection.settimeout(0.02)
            said = b""
            while not said:
                connection.sendall(upload.body[sent : sent + 4096])
                sent += 4096
                try:
                    said = connection.recv(65536)
                except TimeoutError:
                    assert ending.seconds() < AT_MOST

            connection.settimeout(PATIENCE)
            while more := connection.recv(65536):
                said += more

        assert said.startswith(b"HTTP/1.1 503 ")
        assert b'{"error":"Service Unavailable","code":503}' in said
        assert 0 == ending.code()
        assert ending.seconds() < AT_MOST
        assert 0 == server.stored_jobs()
        assert [] == list((server.data_folder / "uploads").iterdir())


@contextmanager
def slow_receiver(seconds: float) -> Iterator[tuple[Receiver, threading.Event]]:
    """Take callbacks, and answer each after so long. The event says that one has come."""
    came = threading.Event()

    def wait() -> None:
        came.set()
        time.sleep(seconds)

    with receiver(before_answer=wait) as hook:
        yield hook, came


def test_callback_under_way_is_finished(own: Path, local: Local, seat: tuple[str, str]) -> None:
    """A callback whose receiver takes three seconds is delivered once, by the process that ends."""
    with slow_receiver(3) as (hook, came):
        with relay(own, local, **SETTINGS) as server:
            job = server.created("told", *seat, replyUrl=hook.url)
            assert came.wait(PATIENCE)
            ending = Ending(server)

            assert 0 == ending.code()
        with relay(own, local, **SETTINGS) as again:
            shown: dict[str, Any] = again.get(f"/v1/pikarelay/callbacks/{job['jobid']}").json()

    assert ("delivered", 1) == (shown["state"], len(shown["log"]))
    assert 1 == hook.callbacks.qsize()


@pytest.mark.timeout(120)
def test_callback_that_hangs_is_given_back(own: Path, local: Local, seat: tuple[str, str]) -> None:
    """A receiver that hangs holds up no end: its callback is sent by the next process at once, the same, under its id."""
    with slow_receiver(20) as (hook, came):
        with relay(own, local, **SETTINGS) as server:
            job = server.created("told", *seat, replyUrl=hook.url)
            assert came.wait(PATIENCE)
            ending = Ending(server)

            assert 0 == ending.code()
            assert 10 < ending.seconds() < AT_MOST
            given_back = [
                event["job_id"] for event in events(server) if event["event"] == "callback.given_back"
            ]
        came.clear()
        with relay(own, local, **SETTINGS):
            assert came.wait(PATIENCE)
            first, second = hook.next(), hook.next()

    assert [job["jobid"]] == given_back
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert job["jobid"] == first.job["jobid"]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_at_once(
    own: Path, local: Local, seat: tuple[str, str], second: signal.Signals
) -> None:
    """Told twice, a server ends where it stands, and loses as little as in a crash: nothing."""
    with relay(own, local, **SETTINGS) as server:
        job = server.created("kept", *seat)
        address = urlsplit(server.url)
        kept = http.client.HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
        ending = Ending(server)
        # It has begun to end: it says so.
        while True:
            kept.request("GET", "/v1/pika/jobs", headers=server.headers)
            if (answer := kept.getresponse()).getheader("Connection") == "close":
                break
            answer.read()
        os.kill(server.pid, second)

        assert -second == ending.code()
        assert ending.seconds() < NOTICE
    with relay(own, local, **SETTINGS) as again:
        assert job == again.job(job["jobid"])
