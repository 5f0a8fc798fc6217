"""Whether one schema only adds to another, so that code which was made for the first can work on the second. Looks at SQLite files."""

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine.reflection import Inspector


class Column(NamedTuple):
    """What an INSERT and a SELECT have to do with."""

    type: str
    nullable: bool
    default: str | None
    is_key: bool

    @property
    def may_be_left_out(self) -> bool:
        return not self.is_key and (self.nullable or self.default is not None)


class Shape(NamedTuple):
    """What a schema allows and forbids. By table."""

    columns: dict[str, dict[str, Column]]
    #: Sets of columns that no two rows share, with the condition of those that are asked for by a partial index.
    unique: dict[str, set[str]]
    #: Rules that rows have to follow.
    checks: dict[str, set[str]]
    #: Tables that refer to this one and say nothing of what is to happen when a row goes.
    held_by: dict[str, set[str]]
    triggers: set[str]


def shape_of(connection: sa.Connection) -> Shape:
    inspector = sa.inspect(connection)
    tables = [table for table in inspector.get_table_names() if table != "alembic_version"]
    held_by: dict[str, set[str]] = {table: set() for table in tables}
    for table in tables:
        for key in inspector.get_foreign_keys(table):
            if key["options"].get("ondelete") not in {"CASCADE", "SET NULL"}:
                held_by[key["referred_table"]].add(table)
    triggers = connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
    return Shape(
        columns={table: _columns(inspector, table) for table in tables},
        unique={table: _unique(inspector, table) for table in tables},
        checks={
            table: {check["sqltext"] for check in inspector.get_check_constraints(table)} for table in tables
        },
        held_by=held_by,
        triggers=set(triggers.scalars()),
    )


def _columns(inspector: Inspector, table: str) -> dict[str, Column]:
    return {
        column["name"]: Column(
            str(column["type"]), column["nullable"], column["default"], bool(column["primary_key"])
        )
        for column in inspector.get_columns(table)
    }


def _unique(inspector: Inspector, table: str) -> set[str]:
    constraints = {", ".join(found["column_names"]) for found in inspector.get_unique_constraints(table)}
    indexes = {
        f"{', '.join(str(name) for name in found['column_names'])} {found.get('dialect_options', {})}"
        for found in inspector.get_indexes(table)
        if found["unique"]
    }
    return constraints | indexes


def hindrances(before: Shape, after: Shape) -> list[str]:
    """Return what would hinder code that knows only `before`, in words."""
    found = [f"table {table} is gone" for table in before.columns if table not in after.columns]
    for table in before.columns.keys() & after.columns.keys():
        were, are = before.columns[table], after.columns[table]
        found += [f"{table}.{name} is gone" for name in were.keys() - are.keys()]
        found += [
            f"{table}.{name} is another" for name in were.keys() & are.keys() if were[name] != are[name]
        ]
        found += [
            f"{table}.{name} has to be given"
            for name in are.keys() - were.keys()
            if not are[name].may_be_left_out
        ]
        for what, earlier, later in (
            ("unique", before.unique, after.unique),
            ("a rule", before.checks, after.checks),
            ("held by", before.held_by, after.held_by),
        ):
            found += [f"{table}: {what}: {each}" for each in later[table] ^ earlier[table]]
    return sorted(found + [f"trigger {name}" for name in before.triggers ^ after.triggers])
