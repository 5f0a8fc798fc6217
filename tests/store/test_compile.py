"""Every statement can be spelt for both engines."""

import re

import pytest
import sqlalchemy as sa

from pikarelay.store import compile as compiled
from pikarelay.store.statements import STATEMENTS


def test_every_statement_on_both_engines() -> None:
    """Each statement compiles for SQLite and for PostgreSQL."""
    assert set(STATEMENTS) == set(compiled.for_sqlite()) == set(compiled.for_postgresql())
    assert len(STATEMENTS) > 30


def test_parameters_have_one_name_on_both_engines() -> None:
    """A transaction's parameters fit both engines: the names of one are the places of the other."""
    sqlite, postgresql = compiled.for_sqlite(), compiled.for_postgresql()
    for name in STATEMENTS:
        places = postgresql[name].places

        assert set(places) == set(re.findall(r":(\w+)", sqlite[name].text)), name
        assert all(f"${n}" in postgresql[name].text for n in range(1, len(places) + 1)), name


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("job_to_change", "FOR UPDATE"),
        ("held_job_to_change", "FOR UPDATE OF jobs FOR SHARE OF holdings"),
        ("fence", "FOR SHARE"),
        ("due_fresh_targets", "FOR UPDATE SKIP LOCKED"),
        ("due_failing_targets", "FOR UPDATE SKIP LOCKED"),
        ("target_to_change", "FOR UPDATE"),
        ("callback_to_finish", "FOR UPDATE"),
    ],
)
def test_locks(name: str, lock: str) -> None:
    """What a transaction decides about is locked on PostgreSQL; SQLite knows no row locks and gets none."""
    assert lock in compiled.for_postgresql()[name].text
    assert " FOR " not in compiled.for_sqlite()[name].text


def test_bound_constant_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement with a constant that would be bound, and that no runner would pass, fails at start-up."""
    monkeypatch.setitem(STATEMENTS, "bad", sa.select(sa.literal("x")))

    with pytest.raises(ValueError, match="statement bad binds the constants"):
        compiled.for_sqlite()
