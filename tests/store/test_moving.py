"""A store that moves to PostgreSQL arrives whole, or not at all."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from pikarelay.jobs.job import Upload
from pikarelay.jobs.requests import RequestKey
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import ApiToken, CallbackSecret, Change, KeptSession, Store
from pikarelay.store import moving
from pikarelay.store.migrations import SchemaOutdated, migrate, sqlite_url
from pikarelay.store.moving import Moved, move
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.presence import announce
from pikarelay.store.root_key import KeySource, RootKey, load_root_key
from pikarelay.store.rules import MoveRefused
from pikarelay.store.schema import metadata
from pikarelay.store.sqlite import SqliteStore
from pikarelay.store.sqlite_file import DatabaseDamaged
from pikarelay.store.uploads import PIECE
from tests.postgres import PostgresServer
from tests.store.conftest import (
    LEASE,
    NOW,
    TOKEN,
    a_caller,
    a_draft,
    a_final_job,
    a_job,
    a_sent_job,
    an_account,
    an_attempt,
    ends,
    put,
    put_with_callback,
)

#: Rows in these come in orders that a language would change.
CALLERS = ("ann", "Bob", "\u00e5ke", "_x", "Zo\u00eb", "10", "9")
#: Somewhat more than two pieces.
FILE = bytes(range(256)) * (PIECE // 128) + b"end"


@pytest.fixture
def key(tmp_path: Path) -> RootKey:
    return load_root_key(KeySource(tmp_path))


@pytest.fixture
async def source(tmp_path: Path, key: RootKey) -> Path:
    """A SQLite file with something in nearly every table."""
    path = tmp_path / "pikarelay.db"
    migrate(sqlite_url(path))
    async with SqliteStore.open(path, root_key=key) as store:
        for caller_id in CALLERS:
            await store.add_caller(a_caller(caller_id, has_subscription=caller_id != "Bob"))
            await store.put_account(an_account(caller_id, "100"))
        await store.add_api_token(
            ApiToken(token_id="t1", caller_id="ann", hint="pk", created=NOW), b"\x00\xff" * 16
        )
        await put(store, *(a_job(n) for n in range(20)))
        upload = Upload(size=len(FILE), type="image/png", key="f1")
        await store.admit(
            "ann", ["100"], lambda _: a_job(30, image=upload), RequestKey(text="k", digest=b"d")
        )
        (tmp_path / "uploads").mkdir()
        (tmp_path / "uploads" / "f1").write_bytes(FILE)
        (tmp_path / "uploads" / "nobodys").write_bytes(b"no job has this file")
        await put_with_callback(store, *(a_final_job(n) for n in range(40, 50)))
        await put(store, sent := a_sent_job(60))
        await store.change(sent.job_id, lambda job: Change(job=job, message_id="m1", callback=a_draft(job)))
        await store.claim_callbacks(NOW + timedelta(hours=1), LEASE, 99, 99)
        await store.finish_callback(an_attempt(a_final_job(40), answer="n\0ul"), ends(delivered=True))
        session = KeptSession(user_id="1", session_id="s", sequence=7, resume_url="wss://x")
        await store.keep_sessions({b"d" * 32: session})
        secret = CallbackSecret(secret_id="s1", caller_id="ann", secret=Secret("whsec_x"), created=NOW)
        await store.rotate_callback_secret(secret, NOW)
    return path


async def everything(store: Store) -> list[object]:
    return [
        await store.callers(),
        await store.accounts(),
        await store.api_tokens(),
        await store.holder(b"\x00\xff" * 16),
        await store.unfinished(),
        await store.newest_jobs(1000),
        [await store.callback(f"job-{n:04}") for n in range(70)],
        [[a.started for a in await store.attempts(f"job-{n:04}")] for n in range(70)],
        await store.kept_sessions(),
        await store.callback_secrets("ann", NOW),
        await store.job_by_key("ann", "k", NOW),
        await store.known_uploads(["f1", "f2"]),
        await store.targets(1000),
        (await store.sightings("100", ["m1"])).owners,
    ]


async def raw(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_everything_arrives(source: Path, postgres: PostgresServer, key: RootKey) -> None:
    """What is read from PostgreSQL after the move is what was read from the file before it, secrets included."""
    url = postgres.new_database(is_migrated=False)
    moved = await move(source, url, source.with_name("uploads"))
    async with SqliteStore.open(source, root_key=key) as before, PostgresStore.open(url, root_key=key) as now:
        assert await everything(before) == await everything(now)
        (account,) = await now.accounts("ann")
        assert account.discord_token.reveal() == TOKEN
        pieces = [await now.file_piece("f1", number) for number in range(4)]

    assert FILE == b"".join(piece for piece in pieces if piece is not None)
    tables = {table.name for table in metadata.sorted_tables}
    of_one_place = {"migrations", "workers", "holdings", "stored_files", "file_pieces"}
    assert (tables - of_one_place) | {"files"} == {its.table for its in moved}
    assert {"callers": 7, "jobs": 32, "callbacks": 11, "files": 1} == {
        its.table: its.rows for its in moved if its.table in {"callers", "jobs", "callbacks", "files"}
    }


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


def interrupt_at(step: int) -> Callable[[str, int], None]:
    steps = iter(range(step))

    def progress(_table: str, _rows: int) -> None:
        if next(steps, None) is None:
            raise Interrupted

    return progress


async def test_interrupted_again_and_again(
    source: Path, postgres: PostgresServer, key: RootKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move that is interrupted goes on where it was, and ends with the same digests as one that was not."""
    monkeypatch.setattr(moving, "PORTION", 4)
    at_once = await move(source, postgres.new_database(), source.with_name("uploads"))
    url = postgres.new_database()
    result: list[Moved] | None = None
    interruptions = 0
    while result is None:
        try:
            result = await move(source, url, source.with_name("uploads"), interrupt_at(3))
        except Interrupted:
            interruptions += 1

    assert at_once == result
    assert interruptions > 5


