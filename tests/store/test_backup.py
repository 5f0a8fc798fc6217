"""Backups: of one moment, whole, without the root key; and put back where nothing is."""

import asyncio
import json
import sqlite3
import stat
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from pikarelay.bootstrap import backups
from pikarelay.jobs.job import Status, Upload
from pikarelay.settings import Settings
from pikarelay.store.backup import BackupRefused, putting_back, verified
from pikarelay.store.migrations import SchemaOutdated, migrate, schema_state, sqlite_url
from pikarelay.store.root_key import KeySource, KeyUnusable, load_root_key
from pikarelay.store.sqlite import SqliteStore
from tests.store.conftest import (
    NOW,
    TOKEN,
    a_caller,
    a_final_job,
    a_job,
    a_sent_job,
    a_token,
    an_account,
    put,
    put_with_callback,
)
from tests.store.test_migrations import migrate_to

KEY, STRAY = "a" * 32 + ".png", "b" * 32 + ".png"
IMAGE = Upload(size=9, type="image/png", key=KEY)


def opened(data: Path) -> AbstractAsyncContextManager[SqliteStore]:
    return SqliteStore.open(data / "pikarelay.sqlite3", root_key=load_root_key(KeySource(data)))


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    await fill(data)
    return data


async def fill(data: Path) -> None:
    """Make a data folder: a job that waits, one that was sent, final ones, and an upload that is nobody's."""
    migrate(sqlite_url(data / "pikarelay.sqlite3"))
    (data / "uploads").mkdir()
    (data / "uploads" / KEY).write_bytes(b"not a PNG")
    (data / "uploads" / STRAY).write_bytes(b"nobody's")
    async with opened(data) as store:
        await store.add_caller(a_caller())
        await store.add_api_token(a_token(), b"a" * 32)
        await store.put_account(an_account())
        await put(store, a_job(1, image=IMAGE), a_sent_job(2))
        await put_with_callback(store, *(a_final_job(number) for number in range(10, 20)))


def as_of(database: Path, revision: str) -> None:
    """Turn a database into what a version of that schema had: its tables, with what is in those of ours."""
    older = database.with_name("older")
    older.touch(mode=0o600)
    migrate_to(sqlite_url(older), revision)
    with closing(sqlite3.connect(older)) as raw, raw:
        raw.execute("ATTACH ? AS ours", [str(database)])
        for (table,) in raw.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name <> 'alembic_version'"
        ).fetchall():
            columns = ", ".join(name for _, name, *_ in raw.execute(f"PRAGMA main.table_info({table})"))
            raw.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM ours.{table}")
    older.replace(database)


class Operator:
    """Calls the commands' work, and keeps what is said."""

    def __init__(self, folder: Path) -> None:
        self.backup = folder / "backup"
        self.said = ""

    async def back_up(self, data: Path) -> None:
        await backups.back_up(self._settings(data), self.backup, self._say)

    async def restore(self, data: Path, **more: Any) -> None:
        await backups.restore(
            self._settings(data), self.backup, self._say, **{"without_root_key": False, **more}
        )

    def _settings(self, data: Path) -> Settings:
        return Settings.load({}, "", {"store.data_folder": str(data)})

    def _say(self, line: str) -> None:
        self.said += line + "\n"


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.fixture
def fresh(tmp_path: Path, data: Path) -> Path:
    """Another data folder, with the first one's root key in it and nothing else."""
    fresh = tmp_path / "fresh"
    fresh.mkdir(mode=0o700)
    (fresh / "root.key").write_bytes((data / "root.key").read_bytes())
    (fresh / "root.key").chmod(0o600)
    return fresh


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def everything(store: SqliteStore) -> list[object]:
    return [
        await store.callers(),
        await store.api_tokens(),
        await store.accounts(),
        await store.unfinished(),
        await store.newest_jobs(100),
        [await store.callback(f"job-{number:04}") for number in range(20)],
    ]


def but_waiting(found: list[object]) -> list[object]:
    """Return the jobs of `everything` but the one whose press waits."""
    return [job for job in found[4] if job.job_id != "job-0001"]  # type: ignore[attr-defined]


async def test_what_comes_back(data: Path, fresh: Path, operator: Operator) -> None:
    """Everything comes back as it was, secrets and uploads included; but for a job that waited, which has failed."""
    await operator.back_up(data)
    await operator.restore(fresh)
    async with opened(data) as store:
        before = await everything(store)
    async with opened(fresh) as store:
        after = await everything(store)
        waited = await store.job("job-0001")
        sent = await store.job("job-0002")

    assert before[:3] == after[:3]
    assert before[5] == after[5]
    assert but_waiting(before) == but_waiting(after)
    assert waited is not None
    assert (Status.FAILED, "Outcome of the press is unknown") == (waited.status, waited.error)
    assert sent == a_sent_job(2)
    assert b"not a PNG" == (fresh / "uploads" / KEY).read_bytes()
    assert "1 job had not been sent" in operator.said


