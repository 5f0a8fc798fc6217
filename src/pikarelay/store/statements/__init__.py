"""
Every statement, one per verb, as SQLAlchemy Core: written once, compiled to each engine's SQL text at start-up.

`STATEMENTS` maps the names that `pikarelay.store.transactions` yields to these. Bound parameters carry the names of
their columns, except in an UPDATE's condition, where Core reserves those names: there they begin with `this_`.

`with_for_update` is spelt out where PostgreSQL needs the row lock. SQLAlchemy leaves it out for SQLite, where a write
transaction is alone anyway.
"""

import sqlalchemy as sa

from pikarelay.store.statements import (
    answers,
    callbacks,
    callers,
    figures,
    files,
    health,
    jobs,
    mirror,
    orphans,
    ownership,
    sessions,
    vault,
)
from pikarelay.store.statements.insert import Insert, Statement

__all__ = ["STATEMENTS", "Insert", "Statement"]

STATEMENTS: dict[str, Statement] = {
    name: value
    for module in (
        callers,
        figures,
        jobs,
        answers,
        orphans,
        sessions,
        health,
        callbacks,
        mirror,
        files,
        ownership,
        vault,
    )
    for name, value in vars(module).items()
    if not name.startswith("_") and isinstance(value, Insert | sa.Executable)
}
