"""`pikarelay backup` of a server at work, `pikarelay restore` elsewhere, and `pikarelay settle` there."""

import threading
from pathlib import Path

import pytest
import requests

from tests.acceptance.pictures import picture
from tests.acceptance.servers import PATIENCE, Local, Relay, relay
from tests.acceptance.test_command_line import command

PICTURE = picture(20_000)


class Load:
    """Callers who make jobs with pictures and wait for their end, until told to stop."""

    def __init__(self, server: Relay, seats: list[tuple[str, str]]) -> None:
        self._server = server
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(seat,)) for seat in seats]
        #: Jobs that have ended.
        self.done: list[str] = []
        self.failures: list[str] = []
        #: Set once there is something to back up.
        self.has_begun = threading.Event()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _work(self, seat: tuple[str, str]) -> None:
        discord, channel = seat
        while not self._is_over.is_set():
            try:
                self._make_one({"discord": discord, "channel": channel})
            except Exception as error:  # noqa: BLE001 - whatever it is, the test tells
                self.failures.append(repr(error))
                break
        self.has_begun.set()

    def _make_one(self, form: dict[str, str]) -> None:
        answer = requests.post(
            f"{self._server.url}/v1/pika/animate",
            headers=self._server.headers,
            data=form,
            files={"image": ("a.png", PICTURE, "image/png")},
            timeout=PATIENCE,
        )
        if answer.status_code != 200:
            self.failures.append(answer.text)
            return
        job = self._server.finished(answer.json()["jobid"])
        if job["status"] != "completed":
            self.failures.append(str(job))
        self.done.append(job["jobid"])
        if len(self.done) >= 3:
            self.has_begun.set()


# Two servers, and six commands.
@pytest.mark.timeout(240)
def test_backup_of_a_server_at_work(tmp_path: Path, local: Local) -> None:
    """A backup made under load costs no request, and holds all that had ended by then, its pictures and tokens included."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    backup, elsewhere = tmp_path / "backup", tmp_path / "second" / "data"
    with relay(tmp_path / "first", local, discord_press_interval_seconds="0") as first:
        load = Load(first, [local.new_user(f"backup-{number}") for number in range(2)])
        load.start()
        load.has_begun.wait(PATIENCE)
        before = list(load.done)
        made = first.command("backup", str(backup))
        load.stop()
        lists = first.job(before[0])
        key = (first.data_folder / "root.key").read_bytes()
    keyless = command(elsewhere, "restore", str(backup))
    (elsewhere / "root.key").write_bytes(key)
    (elsewhere / "root.key").chmod(0o600)
    restored = command(elsewhere, "restore", str(backup))
    again = command(elsewhere, "restore", str(backup))
    (tmp_path / "second" / "api-token").write_text(first.api_token)
    with relay(tmp_path / "second", local, discord_press_interval_seconds="0") as second:
        kept = [second.job(job_id) for job_id in before]
        pressed = second.post("button", {"jobid": before[0], "button": "retry"})
        pictures = {path.read_bytes() for path in (elsewhere / "uploads").iterdir()}
        beside = second.command("settle")
    settled = command(elsewhere, "settle", "--revoke-tokens")

    assert [] == load.failures
    assert len(before) >= 3
    assert 0 == made.returncode, made.stderr
    assert "The root key is NOT in it" in made.stdout
    assert key not in b"".join(path.read_bytes() for path in backup.rglob("*") if path.is_file())
    assert (78, 1) == (keyless.returncode, len(keyless.stderr.splitlines()))
    assert 0 == restored.returncode, restored.stderr
    assert "1 API token is valid" in restored.stdout
    assert (1, "A server is at work") == (beside.returncode, beside.stderr[:19])
    assert (0, "1 API token was revoked") == (settled.returncode, settled.stdout[:23])
    assert (1, 1) == (again.returncode, len(again.stderr.splitlines()))
    assert lists == kept[0]
    assert {"completed"} == {job["status"] for job in kept}
    assert {PICTURE} == pictures
    assert 200 == pressed.status_code, pressed.text
