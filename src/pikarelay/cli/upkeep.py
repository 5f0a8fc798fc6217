"""`pikarelay migrate`, `check` and `config`: is everything as it has to be?"""

import asyncio
import sys

from pikarelay.bootstrap.stores import migrate_store
from pikarelay.checks import examine
from pikarelay.cli.frame import (
    Where,
    load_settings,
    reporting,
    say,
)
from pikarelay.settings import DECLARED


def migrate(*, where: Where | None = None) -> None:
    """Bring the database to the schema of this version. Safe to repeat; stop the server first."""
    reporting(lambda: say(migrate_store(load_settings(where))))


def check(*, where: Where | None = None) -> None:
    """Say what is wrong with settings, key, database and accounts, and what to do about it."""
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
