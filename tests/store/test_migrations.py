"""The migrations build the schema that the code expects."""

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.pool import NullPool

from pikarelay.store.migrations import (
    NEEDED,
    SchemaOutdated,
    check_schema,
    migrate,
    schema_state,
    sqlite_url,
)
from pikarelay.store.schema import metadata


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
    config = Config()
    config.set_main_option("script_location", "pikarelay.store:migrations")
    config.set_main_option("path_separator", "os")

    assert ScriptDirectory.from_config(config).get_current_head() == NEEDED


def test_again(tmp_path: Path) -> None:
    """Migrating what is current changes nothing."""
    path = tmp_path / "a.db"
    migrate(sqlite_url(path))
    before = objects_of(path)
    migrate(sqlite_url(path))

    assert before == objects_of(path)


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
