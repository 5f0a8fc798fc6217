"""Uploaded files that every node can read."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from pikarelay.errors import Unavailable
from pikarelay.jobs.job import Upload
from pikarelay.store.files import UploadFolder
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.root_key import KeySource, load_root_key
from pikarelay.store.uploads import PIECE, SharedUploads
from tests.fakes.clock import FakeClock
from tests.postgres import PostgresServer
from tests.store.test_files import png

QUOTA = 3 * PIECE
PICTURE = png()


@pytest.fixture
async def stores(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[list[PostgresStore]]:
    url, key = postgres.new_database(), load_root_key(KeySource(tmp_path))
    async with (
        PostgresStore.open(url, root_key=key, connections=1) as one,
        PostgresStore.open(url, root_key=key, connections=1) as two,
    ):
        yield [one, two]


def uploads(store: PostgresStore, folder: Path, clock: FakeClock) -> SharedUploads:
    return SharedUploads(UploadFolder(folder, QUOTA), store, clock, QUOTA)


async def kept(there: SharedUploads, content: bytes) -> Upload:
    sink = there.open_sink("image/png")
    await sink.write(content)
    return await sink.finish()


async def read(there: SharedUploads, upload: Upload) -> bytes:
    return b"".join([piece async for piece in there.open(upload).read()])


async def test_read_on_another_node(stores: list[PostgresStore], tmp_path: Path) -> None:
    """A file that one node received is read on another, byte for byte, and is on the disk of neither."""
    clock = FakeClock()
    one, two = (uploads(store, tmp_path / name, clock) for store, name in zip(stores, "ab", strict=True))
    content = PICTURE + bytes(PIECE + 7)
    upload = await kept(one, content)

    assert content == await read(two, upload)
    assert [] == [path for path in (tmp_path / "a").iterdir() if path.is_file()]


async def test_removed(stores: list[PostgresStore], tmp_path: Path) -> None:
    """What is old is found, and is gone for all once it is removed."""
    clock = FakeClock()
    one, two = (uploads(store, tmp_path / name, clock) for store, name in zip(stores, "ab", strict=True))
    upload = await kept(one, PICTURE)
    assert () == await two.finished_before(clock.now())
    assert (upload.key,) == await two.finished_before(clock.now() + timedelta(seconds=1))
    await two.remove([upload.key])

    assert () == await one.finished_before(clock.now() + timedelta(seconds=1))
    with pytest.raises(FileNotFoundError):
        await read(one, upload)


async def test_quota(stores: list[PostgresStore], tmp_path: Path) -> None:
    """All nodes share one quota; a file that does not fit is not kept, nor is any of it."""
    clock = FakeClock()
    one, two = (uploads(store, tmp_path / name, clock) for store, name in zip(stores, "ab", strict=True))
    await kept(one, PICTURE + bytes(2 * PIECE))
    with pytest.raises(Unavailable):
        await kept(two, PICTURE + bytes(2 * PIECE))

    assert len(PICTURE) + 2 * PIECE == await stores[0].files_size()
