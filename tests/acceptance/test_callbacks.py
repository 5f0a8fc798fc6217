"""Callbacks of the installed server: signed, logged, replayed, kept over a kill, and nothing else leaves it."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from standardwebhooks.webhooks import Webhook

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, relay

EXTENSION = "/v1/pikarelay/callbacks"


@pytest.fixture
def account(local: Local) -> tuple[str, str]:
    local.configure_pika(behaviour="respond", speed=0.0, video="tiny")
    return local.new_user(f"callbacks-{time.monotonic_ns()}")


def shown(server: Relay, job_id: str) -> dict[str, Any]:
    body: dict[str, Any] = server.get(f"{EXTENSION}/{job_id}").json()
    return body


def networks(server: Relay) -> tuple[str, str]:
    """Return what tells a command of the networks that the server was told of by a flag."""
    file = server.data_folder.parent / "callbacks.toml"
    file.write_text('[callbacks]\nallow_networks = ["127.0.0.0/8"]\n')
    return "--config", str(file)


def wait_for(server: Relay, job_id: str, attempts: int) -> dict[str, Any]:
    """Return the callback once that many of its tries are in the log."""
    deadline = time.monotonic() + PATIENCE
    while len((callback := shown(server, job_id)).get("log", [])) < attempts:
        assert time.monotonic() < deadline, callback
        time.sleep(0.02)
    return callback


@contextlib.contextmanager
def holding(connections: int = 1000) -> Iterator[tuple[str, list[socket.socket]]]:
    """Take connections and say nothing, ever. Yields the address and what was taken."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=connections) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook", taken
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in taken:
                connection.close()


def test_signed_logged_and_replayed(server: Relay, hook: Receiver, account: tuple[str, str]) -> None:
    """A signed callback verifies, is logged, and is sent again by API and by command, the same byte for byte."""
    secret = server.command("tenant", "secret", "--rotate").stdout.strip()
    job = server.created("signed", *account, replyUrl=hook.url + "?key=hidden")
    first = hook.next()
    one = wait_for(server, job["jobid"], 1)
    replay = requests.post(
        server.url + EXTENSION + "/replay",
        headers=server.headers,
        json={"jobid": job["jobid"]},
        timeout=PATIENCE,
    )
    second = hook.next()
    wait_for(server, job["jobid"], 2)
    by_command = server.command("callbacks", "replay", job["jobid"], *networks(server))
    third = hook.next()
    log = wait_for(server, job["jobid"], 3)["log"]
    removed = server.command("tenant", "secret", "--remove")

    assert job["jobid"] == Webhook(secret).verify(first.body, first.headers)["jobid"]
    assert "delivered" == one["state"]
    assert "healthy" == one["targetState"]
    assert "hidden" not in json.dumps(one)
    assert (200, {"replayed": [job["jobid"]], "refused": []}) == (replay.status_code, replay.json())
    assert (0, "") == (by_command.returncode, by_command.stderr)
    assert {first.body} == {second.body, third.body}
    assert 1 == len({its.headers["webhook-id"] for its in (first, second, third)})
    assert ["schedule", "manual", "manual"] == [attempt["trigger"] for attempt in log]
    assert [("127.0.0.1", 200, "ok")] * 3 == [
        (attempt["address"], attempt["status"], attempt["answer"]) for attempt in log
    ]
    assert "1 removed\n" == removed.stdout


def test_blocked_is_refused_with_the_reason(server: Relay, account: tuple[str, str]) -> None:
    """A callback to a closed network is never sent, and its replay is refused with the reason."""
    job = server.created("blocked", *account, replyUrl="http://10.1.2.3:8080/hook")
    callback = wait_for(server, job["jobid"], 1)
    replay = requests.post(
        server.url + EXTENSION + "/replay",
        headers=server.headers,
        json={"jobid": job["jobid"]},
        timeout=PATIENCE,
    )

    assert ("waiting", "blocked", "failing") == (
        callback["state"],
        callback["error"],
        callback["targetState"],
    )
    assert "address" not in callback["log"][0]
    assert 400 == replay.status_code
    assert "callback is not sent: target address is not public" == replay.json()["error"]
    listed = server.get(f"{EXTENSION}?state=waiting&target=http://10.1.2.3:8080").json()["callbacks"]
    assert [job["jobid"]] == [callback["jobid"] for callback in listed]


def test_switch(server: Relay, hook: Receiver, account: tuple[str, str]) -> None:
    """A target that the operator switches off gets nothing; what was owed is sent when it is on again and asked for."""
    first = server.created("before", *account, replyUrl=hook.url)
    hook.next()
    wait_for(server, first["jobid"], 1)
    target = shown(server, first["jobid"])["target"]
    off = server.command("callbacks", "targets", "--disable", target)
    job = server.created("off", *account, replyUrl=hook.url)
    dead = shown(server, job["jobid"])
    refused = server.command("callbacks", "replay", "--target", target)
    server.command("callbacks", "targets", "--enable", target)
    replayed = server.command("callbacks", "replay", "--target", target, *networks(server))

    assert 0 == off.returncode
    assert ("dead", "disabled", "off") == (dead["state"], dead["error"], dead["targetState"])
    assert {target: "target is switched off by the operator"} == {
        its["target"]: its["error"] for its in json.loads(refused.stdout)["refused"]
    }
    assert [job["jobid"]] == json.loads(replayed.stdout)["replayed"]
    assert job["jobid"] == hook.next().job["jobid"]


