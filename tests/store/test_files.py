"""Uploaded files on the disk."""

import asyncio
import hashlib
import io
import os
from pathlib import Path

import pytest
from PIL import Image

from pikarelay.errors import InvalidValue, Unavailable
from pikarelay.jobs.job import Upload
from pikarelay.store.files import UploadFolder, sweep
from tests.store.conftest import NOW


def png(side: int = 64) -> bytes:
    target = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> UploadFolder:
    return UploadFolder(tmp_path / "uploads")


@pytest.fixture(params=["unnamed", "named"])
def either_folder(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> UploadFolder:
    """A folder on a file system that can have files without names, and one that cannot."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE")
    return UploadFolder(tmp_path / "uploads")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def stored(folder: UploadFolder, data: bytes, declared: str | None = None) -> Upload:
    sink = folder.open_sink(declared)
    for start in range(0, len(data), 1000):
        await sink.write(data[start : start + 1000])
    return await sink.finish()


async def test_stored_file_is_read_back(either_folder: UploadFolder) -> None:
    """What came in comes out, byte for byte, as often as it is read, under a name of ours."""
    data = png()

    upload = await stored(either_folder, data)
    file = either_folder.open(upload)

    assert (len(data), "image/png") == (upload.size, upload.type)
    assert ("image.png", len(data)) == (file.filename, file.size)
    for _ in range(2):
        assert data == b"".join([piece async for piece in file.read()])
    assert {upload.key} == either_folder.keys()


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        (None, "image/png"),
        ("application/octet-stream", "image/png"),
        ("text/html", "image/png"),
        ("image/", "image/png"),
        ("image/x y", "image/png"),
        ("image/jpeg", "image/jpeg"),
        ("Image/PNG", "image/png"),
    ],
)
async def test_declared_type_is_shown_when_it_is_one(
    folder: UploadFolder, declared: str | None, shown: str
) -> None:
    """A job shows the type its caller declared, where that says anything; the name on the disk never follows it."""
    upload = await stored(folder, png(), declared)

    assert shown == upload.type
    assert upload.key.endswith(".png")


async def test_file_is_private_and_has_its_final_name_at_once(
    either_folder: UploadFolder, tmp_path: Path
) -> None:
    """Before it is finished a file cannot be opened; afterwards only its owner can."""
    sink = either_folder.open_sink(None)
    await sink.write(png())

    assert frozenset() == either_folder.keys()

    upload = await sink.finish()
    mode = (tmp_path / "uploads" / upload.key).stat().st_mode

    assert mode & 0o777 == 0o600


@pytest.mark.parametrize("is_finished", [False, True])
async def test_discarded_file_is_gone(
    either_folder: UploadFolder, tmp_path: Path, *, is_finished: bool
) -> None:
    """Of a discarded file nothing stays, finished or not, and to discard it again changes nothing."""
    before = descriptors()
    sink = either_folder.open_sink(None)
    await sink.write(png())
    if is_finished:
        await sink.finish()

    await sink.discard()
    await sink.discard()

    assert list((tmp_path / "uploads").iterdir()) == []
    assert descriptors() <= before


async def test_bad_file_is_refused_at_its_first_bytes(folder: UploadFolder, tmp_path: Path) -> None:
    """What is no image is refused before it is on the disk."""
    sink = folder.open_sink("image/png")

    with pytest.raises(InvalidValue, match=r"^image is not supported$"):
        await sink.write(b"<html>" + bytes(100))
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_empty_file_is_refused(folder: UploadFolder) -> None:
    """A file without bytes is no image."""
    with pytest.raises(InvalidValue, match=r"^image is not supported$"):
        await folder.open_sink("image/png").finish()


async def test_failing_disk_is_unavailable(folder: UploadFolder, tmp_path: Path) -> None:
    """When the disk does not take a file, the caller is told to come back."""
    (tmp_path / "uploads").rmdir()
    sink = folder.open_sink(None)

    with pytest.raises(Unavailable):
        await sink.write(png())
    await sink.discard()


async def test_cancelled_write_is_discarded_safely(folder: UploadFolder, tmp_path: Path) -> None:
    """A request that is cancelled while a thread writes its file leaves neither file nor descriptor."""
    data = png(512)
    before = descriptors()
    for _ in range(50):
        sink = folder.open_sink(None)
        task = asyncio.create_task(sink.write(data))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await sink.discard()

    assert list((tmp_path / "uploads").iterdir()) == []
    assert descriptors() <= before


async def test_sweep_removes_what_a_killed_process_left(folder: UploadFolder, tmp_path: Path) -> None:
    """Unfinished files go, finished ones stay."""
    upload = await stored(folder, png())
    (tmp_path / "uploads" / "0123.part").write_bytes(b"x")

    assert sweep(tmp_path / "uploads") == 1
    assert {upload.key} == folder.keys()


async def test_removed_file_is_gone(folder: UploadFolder) -> None:
    """A file that nobody needs any more can be deleted, twice if need be."""
    upload = await stored(folder, png())

    await folder.remove([upload.key])

    with pytest.raises(FileNotFoundError):
        folder.open(upload)
    await folder.remove([upload.key])


@pytest.mark.parametrize(
    "key", ["../secret.png", "/etc/passwd", "", "a.png", "0" * 32 + ".html", "0" * 32 + ".png\n"]
)
async def test_keys_lead_nowhere_else(folder: UploadFolder, key: str) -> None:
    """A key that is none of ours opens and deletes nothing."""
    with pytest.raises(FileNotFoundError):
        folder.open(Upload(size=1, type="image/png", key=key))
    with pytest.raises(FileNotFoundError):
        await folder.remove([key])


async def test_digest_is_of_the_bytes(folder: UploadFolder) -> None:
    """Two files are known as the same by their bytes alone."""
    data = png()
    upload, again = await stored(folder, data, "image/png"), await stored(folder, data, "image/jpeg")

    assert hashlib.sha256(data).hexdigest() == upload.digest == again.digest
    assert upload.key != again.key


async def test_old_files_are_found(folder: UploadFolder, tmp_path: Path) -> None:
    """Files are told apart by when they were finished; what is none of ours is not named."""
    old, young = await stored(folder, png()), await stored(folder, png())
    os.utime(tmp_path / "uploads" / old.key, (NOW.timestamp() - 1, NOW.timestamp() - 1))
    os.utime(tmp_path / "uploads" / young.key, (NOW.timestamp(), NOW.timestamp()))
    (tmp_path / "uploads" / "README").write_bytes(b"x")

    assert (old.key,) == await folder.finished_before(NOW)


class TestQuota:
    async def test_too_much_is_refused(self, tmp_path: Path) -> None:
        """The byte that is one too many is refused as if the disk were full; what is there stays."""
        data = png()
        folder = UploadFolder(tmp_path / "uploads", quota=2 * len(data) - 1)
        upload = await stored(folder, data)

        with pytest.raises(Unavailable):
            await stored(folder, data)
        assert {upload.key} == folder.keys()

    async def test_files_under_way_count(self, tmp_path: Path) -> None:
        """Uploads at the same time share what is left."""
        data = png()
        folder = UploadFolder(tmp_path / "uploads", quota=2 * len(data) - 1)
        one, other = folder.open_sink(None), folder.open_sink(None)
        await one.write(data)

        with pytest.raises(Unavailable):
            await other.write(data)

        await one.discard()
        await one.discard()
        await other.write(data)

        assert len(data) == (await other.finish()).size

    async def test_removal_makes_room(self, tmp_path: Path) -> None:
        """What is removed, and what was refused, takes no room any more."""
        data = png()
        folder = UploadFolder(tmp_path / "uploads", quota=len(data))
        for _ in range(3):
            upload = await stored(folder, data)
            refused = folder.open_sink(None)
            with pytest.raises(Unavailable):
                await refused.write(data)
            await refused.discard()
            await folder.remove([upload.key, upload.key])

        assert frozenset() == folder.keys()

    async def test_what_is_there_counts_after_a_restart(self, tmp_path: Path) -> None:
        """The files of an earlier process count from the start."""
        data = png()
        await stored(UploadFolder(tmp_path / "uploads"), data)

        with pytest.raises(Unavailable):
            await stored(UploadFolder(tmp_path / "uploads", quota=2 * len(data) - 1), data)


async def test_files_under_way_have_places(tmp_path: Path) -> None:
    """One file under way too many is refused; each that ends, well or not, leaves its place to another."""
    data = png()
    folder = UploadFolder(tmp_path / "uploads", at_once=2)
    one, two, three = (folder.open_sink(None) for _ in range(3))
    await one.write(data)
    await two.write(data)

    with pytest.raises(Unavailable):
        await three.write(data)

    await one.finish()
    await one.discard()
    await two.discard()
    await two.discard()
    await three.write(data)
    await folder.open_sink(None).write(data)
    with pytest.raises(Unavailable):
        await folder.open_sink(None).write(data)


async def test_place_of_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """A file that the disk does not take has no place."""
    folder = UploadFolder(tmp_path / "uploads", at_once=1)
    (tmp_path / "uploads").rmdir()
    for _ in range(3):
        with pytest.raises(Unavailable):
            await folder.open_sink(None).write(png())
    (tmp_path / "uploads").mkdir()

    assert (await stored(folder, png())).size
