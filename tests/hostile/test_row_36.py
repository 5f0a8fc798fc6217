"""Row 36, as far as it is about readiness: the disk is full, and then it is not."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.servers import PATIENCE, Local, Relay, relay

MIB = 1024 * 1024
ROOM = 24 * MIB
#: What the bot takes for a job that ends while there is no room: longer than it takes to fill the disk.
BOT_SECONDS = 5.0


@pytest.fixture
def server(tmp_path: Path, local: Local) -> Iterator[Relay]:
    """A server whose data folder is a disk of its own, of 24 MiB, in a mount namespace of its own."""
    if shutil.which("unshare") is None:
        pytest.fail("unshare is missing: install util-linux")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    mounted = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c"]
    script = f'mount -t tmpfs -o size={ROOM},mode=700 tmpfs {data} && exec "$0" "$@"'
    settings = {"discord_press_interval_seconds": "0", "least_free_mib": "4"}
    with relay(tmp_path, local, prefix=[*mounted, script], **settings) as running:
        yield running


def disk(server: Relay) -> Path:
    """Return the data folder as the server sees it."""
    return Path(f"/proc/{server.pid}/root{server.data_folder}")


def fill(server: Relay) -> Path:
    """Leave no room at all."""
    filler = disk(server) / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(64 * 1024))
        except OSError:
            pass
    return filler


def readiness(server: Relay, code: int) -> dict[str, str]:
    """Wait for a code, and return what was looked at."""
    deadline = time.monotonic() + PATIENCE
    while (answer := server.get("/readyz")).status_code != code:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.05)
    checks: dict[str, str] = answer.json()["checks"]
    return checks


def is_posted(local: Local, user_id: str) -> bool:
    """Say whether the bot has posted a video for the user."""
    return any(entry["event"] == "result" and entry["user_id"] == user_id for entry in local.ledger())


def test_row_36_disk_full(server: Relay, local: Local, seat: tuple[str, str]) -> None:
    """New work is 503 within two seconds and readiness off; reads go on; with room again all is as before, and jobs that were under way end."""
    job = server.created("while there was room", *seat)
    readiness(server, 200)
    fields = {"prompt": "x", "discord": seat[0], "channel": seat[1]}
    patient = local.post("/users", {"username": "patient"})
    local.configure_pika(durations=[BOT_SECONDS])
    long_job = server.submitted(
        "create", {**fields, "discord": patient["token"], "channel": patient["dm_channels"]["Pika"]}
    )["jobid"]
    under_way = [long_job, server.submitted("create", fields)["jobid"]]
    filler = fill(server)
    codes, seconds = [], 0.0
    # The database's log has room in its file for a while; then it has not.
    while not codes or (codes[-1] != 503 and len(codes) < 500):
        began = time.monotonic()
        answer = server.post("create", fields)
        codes.append(answer.status_code)
        seconds = time.monotonic() - began
        if answer.status_code == 200:
            under_way.append(answer.json()["jobid"])
    checks = readiness(server, 503)

    assert 503 == codes[-1]
    assert set(codes[:-1]) <= {200}
    assert seconds < 2
    assert "has no room" == checks["disk"]
    assert "takes no write" == checks["database"]
    assert "completed" == server.job(job["jobid"])["status"]
    assert 200 == server.get("/healthz").status_code
    assert {"error": "Service Unavailable", "code": 503} == server.post("create", fields).json()

    deadline = time.monotonic() + PATIENCE
    while not is_posted(local, patient["id"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    # Its video was told of, and there was no room to note it.
    assert "takes no write" == readiness(server, 503)["database"]
    assert server.job(long_job)["status"] in {"started", "progress"}

    filler.unlink()
    readiness(server, 200)

    assert job == server.job(job["jobid"])
    assert "completed" == server.created("there is room again", *seat)["status"]
    # What had been taken came to its end, whatever of it was said while there was no room to note it.
    assert {"completed"} == {server.finished(job_id)["status"] for job_id in under_way}
