"""
A SQLite database as a file: is it whole, and a copy of it. Beside `sqlite`, the only module that knows the driver.

Looking changes nothing: the file is opened for reading, also where a crash has left a log that belongs to it.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from pikarelay.errors import Unavailable

#: The header that every SQLite file begins with, and where in it the size of a page and the number of pages stand.
_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100
#: Up to this size the whole file is read before a server starts on it: a third of a second for each 100 MiB.
READ_WHOLE_BELOW = 1024 * 1024 * 1024


class DatabaseDamaged(Exception):
    """The database is not whole. The message names the file, and says what to do."""

    def __init__(self, path: Path, finding: str) -> None:
        super().__init__(
            f"The database {path} is damaged: {finding}. Nothing in it was changed. Put a backup in its place with"
            f" `pikarelay restore`, or save what can be read with `sqlite3 {path} .recover`."
        )


def check_header(path: Path) -> None:
    """Raise `DatabaseDamaged` when the file is none of SQLite's, or was cut short. Takes no time."""
    try:
        with path.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
            size = stream.seek(0, 2)
    except OSError as error:
        raise Unavailable(f"The database {path} cannot be read: {error.strerror}.") from error
    if not header:
        raise DatabaseDamaged(path, "the file is empty")
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise DatabaseDamaged(path, "the file is not a database")
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    is_counted = header[24:28] == header[92:96]
    if is_counted and size < page * pages and not _log_of(path).exists():
        raise DatabaseDamaged(path, f"the file has {size} bytes, and should have {page * pages}")


def check_structure(path: Path) -> None:
    """Raise `DatabaseDamaged` when what the file holds does not fit together. Reads all of it."""
    try:
        with closing(open_to_read(path)) as connection:
            ((finding,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise DatabaseDamaged(path, str(error)) from error
        raise Unavailable(f"The database {path} cannot be read: {error}.") from error
    if finding != "ok":
        raise DatabaseDamaged(path, " ".join(str(finding).split()))


def copy_database(source: Path, target: Path) -> None:
    """
    Copy the database as it is at this moment into a file that is empty. Others may go on writing meanwhile.

    Raises `DatabaseDamaged`, and OSError when the target cannot take it.
    """
    try:
        with closing(open_to_read(source)) as read, closing(sqlite3.connect(target)) as write:
            # All in one step: it is one snapshot, which in WAL no writer waits for, and nobody's write begins it anew.
            read.backup(write, pages=-1)
            # Else the copy would take a log of its own, from whoever only looks at it.
            write.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise DatabaseDamaged(source, str(error)) from error
        raise OSError(None, str(error), str(target)) from error


def upload_keys(path: Path) -> tuple[str, ...]:
    """Return the keys of the uploads that jobs in the database have."""
    with closing(open_to_read(path)) as connection:
        found = connection.execute("SELECT upload_key FROM uploads ORDER BY upload_key").fetchall()
    return tuple(key for (key,) in found)


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open the file so that nothing of it can be changed."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file is no database, or not whole."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _log_of(path: Path) -> Path:
    """Return the write-ahead log, which may hold pages that the file has not got yet."""
    return path.with_name(path.name + "-wal")