async def test_used_database(source: Path, postgres: PostgresServer, key: RootKey) -> None:
    """A database that has keys of its own is refused before anything is copied."""
    url = postgres.new_database()
    async with PostgresStore.open(url, root_key=key):
        pass

    with pytest.raises(MoveRefused, match="used already"):
        await move(source, url, source.with_name("uploads"))


async def test_difference_is_told(source: Path, postgres: PostgresServer) -> None:
    """When a row there is not what it is in the file, the move says in which table."""
    url = postgres.new_database()
    await move(source, url, source.with_name("uploads"))
    await raw(url, "UPDATE callers SET name = 'Eve' WHERE caller_id = 'ann'")

    with pytest.raises(MoveRefused, match="table callers has 7 rows"):
        await move(source, url, source.with_name("uploads"))


async def test_missing_row_is_told(source: Path, postgres: PostgresServer) -> None:
    """When a row is missing there, the move does not call it done."""
    url = postgres.new_database()
    await move(source, url, source.with_name("uploads"))
    await raw(url, "DELETE FROM accounts WHERE caller_id = '_x'")

    with pytest.raises(MoveRefused, match=r"table accounts has 7 rows .* 6 with"):
        await move(source, url, source.with_name("uploads"))


async def test_server_runs(source: Path, postgres: PostgresServer) -> None:
    """A file that somebody writes to is not moved."""
    with closing(sqlite3.connect(source, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(MoveRefused, match="Stop the server first"):
            await move(source, postgres.new_database(), source.with_name("uploads"))


async def test_idle_server_runs(source: Path, postgres: PostgresServer) -> None:
    """A file is not moved while a server is there, though that writes nothing at the moment; when it has gone, it is."""
    url, uploads = postgres.new_database(), source.with_name("uploads")
    with announce(source) as server:
        server.settle()
        with pytest.raises(MoveRefused, match="Stop the server first"):
            await move(source, url, uploads)

    assert [] != await move(source, url, uploads)


async def test_nothing_to_move(tmp_path: Path, postgres: PostgresServer) -> None:
    """A file that is not there, is empty, or has another schema, is refused by name."""
    with pytest.raises(MoveRefused, match=r"no database at .*none\.db"):
        await move(tmp_path / "none.db", postgres.new_database(), tmp_path)
    (tmp_path / "empty.db").touch()
    with pytest.raises(DatabaseDamaged, match=r"empty\.db"):
        await move(tmp_path / "empty.db", postgres.new_database(), tmp_path)
    migrate(sqlite_url(tmp_path / "old.db"))
    with closing(sqlite3.connect(tmp_path / "old.db")) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(SchemaOutdated, match=r"old\.db"):
        await move(tmp_path / "old.db", postgres.new_database(), tmp_path)
