"""What is counted for whoever watches over the server: one statement for all of it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam as p

from pikarelay.jobs.job import PressPhase
from pikarelay.store import schema as s

_count = sa.func.count()


def _text(value: str) -> sa.ColumnElement[str]:
    return sa.literal_column(f"'{value}'", sa.Text)


def _counted(
    kind: str, name: sa.ColumnElement[str], *where: sa.ColumnElement[bool]
) -> sa.Select[str, str, int]:
    return sa.select(_text(kind), name, _count).where(*where).group_by(name)


_is_waiting = s.one_of(s.jobs.c.phase, [PressPhase.WAITING.value])
_targets = s.callback_targets.c
_is_paused = _targets.paused_until > p("now")
_health = sa.case(
    (_targets.disabled.is_not(None), _text("disabled")),
    (_is_paused, _text("paused")),
    (_targets.failing_since.is_not(None), _text("failing")),
    else_=_text("healthy"),
)
# For each target that may be tried, one look into the index that has its callbacks by when they are due. A callback that
# is being tried has its lease's end there, and one that will not be tried has nothing.
_first_due = (
    sa.select(sa.func.min(s.callbacks.c.due))
    .where(s.callbacks.c.target == _targets.target, s.callbacks.c.due.is_not(None))
    .scalar_subquery()
)
_open_targets = sa.select(_text("oldest_due"), _text(""), sa.func.min(_first_due)).where(
    _targets.disabled.is_(None), sa.or_(_targets.paused_until.is_(None), ~_is_paused)
)

figures: sa.CompoundSelect[Any] = sa.union_all(
    _counted("jobs", s.jobs.c.status, s.unfinished),
    _counted("presses", s.jobs.c.phase, s.unfinished, _is_waiting),
    _counted("callbacks", s.callbacks.c.state, s.is_undelivered),
    sa.select(_text("targets"), _health.label("health"), _count).group_by(sa.literal_column("health")),
    _open_targets,
)
