"""Copies in a folder."""

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pikarelay.mirror.folder import FolderMirror
from pikarelay.services.ports import CopyFailed, Download, Mirror
from tests.mirror.downloads import a_broken_download, a_download

#: For the type checker: it is what the services ask for.
PORTS: tuple[type[Mirror], ...] = (FolderMirror,)
LARGE = os.urandom(5 * 1024 * 1024 + 17)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "mirror"


@pytest.fixture
def mirror(folder: Path) -> FolderMirror:
    return FolderMirror(folder)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("content", [b"", b"a video", LARGE], ids=["empty", "small", "large"])
async def test_kept_whole(mirror: FolderMirror, folder: Path, content: bytes) -> None:
    """A file of any size is found under its name, byte for byte, and nothing else is left in the folder."""
    await mirror.put("a.mp4", a_download(content))
    found = await mirror.find("a.mp4", method="GET")

    assert folder / "a.mp4" == found
    assert content == found.read_bytes()
    assert ["a.mp4"] == files(folder)


async def test_private(mirror: FolderMirror, folder: Path) -> None:
    """Nobody else on the machine can read the folder or a copy in it."""
    await mirror.put("a.mp4", a_download())

    assert [0o700, 0o600] == [mode_of(folder), mode_of(folder / "a.mp4")]


async def test_put_again(mirror: FolderMirror, folder: Path) -> None:
    """A copy that is made again takes the place of the one before."""
    await mirror.put("a.mp4", a_download(b"old"))
    await mirror.put("a.mp4", a_download(b"new"))

    assert b"new" == (folder / "a.mp4").read_bytes()
    assert ["a.mp4"] == files(folder)


async def test_two_at_once(mirror: FolderMirror, folder: Path) -> None:
    """Two that make the same copy at the same time do not mix."""
    contents = [bytes([n]) * 3_000_000 for n in range(4)]
    await asyncio.gather(*(mirror.put("a.mp4", a_download(content)) for content in contents))

    assert (folder / "a.mp4").read_bytes() in contents
    assert ["a.mp4"] == files(folder)


@pytest.mark.parametrize("content", [b"short", LARGE], ids=["in memory", "on the disk"])
async def test_half_a_file_is_none(mirror: FolderMirror, folder: Path, content: bytes) -> None:
    """When a file breaks off, nothing of it is left, and why is passed on."""
    with pytest.raises(CopyFailed, match="the line broke"):
        await mirror.put("a.mp4", a_broken_download(content, CopyFailed("the line broke")))

    assert None is await mirror.find("a.mp4", method="GET")
    assert [] == files(folder)


async def test_cancelled(mirror: FolderMirror, folder: Path) -> None:
    """A copy that is given up in the middle leaves nothing."""
    reached = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield LARGE
        reached.set()
        await asyncio.Event().wait()

    putting = asyncio.ensure_future(
        mirror.put("a.mp4", Download(size=2 * len(LARGE), media_type="video/mp4", chunks=chunks()))
    )
    await reached.wait()
    assert 1 == len(files(folder))
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting

    assert [] == files(folder)


async def test_the_last_step_is_the_name(
    mirror: FolderMirror, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are on the disk before they have a name, and the name is on the disk before anybody hears of it."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(path: Path, target: Path) -> Path:
        steps.append(f"name {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    await mirror.put("a.mp4", a_download())

    assert ["file", "name a.mp4", "folder"] == steps


async def test_full_disk(mirror: FolderMirror, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that takes no more is told as a failure that may pass, and nothing is left."""

    def full(_descriptor: int, _data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(CopyFailed, match=r"does not take it: No space left on device\.") as failure:
        await mirror.put("a.mp4", a_download())
    monkeypatch.undo()

    assert not failure.value.is_final
    assert [] == files(folder)


@pytest.mark.parametrize(
    "name", ["../a.mp4", "/etc/passwd", "a", ".mp4", "a/b.mp4", "A.mp4", "a.mp4.part", ""]
)
async def test_names_never_lead_out(mirror: FolderMirror, folder: Path, name: str) -> None:
    """What is no name of a copy is neither written nor found nor removed."""
    for work in (
        lambda: mirror.put(name, a_download()),
        lambda: mirror.find(name, method="GET"),
        lambda: mirror.remove([name]),
    ):
        with pytest.raises(CopyFailed, match="no name of a copy"):
            await work()

    assert [] == files(folder)


async def test_removed(mirror: FolderMirror, folder: Path) -> None:
    """Copies are removed; one that is gone already is no error."""
    await mirror.put("a.mp4", a_download())
    await mirror.put("b.mp4", a_download())
    await mirror.remove(["a.mp4", "c.mp4"])

    assert ["b.mp4"] == files(folder)


async def test_tidy(mirror: FolderMirror, folder: Path) -> None:
    """What a killed process left goes an hour after its last byte, not before: another process may be at work on it."""
    await mirror.put("a.mp4", a_download())
    for name, minutes in (("old", 61), ("young", 59)):
        path = folder / f"{name}.mp4.0123456789abcdef.part"
        path.touch()
        os.utime(path, (time.time() - minutes * 60,) * 2)
    await mirror.tidy()

    assert ["a.mp4", "young.mp4.0123456789abcdef.part"] == files(folder)


async def test_name_is_the_place(folder: Path, mirror: FolderMirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same folder is the same mirror, however its path is written."""
    monkeypatch.chdir(folder.parent)

    assert FolderMirror(Path("mirror")).name == mirror.name == f"folder:{folder}"
    assert FolderMirror(Path("other")).name != mirror.name


async def test_problem(mirror: FolderMirror, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written to is a problem that is told."""
    assert None is await mirror.problem()
    monkeypatch.setattr(os, "access", lambda *_: False)

    assert f"The mirror's folder {folder} cannot be written to." == await mirror.problem()