async def test_what_is_in_it(data: Path, operator: Operator) -> None:
    """A backup has the database and the uploads of its jobs, open to nobody else, and says that the key is not in it."""
    await operator.back_up(data)
    found = {str(path.relative_to(operator.backup)) for path in operator.backup.rglob("*") if path.is_file()}
    manifest = json.loads((operator.backup / "manifest.json").read_text())

    assert {"manifest.json", "pikarelay.sqlite3", f"uploads/{KEY}"} == found
    assert {"pikarelay.sqlite3", f"uploads/{KEY}"} == {file["path"] for file in manifest["files"]}
    assert 0o700 == stat.S_IMODE(operator.backup.stat().st_mode)
    assert {0o600} == {
        stat.S_IMODE((operator.backup / file["path"]).stat().st_mode) for file in manifest["files"]
    }
    assert "The root key is NOT in it" in operator.said
    assert manifest["root_key_fingerprint"] in operator.said


async def test_no_key_and_no_token_in_it(data: Path, operator: Operator) -> None:
    """Neither the root key, in any spelling, nor a Discord token can be found in any file of a backup."""
    await operator.back_up(data)
    key = (data / "root.key").read_bytes()
    content = b"".join(path.read_bytes() for path in operator.backup.rglob("*") if path.is_file())

    assert b"SQLite format 3" in content
    for secret in (
        key,
        key.hex().encode(),
        key.hex().upper().encode(),
        TOKEN.encode(),
        TOKEN.split(".")[2].encode(),
    ):
        assert secret not in content


async def test_of_one_moment(data: Path, fresh: Path, operator: Operator) -> None:
    """A backup that is made while others write holds all that was written before, and nothing by halves."""
    written: list[int] = []
    enough, is_over = asyncio.Event(), asyncio.Event()
    async with opened(data) as store:

        async def write() -> None:
            number = 1000
            while not is_over.is_set():
                number += 1
                await put_with_callback(store, a_final_job(number))
                written.append(number)
                if len(written) == 20:
                    enough.set()

        writing = asyncio.create_task(write())
        await enough.wait()
        before = list(written)
        await operator.back_up(data)
        is_over.set()
        await writing
    await operator.restore(fresh)
    async with opened(fresh) as store:
        jobs = {job.job_id for job in await store.newest_jobs(100_000)}
        callbacks = [await store.callback(f"job-{number:04}") for number in before]

    assert {f"job-{number:04}" for number in before} <= jobs
    assert None not in callbacks
    assert len(written) > len(before)


async def test_nothing_is_overwritten(data: Path, fresh: Path, operator: Operator) -> None:
    """Neither a backup nor a database is ever written over: both are refused and left as they were."""
    await operator.back_up(data)
    database = data / "pikarelay.sqlite3"
    before = database.read_bytes()

    with pytest.raises(BackupRefused, match="already"):
        await operator.back_up(data)
    with pytest.raises(BackupRefused, match="already"):
        await operator.restore(data)
    (fresh / "pikarelay.sqlite3-wal").write_bytes(b"left")
    with pytest.raises(BackupRefused, match="already"):
        await operator.restore(fresh)
    assert before == database.read_bytes()
    assert ["pikarelay.sqlite3-wal", "root.key"] == names_in(fresh)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _rename_in_manifest(path: Path) -> None:
    manifest = path / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f"uploads/{KEY}", "../../escaped"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "database changed": lambda backup: _flip(backup / "pikarelay.sqlite3"),
    "database cut": lambda backup: (backup / "pikarelay.sqlite3").write_bytes(b"SQLite format 3\0"),
    "upload changed": lambda backup: _flip(backup / "uploads" / KEY),
    "upload gone": lambda backup: (backup / "uploads" / KEY).unlink(),
    "manifest gone": lambda backup: (backup / "manifest.json").unlink(),
    "manifest cut": lambda backup: (backup / "manifest.json").write_text("{"),
    "a way out": _rename_in_manifest,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_damaged_backup(
    data: Path, fresh: Path, operator: Operator, damage: Callable[[Path], object]
) -> None:
    """A backup that is not as it says of itself is refused, and nothing of it is put anywhere."""
    await operator.back_up(data)
    damage(operator.backup)

    with pytest.raises(BackupRefused):
        await operator.restore(fresh)
    assert ["root.key"] == names_in(fresh)


async def test_without_the_key(data: Path, tmp_path: Path, operator: Operator) -> None:
    """Without the root key nothing is put back, and the wanted fingerprint is told."""
    await operator.back_up(data)

    with pytest.raises(
        KeyUnusable, match=json.loads((operator.backup / "manifest.json").read_text())["root_key_fingerprint"]
    ):
        await operator.restore(tmp_path / "elsewhere")
    assert [] == names_in(tmp_path / "elsewhere")


