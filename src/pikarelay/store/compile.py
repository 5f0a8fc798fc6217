"""
From Core statements to one engine's SQL text, once, at start-up: a statement that cannot be spelt fails there.

SQLAlchemy's own execution costs several times what the statement does, so the runners hand the text to the driver.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from pikarelay.store.statements import STATEMENTS, Insert, Statement


class Sql(NamedTuple):
    """A statement as a driver takes it."""

    text: str
    #: The parameters in the order of the driver's numbered places. Empty where the driver takes names.
    places: tuple[str, ...]


def for_sqlite() -> Mapping[str, Sql]:
    """Compile with named parameters, as `sqlite3` takes them."""
    return _compile_all(sqlite.dialect(paramstyle="named"), sqlite.insert)


def for_postgresql() -> Mapping[str, Sql]:
    """Compile with numbered parameters, as asyncpg takes them."""
    # Here, for it takes two MiB that a server on SQLite has no use for.
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

    dialect: sa.Dialect = asyncpg_dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy left it untyped
    return _compile_all(dialect, postgresql.insert)


def _compile_all(dialect: sa.Dialect, insert: Callable[[sa.Table], Any]) -> Mapping[str, Sql]:
    return {name: _compile(name, statement, dialect, insert) for name, statement in STATEMENTS.items()}


def _compile(name: str, statement: Statement, dialect: sa.Dialect, insert: Callable[[sa.Table], Any]) -> Sql:
    core = _insert(statement, insert) if isinstance(statement, Insert) else statement
    compiled = core.compile(dialect=dialect)  # type: ignore[attr-defined]  # every Executable we have is a ClauseElement
    constants = [key for key, value in compiled.params.items() if value is not None]
    if constants:
        # The runners pass what the transaction yields and nothing else.
        raise ValueError(f"statement {name} binds the constants {constants}: spell them as literals")
    return Sql(str(compiled), tuple(compiled.positiontup or ()))


def _insert(statement: Insert, insert: Callable[[sa.Table], Any]) -> sa.Executable:
    core = insert(statement.table)
    if statement.rows > 1:
        core = core.values(
            [
                {
                    column.name: sa.bindparam(f"{column.name}_{n}", type_=column.type)
                    for column in statement.table.c
                }
                for n in range(statement.rows)
            ]
        )
    if statement.replace:
        core = core.on_conflict_do_update(
            index_elements=list(statement.key),
            set_={column.name: core.excluded[column.name] for column in statement.replace},
        )
    else:
        core = core.on_conflict_do_nothing()
    if statement.returning is not None:
        core = core.returning(statement.returning)
    result: sa.Executable = core
    return result
