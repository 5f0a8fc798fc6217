"""
Moves a store from SQLite to PostgreSQL, table by table, in portions, and compares both in the end.

No server may be there, for one that is idle now would go on with the file afterwards; one that comes meanwhile waits. The file is
locked for all of it, so nobody else adds to it either. Each portion is one transaction there, and rows go over in
the order of their primary keys, so the last key that is there says how far a move has come that was interrupted. Both engines
are asked for the order of the keys' bytes, for the order of a language differs between them.

What counts in the end is that both hold the same: as many rows in each table, and the same digest over all of them.
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec
import sqlalchemy as sa

from pikarelay.store.migrations import DatabaseUnreachable, check_own_schema, migrate, sqlite_url
from pikarelay.store.presence import announce
from pikarelay.store.rows import Row
from pikarelay.store.rules import MoveRefused
from pikarelay.store.schema import data_keys, metadata
from pikarelay.store.uploads import PIECE

#: Rows of one portion. A move that is interrupted repeats one portion at most.
PORTION = 500


#: Those that say who is alive, who holds what and how the database came to be are of one place.
_TABLES = [
    table
    for table in metadata.sorted_tables
    if table.name not in {"migrations", "workers", "holdings", "stored_files", "file_pieces"}
]


class Moved(NamedTuple):
    """A table that is the same in both databases."""

    table: str
    rows: int
    #: SHA-256 over all rows, in hexadecimal digits.
    digest: str


#: Is told of each portion: the table, and how many of its rows are there by then.
Progress = Callable[[str, int], None]


async def move(
    source: Path, target: str, uploads: Path, progress: Progress = lambda _table, _rows: None
) -> list[Moved]:
    """
    Copy what the SQLite file and the folder `uploads` hold to the PostgreSQL database `target`, or go on where the last try ended.

    Raises `MoveRefused`, `SchemaOutdated` for either when it has not our schema, and `DatabaseUnreachable`.
    """
    if not await asyncio.to_thread(source.exists):
        raise MoveRefused(f"There is no database at {source}.")
    # Of what a newer version keeps, we would leave behind what we do not know.
    check_own_schema(sqlite_url(source))
    with announce(source) as presence:
        if not presence.is_alone:
            raise MoveRefused(f"A server is at work on {source}. Stop the server first.")
        migrate(target)
        check_own_schema(target)
        async with _connected(target) as there, _locked(source) as here:
            await _check_target(here, there)
            for table in _TABLES:
                await _copy(here, there, table, progress)
            files = await _move_files(here, there, uploads, progress)
            return [*[await _compare(here, there, table) for table in _TABLES], files]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    try:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise DatabaseUnreachable(url, error) from error


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=2)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise MoveRefused(f"{path} is in use ({error}). Stop the server first.") from None
        yield connection
        connection.execute("ROLLBACK")


async def _check_target(here: sqlite3.Connection, there: Any) -> None:
    """Refuse a database that is somebody else's: its secrets are sealed by keys that the file does not know."""
    known = set(_rows(here, data_keys))
    if any(row not in known for row in [row async for row in _rows_there(there, data_keys)]):
        raise MoveRefused(
            "The PostgreSQL database has been used already: it has keys of its own. Move into an empty database."
        )


async def _copy(here: sqlite3.Connection, there: Any, table: sa.Table, progress: Progress) -> None:
    columns = [column.name for column in table.c]
    key = await _last_key(there, table)
    done = await there.fetchval(f"SELECT count(*) FROM {_quoted(table.name)}")
    while portion := _portion(here, table, key):
        # One statement, and so one transaction.
        await there.copy_records_to_table(table.name, records=portion, columns=columns)
        key = _key_of(table, portion[-1])
        done += len(portion)
        progress(table.name, done)


async def _last_key(there: Any, table: sa.Table) -> Row | None:
    keys = ", ".join(_quoted(column.name) for column in table.primary_key)
    query = f"SELECT {keys} FROM {_quoted(table.name)} ORDER BY {_order(table, backwards=True)} LIMIT 1"
    found = await there.fetchrow(query)
    return None if found is None else tuple(found)


def _portion(here: sqlite3.Connection, table: sa.Table, after: Row | None) -> list[Row]:
    keys = [_quoted(column.name) for column in table.primary_key]
    where = "" if after is None else f"WHERE ({', '.join(keys)}) > ({', '.join('?' * len(keys))})"
    found = here.execute(
        f"SELECT {_columns(table)} FROM {_quoted(table.name)} {where} ORDER BY {', '.join(keys)} LIMIT {PORTION}",
        after or (),
    )
    return [_as_there(table, row) for row in found]


