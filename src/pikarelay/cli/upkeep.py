"""`pikarelay migrate`, `move-store`, `check` and `config`: is everything as it has to be?"""

import asyncio
import sys
from pathlib import Path

from pikarelay.bootstrap import stores
from pikarelay.cli.frame import (
    Where,
    load_settings,
    reporting,
    run,
    say,
)
from pikarelay.settings import DECLARED


def migrate(*, where: Where | None = None) -> None:
    """Bring the database to the schema of this version. Safe to repeat. `pikarelay check` says whether servers can go on meanwhile."""
    reporting(lambda: say(stores.migrate_store(load_settings(where))))


def move_store(*, where: Where | None = None, source: Path | None = None) -> None:
    """
    Copy an embedded store to the PostgreSQL database of the settings.

    Stop the server first. Can be repeated: it goes on where it was interrupted. In the end both are compared, row by row.

    Parameters
    ----------
    source
        The SQLite file; by default the one in the data folder.
    """
    settings = load_settings(where)
    run(stores.move_store(settings, source, say))


def check(*, where: Where | None = None) -> None:
    """Say what is wrong with settings, key, database and accounts, and what to do about it."""
    # Here, for the other commands need none of what it asks Discord with.
    from pikarelay.checks import examine

    settings = load_settings(where)
    findings = asyncio.run(examine(settings))
    for finding in findings:
        say(f"{'ok  ' if finding.is_good else 'FAIL'}  {finding.text}")
        if finding.advice:
            say(f"      {finding.advice}")
    sys.exit(0 if all(finding.is_good for finding in findings) else 1)


def config(*, where: Where | None = None) -> None:
    """Show the settings in force, secrets masked."""
    settings = load_settings(where)
    for declared in DECLARED:
        value = getattr(getattr(settings, declared.section), declared.key)
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        say(f"{declared.name} = {'' if value is None else shown}")
