"""kill -9 in the middle of a migration."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from pikarelay.store.migrations import NEEDED, migrate, schema_state, sqlite_url
from tests.acceptance.servers import PATIENCE
from tests.postgres import PostgresServer, apart
from tests.store.test_migrations import objects_of, on, upgrade, what_is_there

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(240)
def test_row_39_migration(tmp_path: Path) -> None:
    """A migration that is killed at any of its steps leaves the schema as it was or as it will be, and begins anew."""
    source = tmp_path / "first.sqlite3"
    migrate(sqlite_url(source))
    fresh = objects_of(source)
    source.unlink()
    os.close(os.open(source, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(sqlite_url(source))
    with engine.begin() as connection:
        at_first_schema(connection)
    engine.dispose()
    found = killed_migrations(str(source), str(tmp_path))
    for path in (tmp_path / f"{number}.sqlite3" for number in range(1, len(found) + 1)):
        migrate(sqlite_url(path))

        assert fresh == objects_of(path)
        assert NEEDED == schema_state(sqlite_url(path)).current
        with closing(sqlite3.connect(path)) as raw:
            assert [("ok",)] == raw.execute("PRAGMA integrity_check").fetchall()
            assert [("100",)] == raw.execute("SELECT channel FROM channels").fetchall()

    assert len(found) > 5
    assert {"0001", NEEDED} == set(found)


@pytest.mark.timeout(240)
def test_row_39_migration_on_postgresql(postgres: PostgresServer) -> None:
    """As on SQLite; it stays as it was until COMMIT, and then is as it will be."""
    url = postgres.new_database(is_migrated=False)
    apart(on(url, at_first_schema))
    found = killed_migrations(url)
    migrate(url)

    assert len(found) > 5
    assert ["0001"] * (len(found) - 1) + [NEEDED] == found
    assert apart(on(postgres.new_database(), what_is_there)) == apart(on(url, what_is_there))
    assert [("100",)] == postgres.read(url, "SELECT channel FROM channels")


def killed_migrations(*target: str) -> list[str]:
    """Kill a migration at each of its steps; return the schema that each left."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.killed_migration", *target],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=6 * PATIENCE,
    )  # fmt: skip
    return done.stdout.split()


def at_first_schema(connection: sa.Connection) -> None:
    """Make a database as the first version made it, with something in it."""
    upgrade(connection, "0001")
    connection.execute(sa.text("INSERT INTO channels VALUES ('100')"))
