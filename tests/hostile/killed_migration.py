"""
Kills a migration at each of its steps, COMMIT's begin and end among them.

    python -m tests.hostile.killed_migration SOURCE FOLDER
    python -m tests.hostile.killed_migration postgresql://…

A SQLite file is copied for each step into the folder, as `1.sqlite3` and so on. A PostgreSQL database is worked on itself: a
migration that is killed leaves it as it was, until one is killed after its COMMIT. Prints for each kill the schema that it left.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

# Imported here so that no child has to.
import alembic.command  # noqa: F401
import asyncpg  # noqa: F401
import sqlalchemy as sa
import sqlalchemy.ext.asyncio
from sqlalchemy.engine.default import DefaultDialect

from pikarelay.store.migrations import is_postgresql, migrate, schema_state, sqlite_url


class Steps:
    """Counts the steps of this process, and kills it at one of them."""

    def __init__(self) -> None:
        self.deadly = self._count = 0

    def watch(self) -> None:
        commit = DefaultDialect.do_commit

        def around(dialect: DefaultDialect, connection: object) -> None:
            self._reach()
            commit(dialect, connection)  # type: ignore[arg-type]  # whatever the dialect is given
            self._reach()

        sa.event.listen(sa.engine.Engine, "before_cursor_execute", self._reach)
        DefaultDialect.do_commit = around  # type: ignore[method-assign,assignment]

    def _reach(self, *_: object) -> None:
        self._count += 1
        if self._count == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    steps, url_of = Steps(), _urls(*sys.argv[1:])
    steps.watch()
    while True:
        steps.deadly += 1
        url = url_of(steps.deadly)
        pid = os.fork()
        if pid == 0:
            migrate(url)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, status
        sys.stdout.write(f"{_state_of(url)}\n")


def _urls(source: str, folder: str = "") -> Callable[[int], str]:
    """Return what makes the database of a step, and says where it is."""
    if is_postgresql(source):
        return lambda _: source

    def copied(number: int) -> str:
        path = Path(folder) / f"{number}.sqlite3"
        shutil.copyfile(source, path)
        return sqlite_url(path)

    return copied


def _state_of(url: str) -> str | None:
    """Look from a process of its own: in this one, looking would count as steps."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, str(schema_state(url).current).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        state = said.read()
    os.waitpid(pid, 0)
    return state


if __name__ == "__main__":
    main()
