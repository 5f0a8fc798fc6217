"""The migrations build the schema that the code expects."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import asyncpg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from pikarelay.store.migrations import (
    NEEDED,
    SchemaOutdated,
    alembic_config,
    check_schema,
    migrate,
    schema_state,
    sqlite_url,
)
from pikarelay.store.schema import metadata
from tests.postgres import PostgresServer, apart

T = TypeVar("T")

#: Whether somebody waits for a table that is held.
WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"


def objects_of(path: Path) -> dict[str, str]:
    """Return name to SQL text of all that was created, but for Alembic's own table."""
    with closing(sqlite3.connect(path)) as raw:
        found = raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: " ".join(sql.split()) for name, sql in found if name != "alembic_version"}


def test_from_nothing(tmp_path: Path) -> None:
    """Migrating from nothing builds, text for text, what the tables' definitions say."""
    migrate(sqlite_url(tmp_path / "migrated.db"))
    engine = sa.create_engine(sqlite_url(tmp_path / "created.db"), poolclass=NullPool)
    metadata.create_all(engine)

    assert objects_of(tmp_path / "created.db") == objects_of(tmp_path / "migrated.db")


def test_nothing_left_to_migrate(tmp_path: Path) -> None:
    """Alembic finds no difference between a migrated database and the tables' definitions."""
    url = sqlite_url(tmp_path / "a.db")
    migrate(url)
    with sa.create_engine(url, poolclass=NullPool).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_state(tmp_path: Path) -> None:
    """The state goes from nothing to current, and asking makes no file."""
    path = tmp_path / "folder" / "a.db"
    url = sqlite_url(path)

    assert schema_state(url).current is None
    assert not path.exists()
    with pytest.raises(SchemaOutdated, match="at schema none"):
        check_schema(url)
    migrate(url)
    assert schema_state(url).is_current
    check_schema(url)


def test_needed_is_the_last() -> None:
    """What the code needs is the last of the scripts."""
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == NEEDED


def test_again(tmp_path: Path) -> None:
    """Migrating what is current changes nothing."""
    path = tmp_path / "a.db"
    migrate(sqlite_url(path))
    before = objects_of(path)
    migrate(sqlite_url(path))

    assert before == objects_of(path)


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    """A database of the first version is brought to this one with its jobs, and has no copies."""
    path = tmp_path / "a.db"
    url = sqlite_url(path)
    migrate_to(url, "0001")
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("INSERT INTO channels VALUES ('1')")
        raw.execute(
            "INSERT INTO jobs VALUES ('job', 'ann', '1', 'pika-create', 'completed', 1, 2, '9', 'settled',"
            " NULL, NULL, NULL, x'00', x'7b7d', 0)"
        )
    migrate(url)
    with closing(sqlite3.connect(path)) as raw:
        assert [("job", "completed")] == raw.execute("SELECT job_id, status FROM jobs").fetchall()
        assert [] == raw.execute("SELECT * FROM mirror_copies").fetchall()
    check_schema(url)


def test_tokens_keep_what_they_were_good_for(tmp_path: Path) -> None:
    """Tokens of an older version are good for everything and have no end, and of two callers of a name one gets another."""
    path = tmp_path / "a.db"
    url = sqlite_url(path)
    migrate_to(url, "0004")
    with closing(sqlite3.connect(path)) as raw, raw:
        for caller_id in ("a", "b", "c"):
            name = "ann" if caller_id != "b" else "bob"
            raw.execute("INSERT INTO callers VALUES (?, ?, 1, NULL, 1, NULL)", (caller_id, name))
        raw.execute("INSERT INTO api_tokens VALUES ('t', x'00', 'a', 'pkr_', 1, NULL)")
    migrate(url)
    with closing(sqlite3.connect(path)) as raw:
        tokens = raw.execute("SELECT token_id, scopes, expires, last_used FROM api_tokens").fetchall()
        names = raw.execute("SELECT caller_id, name FROM callers ORDER BY caller_id").fetchall()

    assert [("t", "administer use", None, None)] == tokens
    assert [("a", "ann"), ("b", "bob"), ("c", "ann c")] == names
    check_schema(url)


