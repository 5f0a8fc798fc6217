"""
SQLite: the runner, and the store made of it. The only module that knows the driver.

**Writes** go to one thread with a connection of its own, which commits them in groups: whatever queued up while the
last group was being synced shares one `BEGIN IMMEDIATE` and one `COMMIT`, each transaction in a `SAVEPOINT` so that
one's error is its own. A sync costs the same for one transaction as for hundreds, so the busier, the cheaper. With
WAL and `synchronous=FULL`, what is committed survives a power cut, and nobody is told of a write before its commit.

**Reads** run right where they are asked for, on the event loop's thread, on a second connection. They are look-ups by
an index and take some ten microseconds; handing them to a thread would cost more than that, in the loop. A reader never
waits for the writer (WAL), and sees all that anybody was told is written.

Several processes on one machine may share the file. A network file system may not hold it.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, ParamSpec, Self, TypeVar, cast

import structlog

from pikarelay.errors import Unavailable
from pikarelay.services.ports import Hear, Sign
from pikarelay.store import compile as compiled
from pikarelay.store import transactions
from pikarelay.store.compile import Sql
from pikarelay.store.migrations import check_schema, sqlite_url
from pikarelay.store.root_key import RootKey
from pikarelay.store.sql import SqlStore
from pikarelay.store.transactions import Transaction
from pikarelay.store.transactions.form import ANNOUNCE
from pikarelay.store.vault import Vault, new_data_key

P = ParamSpec("P")
T = TypeVar("T")
Trace = Callable[[str], None]

#: Transactions that share one commit at most. More would only make the first of them wait longer.
GROUP = 256
#: How long to wait for another process that writes to the same file.
_WRITE_BUSY_MS = 5_000
#: How long a caller waits for the group that its write is in to begin. The one before it may be a slow disk's.
PATIENCE_SECONDS = 1.5
#: The event loop stands still while a read waits, so it hardly does.
_READ_BUSY_MS = 100

_log = structlog.get_logger("pikarelay.store")


class _Queued(NamedTuple):
    """A write transaction on its way to the writer, and who waits for it."""

    transaction: Transaction[Any]
    future: asyncio.Future[Any]
    #: Taken once, by the writer or by whoever gives up: what has begun is not given up, what was given up does not begin.
    claim: "threading.Lock | None" = None

    def is_taken(self) -> bool:
        """Take it, and say whether somebody else had."""
        return self.claim is not None and not self.claim.acquire(blocking=False)


class _Outcome(NamedTuple):
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class SqliteStore(SqlStore):
    """Everything that must outlive the process, in one SQLite file. Made by `open`."""

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, root_key: RootKey, trace: Trace | None = None) -> AsyncIterator[Self]:
        """
        Open the database, which `migrations.migrate` has brought to the current schema or a newer version to one that serves us, until the block ends.

        Raises `SchemaOutdated`, `WrongKey`, or `Unavailable` when the file cannot be used. On leaving, what was
        queued is still written. `trace` is shown each SQL text before it runs, from two threads.
        """
        check_schema(sqlite_url(path))
        runner = SqliteRunner(path, trace=trace)
        try:
            keys = await runner.write(transactions.vault.data_keys, new_data_key(root_key, 1))
            yield cls(runner, Vault.unlock(root_key, keys))
        finally:
            await runner.close()


async def begin_anew(path: Path, root_key: RootKey, now: datetime) -> None:
    """Let a database whose root key is lost go on under another one. The secrets in it cannot be opened any more."""
    runner = SqliteRunner(path)
    try:
        await runner.write(transactions.vault.begin_anew, root_key, now)
    finally:
        await runner.close()


class SqliteRunner:
    """Runs transactions on one SQLite file. Belongs to the event loop in which it was made."""

    def __init__(self, path: Path, *, trace: Trace | None = None) -> None:
        self._statements = compiled.for_sqlite()
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Queued | None] = SimpleQueue()
        self._is_closed = False
        try:
            self._reader = _connect(path, busy_ms=_READ_BUSY_MS, trace=trace)
            self._writer = _connect(path, busy_ms=_WRITE_BUSY_MS, trace=trace)
            self._reader.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise Unavailable from error
        # A daemon, so that a process whose loop died with the store open can still end.
        self._thread = threading.Thread(target=self._write_groups, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def write(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Queue it for the writer, and return once its group is committed.

        A caller that is cancelled while it waits does not take its transaction back.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._put(_Queued(make(*args, **kwargs), future))
        return await future

    async def write_soon(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        The same for whoever is waited for. Raises `Unavailable` when it has not begun in time, and then it never does.

        A disk that takes seconds for a sync makes everybody wait for the group under way; new work is better refused.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        queued = _Queued(make(*args, **kwargs), future, threading.Lock())
        self._put(queued)
        timer = self._loop.call_later(PATIENCE_SECONDS, _give_up, queued)
        try:
            return await future
        finally:
            timer.cancel()

    async def write_alone(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same as `write`: a group takes any number of statements."""
        return await self.write(make, *args, **kwargs)

    def _put(self, queued: _Queued) -> None:
        if self._is_closed:
            raise Unavailable
        self._queue.put(queued)

    async def read(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it here and now."""
        with self._reading() as reader:
            return _drive(reader, self._statements, make(*args, **kwargs))

    async def snapshot(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it here and now, on one state."""
        with self._reading() as reader:
            reader.execute("BEGIN")
            try:
                return _drive(reader, self._statements, make(*args, **kwargs))
            finally:
                _roll_back(reader)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if self._is_closed:
            raise Unavailable
        try:
            yield self._reader
        except sqlite3.Error as error:
            if _is_outage(error):
                raise Unavailable from error
            raise

    async def close(self) -> None:
        """Let the writer finish what is queued, then close both connections."""
        if self._is_closed:
            return
        self._is_closed = True
        self._queue.put(None)
        try:
            await self._loop.run_in_executor(None, self._thread.join)
        finally:
            self._reader.close()

    def subscribe(self, hear: Hear) -> None:
        """Tell nothing: what happens here, this process does by itself."""
        del hear

    async def be_present(self, worker_id: str) -> int | None:
        """Give no sign beside the lease."""
        del worker_id
        return None

    async def signs(self, workers: Sequence[str]) -> Mapping[str, Sign]:
        """Know of none."""
        del workers
        return {}

    # From here on: the writer's thread.

    def _write_groups(self) -> None:
        with closing(self._writer):
            is_open = True
            while is_open:
                group, is_open = self._next_group()
                if group:
                    self._tell(self._write_group(group))

    def _next_group(self) -> tuple[list[_Queued], bool]:
        """Wait for a transaction, and take along what else is queued. False once the queue has ended."""
        group: list[_Queued] = []
        while len(group) < GROUP and (not group or not self._queue.empty()):
            queued = self._queue.get()
            if queued is None:
                return group, False
            if not queued.is_taken():
                group.append(queued)
        return group, True

    def _write_group(self, group: Sequence[_Queued]) -> list[_Outcome]:
        writer = self._writer
        # Normally nothing: the last group may have failed in a way that could not be undone then.
        _roll_back(writer)
        try:
            writer.execute("BEGIN IMMEDIATE")
            outcomes = [self._write_one(queued) for queued in group]
            writer.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001  # each is told, and the thread must outlive it
            # Nothing of the group is written, so nobody may hear that it is. The next group starts afresh.
            _log.error("store.group_failed", transactions=len(group), reason=str(error))
            _roll_back(writer)
            return [_failed(queued, error) for queued in group]
        return outcomes

    def _write_one(self, queued: _Queued) -> _Outcome:
        writer = self._writer
        writer.execute("SAVEPOINT one")
        try:
            result = _drive(writer, self._statements, queued.transaction)
        except BaseException as error:
            if not writer.in_transaction:
                # A full disk, say: SQLite gave up the whole group, not this part of it.
                raise
            writer.execute("ROLLBACK TO one")
            writer.execute("RELEASE one")
            return _failed(queued, error)
        writer.execute("RELEASE one")
        return _Outcome(queued.future, result=result)

    def _tell(self, outcomes: Sequence[_Outcome]) -> None:
        try:
            # Once per group: waking the loop costs more than resolving a future.
            self._loop.call_soon_threadsafe(_resolve, outcomes)
        except RuntimeError:
            _log.warning("store.loop_gone", transactions=len(outcomes))


def _connect(path: Path, *, busy_ms: int, trace: Trace | None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        # The file must be there: opening the store never makes an empty database by mistake.
        f"{path.resolve().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_ms / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "cache_size = -65536",
        "temp_store = MEMORY",
        # No mmap_size: a read error of a mapped file kills the process, where it should be told as an error.
        "journal_size_limit = 67108864",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.set_trace_callback(trace)
    return connection


def _drive(connection: sqlite3.Connection, statements: Mapping[str, Sql], transaction: Transaction[T]) -> T:
    """Feed a transaction's statements to the connection, and return what the transaction returns."""
    execute = connection.execute
    try:
        name, params = next(transaction)
        while True:
            # Nobody else is to be told: one process works with the file.
            rows = () if name is ANNOUNCE else execute(statements[name].text, params).fetchall()
            name, params = transaction.send(rows)
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        transaction.close()


def _give_up(queued: _Queued) -> None:
    if not queued.is_taken() and not queued.future.done():
        _log.warning("store.write_given_up", seconds=PATIENCE_SECONDS)
        queued.future.set_exception(Unavailable())


def _resolve(outcomes: Sequence[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue  # Its caller was cancelled.
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            _log.error("store.rollback_failed", reason=str(error))


def _failed(queued: _Queued, error: BaseException) -> _Outcome:
    if not _is_outage(error):
        return _Outcome(queued.future, error=error)
    unavailable = Unavailable()
    unavailable.__cause__ = error
    return _Outcome(queued.future, error=unavailable)


def _is_outage(error: BaseException) -> bool:
    """Whether the disk, the file or another process is to blame. Anything else that SQLite says is our bug."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
