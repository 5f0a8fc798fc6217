"""What statements are, beside those that Core has."""

from typing import NamedTuple

import sqlalchemy as sa

# SQLAlchemy adds an OFFSET for SQLite whenever there is a LIMIT, and would bind its zero.
NO_OFFSET = sa.literal_column("0", sa.Integer)


class Insert(NamedTuple):
    """
    An INSERT that says what happens on a conflict. The two engines spell it alike; Core has one class for each.

    With no `replace` a conflict on any key inserts nothing and returns no row.
    """

    table: sa.Table
    #: The key whose conflict is expected.
    key: tuple[sa.Column[str], ...] = ()
    #: The columns that a conflicting row takes over from the new one.
    replace: tuple[sa.Column[object] | sa.Column[str] | sa.Column[int], ...] = ()
    returning: sa.Column[str] | sa.Column[int] | None = None
    #: How many rows it takes at once. With several, the parameters of each have its number behind their names: `digest_0`.
    rows: int = 1


Statement = Insert | sa.Executable
