"""The installed server, and its commands, on an embedded database that the next release has migrated."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.next_release import NEXT, next_release

from pikarelay.store.migrations import NEEDED
from tests.acceptance.servers import PATIENCE, Local, relay

ROOT = Path(__file__).parents[2]


# It starts nine programs, one after the other.
@pytest.mark.timeout(240)
def test_one_machine(tmp_path: Path, local: Local) -> None:
    """A server goes on while the next release migrates its file, starts on that again, and backs it up and restores it."""
    sources = next_release(ROOT / "src", tmp_path / "next")
    seat = local.new_user("upgrader")
    with relay(tmp_path, local, discord_press_interval_seconds="0") as server:
        server.configure(seat)
        server.created("a kite", *seat)
        migrated = subprocess.run(
            [sys.executable, "-m", "pikarelay", "migrate", "--data-folder", str(server.data_folder)],
            env={**os.environ, "PYTHONPATH": str(sources)},
            capture_output=True, text=True, timeout=PATIENCE, check=True,
        )  # fmt: skip
        server.created("a kite", *seat)
        ready = server.get("/readyz")

    went = f"The schema went from {NEEDED} to {NEXT}. Servers of the version before can go on, and be started again."
    assert went == migrated.stdout.strip()
    assert 200 == ready.status_code, ready.text
    with relay(tmp_path, local, discord_press_interval_seconds="0") as server:
        server.created("a kite", *seat)
        checked, repeated = server.command("check"), server.command("migrate")
        backed_up = server.command("backup", str(tmp_path / "backup"))
    server.data_folder.joinpath("pikarelay.sqlite3").rename(tmp_path / "lost")
    for log in server.data_folder.glob("pikarelay.sqlite3-*"):
        log.unlink()
    restored = server.command("restore", str(tmp_path / "backup"))

    assert f"Its schema ({NEXT}) is newer than this version's ({NEEDED}), and serves it." in checked.stdout
    assert (
        f"The schema ({NEXT}) is newer than this version's ({NEEDED}), and serves it; nothing to do."
        in repeated.stdout
    )
    assert [0, 0] == [backed_up.returncode, restored.returncode], restored.stderr
    with relay(tmp_path, local, discord_press_interval_seconds="0") as server:
        assert "completed" == server.created("a kite", *seat)["status"]
