"""The replayed power cut: what was synced stays, what was not may go, in any combination."""

from pathlib import Path
from random import Random

import pytest
from chaos.powercut import SECTOR, Disk, cuts, read_trace


def hexed(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return "".join(f"\\x{byte:02x}" for byte in data)


def call(second: int, name: str, arguments: str, result: str = "0") -> str:
    return f"77 {second}.000000 {name}({arguments}) = {result} <0.000100>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    before = tmp_path / "before"
    (before / "uploads").mkdir(parents=True)
    (before / "db").write_bytes(b"old")
    return tmp_path / "data"


def opened(folder: Path, name: str, number: int = 5) -> str:
    return f"{number}<{hexed(str(folder / name))}>"


def disk_after(folder: Path, *lines: str) -> Disk:
    disk = Disk(folder, folder.parent / "before")
    for each in read_trace(lines):
        disk.replay(each)
    return disk


def found_in(disk: Disk, name: str) -> set[bytes | None]:
    """Return all that two hundred cuts may leave of a file."""
    return {disk.after_cut(Random(seed)).get(name) for seed in range(200)}


def test_synced_write_stays(folder: Path) -> None:
    """A write before a sync is there after every cut."""
    db = opened(folder, "db")

    disk = disk_after(
        folder, call(1, "pwrite64", f'{db}, "{hexed("new!")}", 4, 0', "4"), call(2, "fdatasync", db)
    )

    assert {b"new!"} == found_in(disk, "db")


def test_unsynced_write_may_go(folder: Path) -> None:
    """A write that was not synced is there after some cuts only."""
    disk = disk_after(folder, call(1, "pwrite64", f'{opened(folder, "db")}, "{hexed("new!")}", 4, 0', "4"))

    assert {b"new!", b"old"} == found_in(disk, "db")


def test_write_tears_between_sectors(folder: Path) -> None:
    """Of a write over two sectors one may be there without the other."""
    data = b"a" * SECTOR + b"b" * SECTOR
    disk = disk_after(
        folder, call(1, "pwrite64", f'{opened(folder, "db")}, "{hexed(data)}", 1024, 0', "1024")
    )

    assert {data, data[:SECTOR], bytes(SECTOR) + data[SECTOR:]} <= {
        found if found is None or found[:3] != b"old" else bytes(SECTOR) + found[SECTOR:]
        for found in found_in(disk, "db")
    }


def test_truncation_is_a_write(folder: Path) -> None:
    """A truncation that was not synced may not have been."""
    disk = disk_after(folder, call(1, "ftruncate", f"{opened(folder, 'db')}, 1"))

    assert {b"o", b"old"} == found_in(disk, "db")


def test_new_name_needs_its_folder_synced(folder: Path) -> None:
    """A file that was synced has no name after a cut unless its folder was synced as well."""
    place = f'AT_FDCWD<{hexed("/")}>, "{hexed(str(folder / "uploads"))}", O_WRONLY|O_TMPFILE, 0600'
    nameless = f"6<{hexed(str(folder / 'uploads' / '#9'))}>(deleted)"
    uploads = f"7<{hexed(str(folder / 'uploads'))}>"
    lines = [
        call(1, "openat", place, nameless),
        call(2, "write", f'{nameless}, "{hexed("png")}", 3', "3"),
        call(3, "fsync", nameless),
        call(
            4,
            "linkat",
            f'AT_FDCWD<{hexed("/")}>, "{hexed("/proc/self/fd/6")}", {uploads}, "{hexed("a.png")}", AT_SYMLINK_FOLLOW',
        ),
    ]

    unsynced = disk_after(folder, *lines)
    synced = disk_after(folder, *lines, call(5, "fsync", uploads))

    assert {None, b"png"} == found_in(unsynced, "uploads/a.png")
    assert {b"png"} == found_in(synced, "uploads/a.png")


def test_interrupted_line_is_one_call(folder: Path) -> None:
    """A call that strace tells of in two lines counts from when it ended."""
    db = opened(folder, "db")
    calls = read_trace(
        [
            call(1, "pwrite64", f'{db}, "{hexed("new!")}", 4, 0', "4"),
            f"77 2.000000 fdatasync({db} <unfinished ...>",
            '78 2.500000 write(2</dev/null>, "\\x2e", 1) = 1 <0.000010>',
            "77 3.000000 <... fdatasync resumed>) = 0 <1.000000>",
        ]
    )

    assert ["pwrite64", "write", "fdatasync"] == [each.name for each in calls]
    assert (2.0, 3.0) == (calls[-1].began, calls[-1].ended)


def test_cut_comes_after_what_was_told_before_it(folder: Path) -> None:
    """The moment of a cut is never before the last call that it leaves complete."""
    db = opened(folder, "db")
    calls = read_trace(
        call(second, "pwrite64", f'{db}, "{hexed("x")}", 1, {second}', "1") for second in range(1, 20)
    )

    found = list(cuts(calls, Disk(folder, folder.parent / "before"), 50, Random(1)))

    assert 50 == len(found)
    assert sorted(moment for moment, _ in found) == [moment for moment, _ in found]