def migrate_to(url: str, revision: str) -> None:
    engine = sa.create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        upgrade(connection, revision)
    engine.dispose()


def upgrade(connection: sa.Connection, revision: str) -> None:
    """Bring a database to one of the schemas that it has had."""
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def test_newer_database_is_left_alone(tmp_path: Path) -> None:
    """A database of a newer version is refused, by name, and not touched."""
    path = tmp_path / "a.db"
    migrate(sqlite_url(path))
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaOutdated, match="9999"):
        migrate(sqlite_url(path))
    assert schema_state(sqlite_url(path)).current == "9999"


def test_processes_that_start_together(tmp_path: Path) -> None:
    """Several that migrate one new database at once all succeed, and it is migrated once."""
    url = sqlite_url(tmp_path / "a.db")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [url] * 4))

    assert schema_state(url).is_current


def test_database_is_its_owners_alone(tmp_path: Path) -> None:
    """A new database can be read by its owner only."""
    migrate(sqlite_url(tmp_path / "a.db"))

    assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o600


class TestPostgres:
    """The same scripts on the other engine."""

    def test_from_nothing(self, postgres: PostgresServer) -> None:
        """A migrated database differs in nothing from one that is made of the tables' definitions."""
        migrated, created = (postgres.new_database(is_migrated=False) for _ in range(2))
        migrate(migrated)
        apart(on(created, metadata.create_all))

        assert apart(on(migrated, what_is_there)) == apart(on(created, what_is_there))
        assert apart(on(migrated, differences)) == []

    def test_processes_that_start_together(self, postgres: PostgresServer) -> None:
        """Several that migrate one new database at once all succeed."""
        url = postgres.new_database(is_migrated=False)
        assert schema_state(url).current is None
        code = "import sys; from pikarelay.store.migrations import migrate; migrate(sys.argv[1])"
        # Processes, for Alembic has one context in each.
        started = [subprocess.Popen([sys.executable, "-c", code, url]) for _ in range(4)]

        assert [0] * 4 == [process.wait(50) for process in started]

        assert schema_state(url).is_current

    def test_nobody_waits_behind_it(self, postgres: PostgresServer) -> None:
        """A migration that has to wait for a table lets everybody else at it meanwhile, and is done when its turn comes."""
        url = postgres.new_database(is_migrated=False)
        apart(on(url, lambda connection: upgrade(connection, "0004")))
        reading = "SELECT count(*) FROM api_tokens"
        with ThreadPoolExecutor(1) as pool:
            migrating = apart(_while_reading(url, reading, lambda: pool.submit(migrate, url)))
            migrating.result(50)

        assert schema_state(url).is_current

    def test_newer_database_is_left_alone(self, postgres: PostgresServer) -> None:
        """A database of a newer version is refused, by name."""
        url = postgres.new_database()
        apart(
            on(url, lambda c: c.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")).rowcount)
        )

        with pytest.raises(SchemaOutdated, match="9999"):
            migrate(url)


async def _while_reading(url: str, statement: str, begin: Callable[[], T]) -> T:
    """Hold a table by reading it; begin something that wants it whole; return what was begun once others had it twice meanwhile."""
    holder, other = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        async with holder.transaction():
            await holder.fetchval(statement)
            begun = begin()
            for _ in range(2):
                async with asyncio.timeout(50):
                    while not await other.fetchval(WAITS):  # noqa: ASYNC110 -- it tells nobody
                        await asyncio.sleep(0.01)
                    await other.fetchval(statement)
    finally:
        await holder.close()
        await other.close()
    return begun


async def on(url: str, work: Callable[[sa.Connection], T]) -> T:
    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=NullPool, async_creator=lambda: asyncpg.connect(url)
    )
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def what_is_there(connection: sa.Connection) -> list[tuple[str, str]]:
    """Return all columns and indexes as the server defines them, but for Alembic's own table."""
    columns = connection.execute(
        sa.text(
            "SELECT table_name || '.' || column_name, concat_ws(' ', data_type, is_nullable, column_default)"
            " FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
        )
    )
    indexes = connection.execute(
        sa.text(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        )
    )
    return sorted((name, text) for found in (columns, indexes) for name, text in found)


def differences(connection: sa.Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))
