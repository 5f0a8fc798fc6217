"""What killed processes leave in a data folder goes when the next server starts; what others have under way stays."""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pikarelay.bootstrap.stores import open_server_store, prepare_store
from pikarelay.settings import Settings
from pikarelay.store.aside import made_aside, sweep_aside
from pikarelay.system import SystemClock
from tests.postgres import PostgresServer

KEY = "a" * 32 + ".png"

_BE_AT_IT = """
import sys, time
from pathlib import Path
from pikarelay.store.aside import made_aside
with made_aside(Path(sys.argv[1])) as aside:
    aside.with_name(aside.name + "-wal").touch()
    print(aside, flush=True)
    time.sleep(60)
"""


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@asynccontextmanager
async def a_server(data: Path, **more: str) -> AsyncIterator[None]:
    settings = Settings.load({}, "", {"store.data_folder": str(data), **more})
    await asyncio.to_thread(prepare_store, settings)
    async with open_server_store(settings, SystemClock()):
        yield


async def test_a_killed_process(tmp_path: Path) -> None:
    """What a process makes aside stays as long as that lives, and goes with all that SQLite put beside it afterwards."""
    place = tmp_path / "pikarelay.sqlite3"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _BE_AT_IT, str(place), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    aside = Path((await process.stdout.readline()).decode().strip())
    meanwhile = sweep_aside(place)
    names = names_in(tmp_path)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    afterwards = sweep_aside(place)

    assert (0, {aside.name, f"{aside.name}-wal"}) == (meanwhile, names)
    assert (1, set()) == (afterwards, names_in(tmp_path))


def test_what_is_somebody_elses(tmp_path: Path) -> None:
    """Files of other names stay, also those of a place that is called almost alike."""
    names = {
        f".pikarelay.sqlite3.{'0' * 15}",
        f".pikarelay_sqlite3.{'0' * 16}",
        f"pikarelay.sqlite3.{'0' * 16}",
    }
    for name in names:
        (tmp_path / name).touch()

    assert 0 == sweep_aside(tmp_path / "pikarelay.sqlite3")
    assert names == names_in(tmp_path)
    assert 0 == sweep_aside(tmp_path / "elsewhere" / "pikarelay.sqlite3")


async def test_a_start(tmp_path: Path) -> None:
    """A start leaves neither half a database nor a second name of the whole one or of the root key."""
    async with a_server(tmp_path):
        pass
    kept = names_in(tmp_path)
    half = tmp_path / f".pikarelay.sqlite3.{secrets.token_hex(8)}"
    for suffix in ("", "-journal", "-wal", "-shm"):
        half.with_name(half.name + suffix).write_bytes(b"half")
    for whole in ("pikarelay.sqlite3", "root.key"):
        os.link(tmp_path / whole, tmp_path / f".{whole}.{secrets.token_hex(8)}")
    async with a_server(tmp_path):
        pass

    assert {"pikarelay.sqlite3", "root.key"} <= kept
    assert kept == names_in(tmp_path)
    assert [1, 1] == [(tmp_path / name).stat().st_nlink for name in ("pikarelay.sqlite3", "root.key")]


async def test_restored_meanwhile(tmp_path: Path) -> None:
    """A server that starts leaves alone what another process is making."""
    with made_aside(tmp_path / "pikarelay.sqlite3") as aside:
        async with a_server(tmp_path):
            assert aside.exists()


async def test_uploads_under_way(tmp_path: Path) -> None:
    """A second server leaves the first one's uploads under way; the next that is alone deletes what nobody finishes."""
    async with a_server(tmp_path):
        (tmp_path / "uploads").mkdir()
        (tmp_path / "uploads" / "0123.part").write_bytes(b"x")
        (tmp_path / "uploads" / KEY).write_bytes(b"x")
        async with a_server(tmp_path):
            beside = names_in(tmp_path / "uploads")
    async with a_server(tmp_path):
        alone = names_in(tmp_path / "uploads")

    assert {"0123.part", KEY} == beside
    assert {KEY} == alone


@pytest.mark.timeout(120)
async def test_uploads_on_their_way(tmp_path: Path, postgres: PostgresServer) -> None:
    """Of uploads that only pass through a node's disk nothing is left; those of an embedded database beside it are."""
    shared = {"store.database": postgres.new_database()}
    for folder in ("uploads", "receiving"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / KEY).write_bytes(b"x")
    async with a_server(tmp_path, **shared):
        alone = names_in(tmp_path / "receiving")
        (tmp_path / "receiving" / KEY).write_bytes(b"x")
        async with a_server(tmp_path, **shared):
            beside = names_in(tmp_path / "receiving")

    assert set() == alone
    assert {KEY} == beside
    assert {KEY} == names_in(tmp_path / "uploads")
