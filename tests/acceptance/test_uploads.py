"""Uploaded files: on the disk for as long as their job, never in memory, and never left behind."""

import json
import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.pictures import (
    LARGEST,
    MIB,
    Upload,
    answered,
    chunk,
    descriptors,
    files,
    forget_peak,
    peak,
    picture,
)
from tests.acceptance.servers import PATIENCE, Local, Relay, local_discord, relay


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Local]:
    options: dict[str, Any] = {"file-limit": str(LARGEST)}
    with local_discord(folder, **options) as running:
        yield running
        assert running.violations() == {}


@pytest.fixture(scope="module")
def seat(local: Local) -> tuple[str, str]:
    return local.new_user("uploads")


def test_aborted_uploads(server: Relay, seat: tuple[str, str]) -> None:
    """A hundred uploads that break off, anywhere, leave no file, no open file and no job."""
    upload = Upload(server, seat, picture(MIB))
    before = (files(server), server.get("/v1/pika/jobs").json())
    for number in range(100):
        with upload.connect() as connection:
            connection.sendall(upload.head)
            connection.sendall(upload.body[: len(upload.body) * number // 100])
            if number % 2:
                # Reset rather than closed.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    # An upload that is whole takes longer than the server needs to see the others' ends.
    server.finished(answered(upload.send()))
    after = (files(server), server.get("/v1/pika/jobs").json())

    assert len(before[0]) + 1 == len(after[0])
    assert before[1] == after[1] == []


def test_file_lives_with_its_job(server: Relay, seat: tuple[str, str], local: Local) -> None:
    """A job keeps its picture; a request that is refused, whoever refuses it, keeps none."""
    before = files(server)
    job = server.finished(answered(Upload(server, seat, picture(MIB)).send()))
    kept = files(server)

    assert {"size": MIB, "type": "image/png"} == job["image"]
    assert len(before) + 1 == len(kept)

    missing = Upload(server, ("", seat[1]), picture(MIB), prompt="x" * 1501).send()
    local.post("/faults", {
        "where": "rest", "match": {"method": "POST", "route": "/interactions"},
        "do": {"kind": "rate_limit", "scope": "user", "retry_after": 0.1}, "times": 1,
    })  # fmt: skip
    limited = Upload(server, seat, picture(MIB)).send()

    assert [b"400", b"429"] == [answer.split()[1] for answer in (missing, limited)]
    assert kept == files(server)


def animate(server: Relay, seat: tuple[str, str], image: Any, name: str = "blob") -> requests.Response:
    """POST with `requests`, which looks for an answer only when everything is sent."""
    files: dict[str, Any] = {
        "discord": (None, seat[0]),
        "channel": (None, seat[1]),
        "image": (name, image, "image/png"),
    }
    return requests.post(
        f"{server.url}/v1/pika/animate", headers=server.headers, files=files, timeout=PATIENCE
    )


BOMB = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (b"<!doctype html><html><body><script>alert(1)</script></body></html>", "image is not supported"),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"></svg>', "image is not supported"),
        (b"%PDF-1.7\n" + bytes(100), "image is not supported"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(100), "image is not supported"),
        (b"PK\x03\x04" + bytes(100), "image is not supported"),
        (b"", "image is not supported"),
        (BOMB + bytes(10_000), "image is too large (pixels)"),
        (picture(LARGEST + 1), "image is too large"),
        (picture(40 * MIB), "image is too large"),
    ],
    ids=["html", "svg", "pdf", "eps", "zip", "empty", "bomb", "byte too many", "far too large"],
)
def test_what_is_no_picture(server: Relay, seat: tuple[str, str], image: bytes, error: str) -> None:
    """What is no picture, whatever it is called, or too large a one, is 400, which its client gets to read."""
    before = (files(server), server.stored_jobs())
    answer = animate(server, seat, image, "a.png")

    assert {"error": error, "code": 400} == answer.json()
    assert (400, "application/json") == (answer.status_code, answer.headers["Content-Type"])
    assert before == (files(server), server.stored_jobs())


def test_giant_is_refused_unread(server: Relay, seat: tuple[str, str]) -> None:
    """A body that announces ten gigabytes is refused before any of them is read."""
    upload = Upload(server, seat, b"")
    head = re.sub(rb"Content-Length: \d+", b"Content-Length: 10737418240", upload.head)
    with upload.connect() as connection:
        connection.sendall(head)
        head, _, body = connection.makefile("rb").read(MIB).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 ")
    assert {"error": "image is too large", "code": 400} == json.loads(body)


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "CON", "x" * 4000, "/tmp/php7f3a", 'a";b', "a\\b"])
def test_file_name_means_nothing(server: Relay, seat: tuple[str, str], name: str) -> None:
    """Whatever a file is called, it is stored under a name of ours, and the job runs."""
    before = set(files(server))
    job = server.finished(animate(server, seat, picture(1000), name).json()["jobid"])
    (stored,) = set(files(server)) - before

    assert "completed" == job["status"]
    assert re.fullmatch(r"[0-9a-f]{32}\.png", stored)


