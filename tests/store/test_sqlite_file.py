"""A database file that is not whole is told from one that is, and nothing in it changes by looking."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pikarelay.errors import Unavailable
from pikarelay.store.migrations import migrate, schema_state, sqlite_url
from pikarelay.store.sqlite_file import DatabaseDamaged, check_header, check_structure

LEAVES_A_LOG = """
import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA journal_mode = WAL")
c.execute("INSERT INTO channels VALUES ('100')")
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with some pages."""
    path = tmp_path / "pikarelay.sqlite3"
    migrate(sqlite_url(path))
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executemany("INSERT INTO channels VALUES (?)", ((f"{n:060}",) for n in range(2000)))
    return path


def test_whole(path: Path) -> None:
    """A whole database is found whole."""
    check_header(path)
    check_structure(path)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "the file is empty"),
        (50, "the file is not a database"),
        (-1, "and should have"),
        (-40960, "and should have"),
    ],
)
def test_cut_short(path: Path, size: int, said: str) -> None:
    """A file that ends too early is refused by its name, with what to do."""
    os.truncate(path, size if size >= 0 else path.stat().st_size + size)

    with pytest.raises(DatabaseDamaged, match=f"{path} is damaged: .*{said}.*pikarelay restore"):
        check_header(path)
    with pytest.raises(DatabaseDamaged):
        schema_state(sqlite_url(path))


def test_overwritten_page(path: Path) -> None:
    """A page that holds something else is found by reading all of the file."""
    with path.open("r+b") as stream:
        stream.seek(-8 * 4096, os.SEEK_END)
        stream.write(b"\xa5" * 4096)

    check_header(path)
    with pytest.raises(DatabaseDamaged, match=r"pikarelay\.sqlite3 is damaged"):
        check_structure(path)


def test_first_page_overwritten(path: Path) -> None:
    """A file whose table of contents is gone is damaged, and not merely unavailable."""
    with path.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\xa5" * 3996)

    with pytest.raises(DatabaseDamaged):
        schema_state(sqlite_url(path))


def test_somebody_elses(tmp_path: Path) -> None:
    """A database without our tables is nobody's to fill."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE notes (text)")

    with pytest.raises(DatabaseDamaged, match="none of pikarelay's tables"):
        migrate(sqlite_url(path))


def test_looking_changes_nothing(path: Path) -> None:
    """After a crash, file and log are byte for byte as they were once all has been looked at."""
    subprocess.run([sys.executable, "-c", LEAVES_A_LOG, str(path)], check=False)
    log = path.with_name(path.name + "-wal")
    before = path.read_bytes(), log.read_bytes()

    check_structure(path)
    assert schema_state(sqlite_url(path)).is_current

    assert before == (path.read_bytes(), log.read_bytes())
    assert len(before[1]) > 0


def test_unreadable_file(tmp_path: Path) -> None:
    """What cannot be read at all is not called damaged."""
    with pytest.raises(Unavailable):
        check_header(tmp_path / "none")
