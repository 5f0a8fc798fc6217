"""
Brings a database to the schema this version needs, and says how far it is.

Forward only. The scripts in `versions` are part of the package, so an installed wheel migrates without a checkout.
They run in one transaction on both engines: a migration that fails leaves the database as it was.

Alembic is imported only to migrate. A server that finds its schema current does without: seven MiB and a seventh of
its start-up time.
"""

import asyncio
import contextlib
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from pikarelay.errors import Unavailable
from pikarelay.store.aside import made_aside
from pikarelay.store.migrations.state import SchemaState, Step
from pikarelay.store.sqlite_file import DatabaseDamaged, check_header, is_damage, open_to_read

T = TypeVar("T")

if TYPE_CHECKING:
    from alembic.config import Config

_CONNECT_SECONDS = 5.0

#: A migration waits no longer for a table that others use: whoever came after it would wait behind it. It begins anew instead.
_LOCK_MS = 300
_LOCK_TRIES = 50
#: PostgreSQL's words for a lock that was not given in time, and for a deadlock that this side lost.
_NOT_GIVEN = {"55P03", "40P01"}

#: What Alembic works on is global to the process.
_ALEMBIC = threading.Lock()

#: The last of the scripts in `versions`.
NEEDED = "0007"


class SchemaOutdated(Exception):
    """This version cannot work on the schema that the database has. The message says why, and what to do."""

    def __init__(self, state: SchemaState, url: str) -> None:
        super().__init__(
            f"The database {place_of(url)} is at schema {state.current or 'none'},"
            f" and this version needs {state.needed}: {_what_to_do(state)}"
        )
        self.state = state


def _what_to_do(state: SchemaState) -> str:
    if not state.is_ahead:
        return "run `pikarelay migrate`."
    maker = "a newer version" if state.last_step is None else f"pikarelay {state.last_step.made_by}"
    since = "" if state.oldest_code is None else f" for versions that need {state.oldest_code} or later"
    return f"{maker} made it{since}. Run a newer version, or restore a backup that this version made."


class DatabaseUnreachable(Exception):
    """There is no working with the database now. The message says where it should be, and what came of asking."""

    def __init__(self, url: str, reason: BaseException) -> None:
        super().__init__(
            f"The database {place_of(url)} cannot be used: {str(reason) or type(reason).__name__}."
        )


def is_postgresql(url: str) -> bool:
    """Say whether this is the address of a PostgreSQL database; else it is one of a SQLite file."""
    return url.startswith(("postgresql://", "postgres://"))


def place_of(url: str) -> str:
    """Return where the database is as it may be shown: a file's path, or an address without its password."""
    path = sqlite_path(url)
    return str(path) if path is not None else sa.make_url(url)._replace(password=None).render_as_string()