@pytest.mark.usefixtures("server")
def test_row_24_killed_between_accept_and_noting(
    folder: Path, local: Local, account: tuple[str, str]
) -> None:
    """A callback whose receiver took it just before the server was killed is sent again, the same byte for byte."""
    own = folder / "killed"
    own.mkdir()
    with holding() as (address, taken):
        with relay(own, local) as server:
            job = server.created("killed", *account, replyUrl=address)
            deadline = time.monotonic() + PATIENCE
            while not taken:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            first = taken[0].recv(65536)
            (pid,) = _servers_of(server.data_folder)
            os.kill(pid, signal.SIGKILL)
        with _expired_leases(own / "data" / "pikarelay.sqlite3"), relay(own, local) as server:
            deadline = time.monotonic() + PATIENCE
            while len(taken) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            second = taken[1].recv(65536)
            taken[1].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            callback = wait_for(server, job["jobid"], 2)

    def identity(request: bytes) -> tuple[bytes, bytes]:
        head, _, body = request.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)webhook-id: (\S+)", head)
        assert found is not None
        return found[1], body

    assert identity(first) == identity(second)
    assert ("delivered", 2) == (callback["state"], callback["attempts"])
    assert [(1, "interrupted"), (2, None)] == [
        (attempt["attempt"], attempt.get("error")) for attempt in callback["log"]
    ]


def _servers_of(data_folder: Path) -> list[int]:
    """Return the processes that were started on a data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
            if str(data_folder).encode() in arguments and b"serve" in arguments:
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def _expired_leases(database: Path) -> Iterator[None]:
    """Let the claims of the killed process run out, which otherwise takes two minutes."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(database)) as opened, opened:
        for table in ("callbacks", "callback_targets"):
            opened.execute(f"UPDATE {table} SET due = 1 WHERE due IS NOT NULL")
        opened.execute("UPDATE callback_targets SET busy_until = 1")
    yield


HELD = 1000


@pytest.mark.timeout(300)
def test_row_28_a_dead_host_delays_nobody(
    server: Relay, hook: Receiver, local: Local, account: tuple[str, str]
) -> None:
    """While a host that never answers holds its try, with a thousand more waiting, another's callback comes in two seconds."""
    token, channel = account
    # Ten accounts, each with as many jobs at once as an account may have.
    seats = [account, *(local.new_user(f"dead-{number}") for number in range(9))]

    def held(number: int) -> str:
        token, channel = seats[number % len(seats)]
        fields = {"prompt": f"held {number}", "discord": token, "channel": channel, "replyUrl": address}
        job: str = server.submitted("create", fields)["jobid"]
        return job

    with holding() as (address, taken), ThreadPoolExecutor(4 * len(seats)) as callers:
        jobs = set(callers.map(held, range(HELD)))
        for job in jobs:
            assert "completed" == server.finished(job)["status"]
        server.post(
            "create", {"prompt": "healthy", "discord": token, "channel": channel, "replyUrl": hook.url}
        )
        callback = hook.next()
        (attempt,) = wait_for(server, callback.job["jobid"], 1)["log"]
        ended, started = (
            datetime.fromisoformat(text) for text in (callback.job["updated"], attempt["started"])
        )

        assert HELD == len(jobs)
        assert started - ended < timedelta(seconds=2)
        # One try at a time, of at most a minute each.
        assert 1 <= len(taken) <= 5
        waiting = server.get(f"{EXTENSION}?limit=1000&target={address}").json()["callbacks"]
        assert jobs == {callback["jobid"] for callback in waiting}


@pytest.mark.usefixtures("server")
def test_every_outbound_connection_is_accounted_for(
    folder: Path, local: Local, hook: Receiver, account: tuple[str, str]
) -> None:
    """A trace of the system calls of a whole server shows connections to Discord and to receivers, and to nobody else."""
    strace = shutil.which("strace")
    assert strace is not None, "strace is needed: make system"
    own = folder / "traced"
    own.mkdir()
    trace = own / "trace"
    with relay(own, local) as server:
        (pid,) = _servers_of(server.data_folder)
        with subprocess.Popen(
            [strace, "-f", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace), "-p", str(pid)],
            stderr=subprocess.PIPE,
            text=True,
        ) as tracer:
            assert tracer.stderr is not None
            assert "attached" in tracer.stderr.readline()
            server.created("traced", *account, replyUrl=hook.url)
            hook.next()
            inside = server.created("inside", *account, replyUrl="http://10.9.8.7:8080/")
            metadata = server.created("metadata", *account, replyUrl="http://169.254.169.254/")
            itself = server.created("itself", *account, replyUrl=server.url)
            for job in (inside, metadata, itself):
                assert "blocked" == wait_for(server, job["jobid"], 1)["error"]
            tracer.terminate()
            tracer.wait(PATIENCE)

    text = trace.read_text()
    ports = set(re.findall(r"connect\(.*sin6?_port=htons\((\d+)\)", text))
    addresses = set(re.findall(r'connect\(.*(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"', text))
    allowed = {url.rpartition(":")[2].split("/")[0] for url in (local.url, hook.url)}
    assert {"127.0.0.1"} == addresses
    assert hook.url.rpartition(":")[2].split("/")[0] in ports
    assert ports <= allowed
