"""What the migrations say of older code is true, as far as the schema can tell."""

import re
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.pool import NullPool

from pikarelay.store.migrations import sqlite_url
from tests.store.additions import Shape, hindrances, shape_of

CONFIG = Config()
CONFIG.set_main_option("script_location", "pikarelay.store:migrations")
CONFIG.set_main_option("path_separator", "os")
SCRIPTS: list[ModuleType] = [
    script.module for script in reversed(list(ScriptDirectory.from_config(CONFIG).walk_revisions()))
]
REVISIONS = [script.revision for script in SCRIPTS]


def shapes(path: Path) -> dict[str, Shape]:
    """Return the shape of a database after each of the scripts."""
    engine = sa.create_engine(sqlite_url(path), poolclass=NullPool)
    found = {}
    for revision in REVISIONS:
        with engine.begin() as connection:
            CONFIG.attributes["connection"] = connection
            command.upgrade(CONFIG, revision)
            found[revision] = shape_of(connection)
    return found


def test_every_script_says() -> None:
    """Every script names the oldest code that may work on what it leaves: its own, or an earlier one since which it only adds."""
    for script in SCRIPTS:
        assert script.oldest_code in REVISIONS, script.revision
        assert script.oldest_code <= script.revision, script.revision
        assert re.fullmatch(r"\d{4}", script.revision)


def test_what_they_say_holds(tmp_path: Path) -> None:
    """Between the oldest code that a script names and the script itself, the schema has only been added to."""
    at = shapes(tmp_path / "a.db")
    for script in SCRIPTS:
        assert [] == hindrances(at[script.oldest_code], at[script.revision])


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE owner ADD COLUMN b TEXT",
        "ALTER TABLE owner ADD COLUMN b TEXT NOT NULL DEFAULT ''",
        "CREATE TABLE other (a TEXT NOT NULL UNIQUE, b TEXT CHECK (b > 0))",
        "CREATE TABLE other (a TEXT, FOREIGN KEY(a) REFERENCES owner (id) ON DELETE CASCADE)",
        "CREATE INDEX more ON owner (name)",
    ],
)
def test_an_addition(sql: str) -> None:
    """What older code need not know of does not hinder it."""
    assert [] == after(sql)


@pytest.mark.parametrize(
    ("sql", "hindrance"),
    [
        ("DROP TABLE owned", "table owned is gone"),
        ("ALTER TABLE owner DROP COLUMN name", "owner.name is gone"),
        ("ALTER TABLE owner RENAME COLUMN name TO title", "owner.name is gone"),
        ("ALTER TABLE owned RENAME TO kept", "table owned is gone"),
        ("CREATE UNIQUE INDEX one_name ON owner (name)", "owner: unique: name {}"),
        ("DROP INDEX one_place", "owner: unique: place {}"),
        ("CREATE TABLE other (a TEXT, FOREIGN KEY(a) REFERENCES owner (id))", "owner: held by: other"),
        ("CREATE TRIGGER late AFTER INSERT ON owner BEGIN DELETE FROM owned; END", "trigger late"),
        ("DROP TABLE owned; CREATE TABLE owned (owner TEXT NOT NULL)", "owned.owner is another"),
        ("DROP TABLE owned; CREATE TABLE owned (owner TEXT, n TEXT NOT NULL)", "owned.n has to be given"),
        ("DROP TABLE owned; CREATE TABLE owned (owner TEXT CHECK (owner > 0))", "owned: a rule: owner > 0"),
    ],
)
def test_a_hindrance(sql: str, hindrance: str) -> None:
    """What older code would stumble over is found, and named."""
    assert hindrance in after(sql)


def after(sql: str) -> list[str]:
    """Return what hinders code of a small schema after this was done to it."""
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        for statement in (
            "CREATE TABLE owner (id TEXT PRIMARY KEY, name TEXT, place TEXT)",
            "CREATE UNIQUE INDEX one_place ON owner (place)",
            "CREATE TABLE owned (owner TEXT, FOREIGN KEY(owner) REFERENCES owner (id) ON DELETE CASCADE)",
        ):
            connection.exec_driver_sql(statement)
        before = shape_of(connection)
        for statement in [sql] if "TRIGGER" in sql else sql.split("; "):
            connection.exec_driver_sql(statement)
        return hindrances(before, shape_of(connection))