def sqlite_url(path: Path) -> str:
    """Return SQLAlchemy's address of a SQLite file."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def migrate(url: str) -> None:
    """
    Build the schema, or bring it up to date. A no-op when it is, or when it is a newer one that serves us.

    Others may be at work on the database. Raises `SchemaOutdated` when it is ahead of us and does not serve us,
    `DatabaseDamaged`, and `DatabaseUnreachable`.
    """
    path = sqlite_path(url)
    if path is not None and not path.exists():
        _make_file(path)
    if not check_can_migrate(url).is_usable:
        _upgrade(url, alembic_config())


def _make_file(path: Path) -> None:
    """
    Make a new database appear whole or not at all, readable by its owner alone.

    So an empty file in its place is never one that was just begun. Of processes that start together, one makes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with made_aside(path) as aside:
        _upgrade(sqlite_url(aside), alembic_config())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(aside)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _upgrade(url: str, config: "Config") -> None:
    from alembic import command

    def upgrade(connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            # Of nodes that start together, one migrates, and the others find it done.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1885957985, 0)")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_MS}")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    with _ALEMBIC:
        for _ in range(_LOCK_TRIES):
            try:
                _connected(url, upgrade, is_writing=True)
            except sa.exc.DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in _NOT_GIVEN:
                    raise
                # By chance, so that it falls between what others do by the clock.
                time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 -- no secret
            else:
                return
    raise DatabaseUnreachable(url, TimeoutError("others are at work on its tables all the time; try again"))


def can_serve_meanwhile(state: SchemaState) -> bool:
    """Say whether servers on the schema that the database has now can go on, and be started, after `migrate`."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    return state.current is not None and max(s.module.oldest_code for s in scripts) <= state.current


def schema_state(url: str) -> SchemaState:
    """
    Return how far the database is, and how far it should be, without changing anything in it. Never makes a database.

    Raises `DatabaseDamaged`, `DatabaseUnreachable`, or `Unavailable`.
    """
    path = sqlite_path(url)
    if path is not None:
        if not path.exists():
            return SchemaState(None, NEEDED)
        check_header(path)
    try:
        state = _connected(url, _state)
    except sa.exc.DBAPIError as error:
        if path is not None and is_damage(error.orig or error):
            raise DatabaseDamaged(path, str(error.orig)) from error
        raise Unavailable from error
    if path is not None and state.current is None:
        raise DatabaseDamaged(path, "it has none of pikarelay's tables")
    return state


def check_schema(url: str) -> None:
    """Raise `SchemaOutdated` unless the database has the schema we need, or a newer one that serves us."""
    state = schema_state(url)
    if not state.is_usable:
        raise SchemaOutdated(state, url)


def check_can_migrate(url: str) -> SchemaState:
    """Return the database's state. Raise `SchemaOutdated` when it is ahead of us and does not serve us, so that nothing can be done."""
    state = schema_state(url)
    if state.is_ahead and not state.is_usable:
        raise SchemaOutdated(state, url)
    return state


def check_own_schema(url: str) -> None:
    """Raise `SchemaOutdated` unless the database has exactly the schema we need: for who must know all that is in it."""
    state = schema_state(url)
    if not state.is_current:
        raise SchemaOutdated(state, url)


def _state(connection: sa.Connection) -> SchemaState:
    return SchemaState(_current(connection), NEEDED, _root_fingerprint(connection), _steps(connection))


def _steps(connection: sa.Connection) -> tuple[Step, ...]:
    if not sa.inspect(connection).has_table("migrations"):
        return ()
    found = connection.execute(sa.text("SELECT revision, oldest_code, made_by FROM migrations"))
    return tuple(Step(*row) for row in found)


def _root_fingerprint(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("data_keys"):
        return None
    newest = sa.text("SELECT root_fingerprint FROM data_keys ORDER BY number DESC LIMIT 1")
    found: str | None = connection.scalar(newest)
    return found


def _connected(url: str, work: Callable[[sa.Connection], T], *, is_writing: bool = False) -> T:
    """Do `work` on a connection of its own, in one transaction."""
    if is_postgresql(url):
        # A loop of its own in a thread of its own, for there may be one running here.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(_on_postgresql(url, work))).result()
    engine = _engine(url, is_writing=is_writing)
    try:
        with engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


async def _on_postgresql(url: str, work: Callable[[sa.Connection], T]) -> T:
    import asyncpg
    from sqlalchemy.ext.asyncio import create_async_engine

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(url, timeout=_CONNECT_SECONDS)

    engine = create_async_engine("postgresql+asyncpg://", poolclass=NullPool, async_creator=connect)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnreachable(url, error) from error
    finally:
        await engine.dispose()


def _current(connection: sa.Connection) -> str | None:
    """Read Alembic's own table, which has one row; none before the first migration."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


def alembic_config() -> "Config":
    """Return what Alembic must know to find the scripts; a connection goes into its `attributes`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "pikarelay.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def sqlite_path(url: str) -> Path | None:
    """Return the file that is the database. None when it is none."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database is None:
        return None
    return Path(parsed.database)


def _engine(url: str, *, is_writing: bool = False) -> sa.Engine:
    path = sqlite_path(url)
    if path is not None and not is_writing:
        return sa.create_engine("sqlite://", creator=lambda: open_to_read(path), poolclass=NullPool)
    engine = sa.create_engine(url, poolclass=NullPool)
    if is_writing and engine.dialect.name == "sqlite":
        # The driver would begin its transactions late and commit them early; these make DDL transactional, and let
        # two processes that start together migrate one after the other.
        sa.event.listen(engine, "connect", _leave_transactions_to_us)
        sa.event.listen(engine, "begin", _begin_at_once)
    return engine


def _leave_transactions_to_us(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # SQLAlchemy hands over the driver's object


def _begin_at_once(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