def test_picture_that_is_a_page_too(server: Relay, seat: tuple[str, str]) -> None:
    """A file that is a GIF and HTML is kept as a GIF."""
    page = b"GIF89a" + struct.pack("<HH", 16, 16) + b"\x00\x00\x00" + b"/*<script>alert(1)</script>*/;"
    before = set(files(server))
    answer = animate(server, seat, page, "a.html")
    (stored,) = set(files(server)) - before

    assert {"size": len(page), "type": "image/png"} == answer.json()["image"]
    assert stored.endswith(".gif")


@pytest.mark.timeout(120)
def test_twenty_at_once_in_flat_memory(server: Relay, local: Local) -> None:
    """Twenty uploads of 25 MiB at once, and their way on to Discord, take less than 64 MiB of memory together."""
    seats = [local.new_user(f"heavy-{n}") for n in range(4)]
    image = picture(LARGEST)
    # What is made once, for any upload, is not the question.
    server.finished(answered(Upload(server, seats[0], picture(MIB)).send()))
    forget_peak(server.pid)
    before = peak(server.pid)
    together = threading.Barrier(20)

    def send(number: int) -> str:
        upload = Upload(server, seats[number % 4], image)
        together.wait(PATIENCE)
        return answered(upload.send())

    with ThreadPoolExecutor(20) as pool:
        jobs = [server.finished(job_id) for job_id in pool.map(send, range(20))]

    assert [("completed", LARGEST)] * 20 == [(job["status"], job["image"]["size"]) for job in jobs]
    assert peak(server.pid) - before < 64 * MIB


def test_larger_than_discord_takes(folder: Path) -> None:
    """A picture that Discord finds too large makes a failed job with Discord's own words, and the server goes on."""
    own = folder / "ordinary limit"
    own.mkdir()
    with local_discord(own) as ordinary, relay(own, ordinary) as server:
        seat = ordinary.new_user("large")
        answer = Upload(server, seat, picture(10 * MIB + 1)).send()
        (job_id,) = re.findall(rb'"jobid":"(\w+)"', answer)
        job = server.job(job_id.decode())

        assert answer.startswith(b"HTTP/1.1 502 ")
        assert ("failed", 10 * MIB + 1) == (job["status"], job["image"]["size"])
        assert re.fullmatch(r"Discord /interactions failed with HTTP status 4\d\d", job["error"])
        assert "message" in json.loads(job["errorDetails"])
        assert {} == ordinary.get("/presses")
        assert "completed" == server.finished(answered(Upload(server, seat, picture(MIB)).send()))["status"]


def test_killed_while_uploads_run(folder: Path) -> None:
    """When the server is killed in the middle of uploads, the next start finds the files of jobs and no others."""
    own = folder / "killed"
    own.mkdir()
    with local_discord(own) as local:
        seat = local.new_user("killed")
        with relay(own, local) as server:
            job = server.finished(answered(Upload(server, seat, picture(MIB)).send()))
            kept = files(server)
            upload = Upload(server, seat, picture(8 * MIB))
            connections = [upload.connect() for _ in range(10)]
            for connection in connections:
                connection.sendall(upload.head + upload.body[: 4 * MIB])
            while len(descriptors(server.pid)) < len(connections):
                time.sleep(0.01)
            os.kill(server.pid, signal.SIGKILL)
            for connection in connections:
                connection.close()
        # As a file system leaves it that cannot have files without names.
        (server.data_folder / "uploads" / "0123456789abcdef.part").write_bytes(b"x")
        with relay(own, local) as again:
            assert kept == files(again)
            assert job == again.job(job["jobid"])


def test_quota(folder: Path) -> None:
    """When all uploads together have their quota, more of them are 503; what needs no room goes on."""
    own = folder / "quota"
    own.mkdir()
    with (
        local_discord(own) as local,
        relay(own, local, uploads_quota_mib="3", discord_press_interval_seconds="0") as server,
    ):
        seat = local.new_user("quota")
        taken = [answered(Upload(server, seat, picture(MIB)).send()) for _ in range(3)]
        kept = files(server)
        refused = Upload(server, seat, picture(MIB)).send()
        head, _, body = refused.partition(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"content-type: application/json" in head.lower()
        assert {"error": "Service Unavailable", "code": 503} == json.loads(body)
        assert kept == files(server)
        assert ["completed"] * 3 == [server.finished(job_id)["status"] for job_id in taken]
        assert "completed" == server.created("a kite", *seat)["status"]