def _rows(here: sqlite3.Connection, table: sa.Table) -> Iterator[Row]:
    keys = ", ".join(_quoted(column.name) for column in table.primary_key)
    for row in here.execute(f"SELECT {_columns(table)} FROM {_quoted(table.name)} ORDER BY {keys}"):
        yield _as_there(table, row)


async def _rows_there(there: Any, table: sa.Table) -> AsyncIterator[Row]:
    query = f"SELECT {_columns(table)} FROM {_quoted(table.name)} ORDER BY {_order(table)}"
    async with there.transaction(isolation="repeatable_read", readonly=True):
        async for row in there.cursor(query, prefetch=PORTION):
            yield tuple(row)


async def _compare(here: sqlite3.Connection, there: Any, table: sa.Table) -> Moved:
    ours, its = _Digest(), _Digest()
    for row in _rows(here, table):
        ours.add(row)
    async for row in _rows_there(there, table):
        its.add(row)
    if (ours.rows, ours.hexdigest) != (its.rows, its.hexdigest):
        raise MoveRefused(
            f"The table {table.name} has {ours.rows} rows with the digest {ours.hexdigest[:12]} in the file, and"
            f" {its.rows} with {its.hexdigest[:12]} in PostgreSQL. Somebody else has written there: move into an empty"
            " database. The file is as it was."
        )
    return Moved(table.name, ours.rows, ours.hexdigest)


async def _move_files(here: sqlite3.Connection, there: Any, uploads: Path, progress: Progress) -> Moved:
    """Copy the files of jobs into the database. A job whose file is gone from the disk has none there either."""
    keys = sorted(
        key for (key,) in here.execute("SELECT upload_key FROM uploads") if (uploads / key).exists()
    )
    ours, its = _Digest(), _Digest()
    for number, key in enumerate(keys, 1):
        content = await asyncio.to_thread((uploads / key).read_bytes)
        ours.add((key, content))
        if await _stored(there, key) != content:
            async with there.transaction():
                await there.execute("DELETE FROM stored_files WHERE upload_key = $1", key)
                finished = int((uploads / key).stat().st_mtime * 1000)
                await there.execute(
                    "INSERT INTO stored_files VALUES ($1, $2, $3)", key, len(content), finished
                )
                pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
                await there.copy_records_to_table(
                    "file_pieces", records=[(key, place, piece) for place, piece in enumerate(pieces)]
                )
            progress("files", number)
        its.add((key, await _stored(there, key)))
    if ours.hexdigest != its.hexdigest:
        raise MoveRefused(f"Not every file of {uploads} arrived in PostgreSQL. Run the move again.")
    return Moved("files", ours.rows, ours.hexdigest)


async def _stored(there: Any, key: str) -> bytes:
    found = await there.fetch("SELECT piece FROM file_pieces WHERE upload_key = $1 ORDER BY number", key)
    return b"".join(piece for (piece,) in found)


class _Digest:
    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.rows = 0

    def add(self, row: Row) -> None:
        self.rows += 1
        self._digest.update(msgspec.msgpack.encode(row))

    @property
    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _as_there(table: sa.Table, row: Sequence[Any]) -> Row:
    """Return a row of SQLite's with PostgreSQL's types: it has booleans, and no NUL in its texts."""
    return tuple(_value(column, value) for column, value in zip(table.c, row, strict=True))


def _value(column: "sa.Column[Any]", value: Any) -> Any:
    if isinstance(column.type, sa.Boolean) and value is not None:
        return bool(value)
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _key_of(table: sa.Table, row: Row) -> Row:
    places: Mapping[str, int] = {column.name: place for place, column in enumerate(table.c)}
    return tuple(row[places[column.name]] for column in table.primary_key)


def _columns(table: sa.Table) -> str:
    return ", ".join(_quoted(column.name) for column in table.c)


def _order(table: sa.Table, *, backwards: bool = False) -> str:
    """Return PostgreSQL's words for the order that SQLite has by itself."""
    end = " DESC" if backwards else ""
    return ", ".join(
        _quoted(column.name) + (' COLLATE "C"' if isinstance(column.type, sa.Text) else "") + end
        for column in table.primary_key
    )


def _quoted(name: str) -> str:
    # Our own names; one of them is a word of SQL.
    return f'"{name}"'
