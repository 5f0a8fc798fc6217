"""kill -9 while a database is made or restored: the next start, or the next restore, finds it whole or not there."""

from pathlib import Path

import pytest

from pikarelay.bootstrap.stores import open_server_store, prepare_store
from pikarelay.jobs.job import Status
from pikarelay.settings import Settings
from pikarelay.system import SystemClock
from tests.hostile.killed import killed
from tests.store.test_backup import KEY, Operator, as_of, fill, names_in

#: Beside those that are killed around a COMMIT or when a file gets its name.
RUNS = 8


@pytest.mark.timeout(240)
async def test_row_39_restore(tmp_path: Path) -> None:
    """A restore that is killed anywhere has put the backup back as a whole, or is done again and does."""
    data, template, runs = (tmp_path / name for name in ("data", "template", "runs"))
    for folder in (data, template, runs):
        folder.mkdir(mode=0o700)
    await fill(data)
    as_of(data / "pikarelay.sqlite3", "0001")
    operator = Operator(tmp_path)
    await operator.back_up(data)
    (data / "root.key").rename(template / "root.key")
    found = killed(["restore", str(operator.backup), "--data-folder", "FOLDER"], template, runs, RUNS)
    done = set()
    for run in found:
        folder = Path(run.folder)
        is_done = (folder / "pikarelay.sqlite3").exists()
        if not is_done:
            await operator.restore(folder)
        done.add((is_done, run.before == "COMMIT"))
        await check(folder, run.before)

    assert {(False, True), (False, False), (True, False)} <= done


async def check(folder: Path, before: str) -> None:
    settings = Settings.load({}, "", {"store.data_folder": str(folder)})
    prepare_store(settings)
    async with open_server_store(settings, SystemClock()) as (store, _):
        jobs = {job.job_id: job.status for job in await store.newest_jobs(100)}
        (account,) = await store.accounts()

    assert Status.FAILED is jobs.pop("job-0001"), before
    assert 11 == len(jobs), before
    assert account.discord_token.is_readable, before
    assert b"not a PNG" == (folder / "uploads" / KEY).read_bytes(), before
    assert ["pikarelay.sqlite3", "pikarelay.sqlite3-servers", "root.key", "uploads"] == names_in(folder), (
        before
    )
    assert [KEY] == names_in(folder / "uploads"), before


@pytest.mark.timeout(240)
async def test_row_39_first_start(tmp_path: Path) -> None:
    """A start that is killed anywhere while it makes the database and the root key is followed by one that works, and leaves nothing."""
    template, runs = tmp_path / "template", tmp_path / "runs"
    for folder in (template, runs):
        folder.mkdir(mode=0o700)
    found = killed(["token", "list", "--data-folder", "FOLDER"], template, runs, RUNS)
    done = set()
    for run in found:
        folder = Path(run.folder)
        done.add((folder / "pikarelay.sqlite3").exists())
        settings = Settings.load({}, "", {"store.data_folder": str(folder)})
        prepare_store(settings)
        async with open_server_store(settings, SystemClock()) as (store, _):
            assert [] == list(await store.accounts()), run.before
        assert ["pikarelay.sqlite3", "pikarelay.sqlite3-servers", "root.key"] == names_in(folder), run.before

    assert {False, True} == done
