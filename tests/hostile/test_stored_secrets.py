"""What a server does whose database or root key is not as it was."""

import os
import resource
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from pikarelay.store.root_key import KeySource, load_root_key
from tests.acceptance.servers import BIN, PATIENCE, Local, clean_environment, relay

DATABASE = "pikarelay.sqlite3"


@pytest.fixture
def left(tmp_path: Path, local: Local) -> Path:
    """The data folder of a server that had an account, and was killed."""
    with relay(tmp_path, local) as server:
        server.configure(local.new_user(f"left-{tmp_path.name}"))
        os.kill(server.pid, signal.SIGKILL)
    return server.data_folder


def serve(folder: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    """Start a server that must not start; return what it said, and how long it worked on that."""
    return worked("serve", "--port", "0", "--data-folder", str(folder))


def worked(*words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a command; return what it said, and for how many seconds it had a processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [str(BIN / "pikarelay"), *words],
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
        env=clean_environment(),
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def content(folder: Path) -> dict[str, bytes]:
    """Return what the database's files hold; an index of the log is no content, it is made anew."""
    return {
        path.name: path.read_bytes()
        for path in folder.glob(f"{DATABASE}*")
        if path.stat().st_size and not path.name.endswith("-shm")
    }


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 8192)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def damaged(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xa5" * 4096)


def of_a_newer_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")


@pytest.mark.parametrize("fault", [cut_short, emptied, damaged, of_a_newer_version])
def test_row_37_database(left: Path, fault: object) -> None:
    """A database that is cut short, damaged, or of a newer version is refused by name with the fix, and not rewritten."""
    assert callable(fault)
    path = left / DATABASE
    # All of it in the one file.
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    fault(path)
    before = content(left)

    done, _ = serve(left)

    assert 1 == done.returncode
    assert 1 == len(done.stderr.splitlines()), done.stderr
    assert str(path) in done.stderr
    assert "restore" in done.stderr
    assert before == content(left)


def test_row_37_secret(tmp_path: Path, local: Local) -> None:
    """One flipped byte in a sealed token costs that account only, which says so, and a new token mends it."""
    good, bad = local.new_user("good"), local.new_user("bad")
    with relay(tmp_path, local, discord_press_interval_seconds="0") as server:
        for seat in (good, bad):
            server.configure(seat)
        parent = server.created("a kite", *bad)
    with closing(sqlite3.connect(server.data_folder / DATABASE)) as raw, raw:
        for table in ("accounts", "jobs"):
            (sealed,) = raw.execute(
                f"SELECT discord_token FROM {table} WHERE channel = ?", (bad[1],)
            ).fetchone()
            flipped = sealed[:-1] + bytes((sealed[-1] ^ 1,))
            raw.execute(f"UPDATE {table} SET discord_token = ? WHERE channel = ?", (flipped, bad[1]))
    ledger = len(local.ledger())

    with relay(tmp_path, local, discord_press_interval_seconds="0") as server:
        refused = server.post("create", {"prompt": "a kite", "channel": bad[1]})
        pressed = server.post("button", {"jobid": parent["jobid"], "button": "retry"})
        shown = server.get(f"/v1/pika/account/{bad[1]}").json()
        kept = server.job(parent["jobid"])
        asked = [entry for entry in local.ledger()[ledger:] if bad[1] in str(entry)]
        fine = server.post("create", {"prompt": "a kite", "channel": good[1]})
        server.configure(bad)
        mended = server.post("create", {"prompt": "a kite", "channel": bad[1]})
        pressed_again = server.post("button", {"jobid": parent["jobid"], "button": "retry"})

    for answer in (refused, pressed):
        assert (502, "failed", "stored token cannot be read") == (
            answer.status_code, answer.json()["status"], answer.json()["error"],
        )  # fmt: skip
    assert {"channel": bad[1], "discord": "…secured…", "maxJobs": 10} == shown
    assert ("completed", "…secured…") == (kept["status"], kept["discord"])
    assert [] == asked
    assert [200, 200, 200] == [answer.status_code for answer in (fine, mended, pressed_again)]


@pytest.mark.parametrize("fault", ["wrong", "missing", "open", "directory"])
def test_row_38(left: Path, fault: str) -> None:
    """A root key that is wrong, missing, open to others or a directory ends the start with status 78 and one line."""
    path = left / "root.key"
    expected = load_root_key(KeySource(left)).fingerprint
    match fault:
        case "wrong":
            path.write_bytes(b"w" * 32)
        case "missing":
            path.unlink()
        case "open":
            path.chmod(0o644)
        case "directory":
            path.unlink()
            path.mkdir()
    before = content(left)

    done, seconds = serve(left)

    assert (os.EX_CONFIG, "") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines()), done.stderr
    assert str(path) in done.stderr
    assert expected in done.stderr
    assert before == content(left)
    assert path.exists() == (fault != "missing")
    # Next to nothing beside what it takes to read the program at all.
    assert seconds < 2 * worked("serve", "--help")[1]


@pytest.mark.parametrize("command", [["account", "list"], ["token", "add"], ["jobs", "list"]])
def test_row_38_commands(left: Path, command: list[str]) -> None:
    """Other commands refuse such a key as the server does."""
    (left / "root.key").unlink()

    done = subprocess.run(
        [str(BIN / "pikarelay"), *command, "--data-folder", str(left)],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip

    assert (os.EX_CONFIG, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert not (left / "root.key").exists()