async def test_of_a_newer_version(data: Path, tmp_path: Path, operator: Operator) -> None:
    """A backup of a schema that does not serve us is refused by its own name, before anything is made for it."""
    with closing(sqlite3.connect(data / "pikarelay.sqlite3")) as raw, raw:
        raw.execute("INSERT INTO migrations (revision, oldest_code, made_by) VALUES ('9999', '9999', '9.0')")
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    await operator.back_up(data)
    elsewhere = tmp_path / "elsewhere"

    with pytest.raises(
        SchemaOutdated, match=f"{operator.backup}/.* is at schema 9999.* pikarelay 9.0 made it"
    ):
        await operator.restore(elsewhere, without_root_key=True)
    assert not elsewhere.exists()


@pytest.mark.parametrize("revision", ["0001", "0006"])
async def test_of_an_older_version(data: Path, fresh: Path, operator: Operator, revision: str) -> None:
    """A backup of an older schema is put back in ours, with all that was in it, and a server starts on it."""
    async with opened(data) as store:
        before = await everything(store)
    as_of(data / "pikarelay.sqlite3", revision)
    await operator.back_up(data)
    await operator.restore(fresh)
    state = schema_state(sqlite_url(fresh / "pikarelay.sqlite3"))
    async with opened(fresh) as store:
        after = await everything(store)

    assert revision == json.loads((operator.backup / "manifest.json").read_text())["schema"]
    assert state.is_current
    assert before[:3] == after[:3]
    assert but_waiting(before) == but_waiting(after)
    assert before[5] == after[5]


async def test_what_fails_on_the_way(data: Path, fresh: Path, operator: Operator) -> None:
    """What was done to a copy of a database and could not be written into it leaves neither the copy nor a picture."""
    await operator.back_up(data)

    with (
        pytest.raises(BackupRefused, match="could not be written"),
        putting_back(
            operator.backup, verified(operator.backup), fresh / "pikarelay.sqlite3", fresh / "uploads"
        ) as aside,
    ):
        aside.with_name(f"{aside.name}-wal").write_bytes(b"what a full disk kept out of the file")
    assert ["root.key"] == names_in(fresh)


async def test_lost_key(data: Path, tmp_path: Path, operator: Operator) -> None:
    """With a lost root key, if told so, all but the secrets comes back, what to set up anew is listed, and works."""
    await operator.back_up(data)
    elsewhere = tmp_path / "elsewhere"
    await operator.restore(elsewhere, without_root_key=True)
    async with opened(elsewhere) as store:
        (account,) = await store.accounts()
        job = await store.job("job-0010")
        await store.put_account(an_account())
        (renewed,) = await store.accounts()

    assert not account.discord_token.is_readable
    assert "`pikarelay account set 100`" in operator.said
    assert job is not None
    assert Status.COMPLETED is job.status
    assert TOKEN == renewed.discord_token.reveal()


async def test_valid_tokens_are_counted(data: Path, fresh: Path, operator: Operator) -> None:
    """A token that was revoked after the backup was made is valid again, and the operator is told so."""
    await operator.back_up(data)
    async with opened(data) as store:
        await store.revoke_api_token("t1", NOW)
    await operator.restore(fresh)
    async with opened(fresh) as store:
        (token,) = await store.api_tokens()

    assert token.revoked is None
    assert "1 API token is valid. What was revoked since is valid again" in operator.said


async def test_tokens_are_revoked(data: Path, fresh: Path, operator: Operator) -> None:
    """If told so, no API token of the backup is valid, and the first start makes none by itself."""
    await operator.back_up(data)
    await operator.restore(fresh, revoke_tokens=True)
    async with opened(fresh) as store:
        (token,) = await store.api_tokens()
        holder = await store.holder(b"a" * 32)

    assert token.revoked is not None
    assert holder is None
    assert "1 API token was revoked: `pikarelay token add`" in operator.said


async def test_missing_upload_is_named(data: Path, fresh: Path, operator: Operator) -> None:
    """An upload that is gone keeps no backup from being made, and is named."""
    (data / "uploads" / KEY).unlink()
    await operator.back_up(data)
    await operator.restore(fresh)

    assert [KEY] == json.loads((operator.backup / "manifest.json").read_text())["missing"]
    assert "1 more upload of jobs was not there" in operator.said


async def test_interrupted(data: Path, fresh: Path, operator: Operator) -> None:
    """A backup without a manifest is none; a restore that was cut off before its end is simply done again, and takes that one's copy away."""
    await operator.back_up(data)
    (fresh / "uploads").mkdir()
    (fresh / "uploads" / KEY).write_bytes(b"not a PNG")
    (fresh / "uploads" / "x.part").write_bytes(b"not")
    (fresh / ".pikarelay.sqlite3.0123456789abcdef").write_bytes(b"half")
    await operator.restore(fresh)

    assert ["pikarelay.sqlite3", "root.key", "uploads"] == names_in(fresh)
    async with opened(fresh) as store:
        assert 10 == sum([job.is_final for job in await store.newest_jobs(100)]) - 1
