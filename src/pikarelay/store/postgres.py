"""
PostgreSQL: the runner, and the store made of it. The only module that knows the driver.

Each transaction has a connection of a small pool to itself, and commits before anybody hears of it. Transactions of all nodes
run side by side; each locks what it decides about first, in a statement of its own, so that what it reads afterwards is
what the lock protects (READ COMMITTED takes a new snapshot for every statement).

What is lost on the way is told apart by one question: had COMMIT left? If it had not, or the server has refused it, nothing is
written, and the transaction is run anew, a few times at once. Else nobody knows, and `OutcomeUnknown` says so. While the server
cannot be reached, all is `Unavailable`, at once and not after a queue of tries: who asks waits for nothing, and loops come again.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, ParamSpec, Protocol, Self, TypeVar, cast

import asyncpg
import structlog

from pikarelay.errors import OutcomeUnknown, Unavailable
from pikarelay.services.ports import Hear, Sign
from pikarelay.store import compile as compiled
from pikarelay.store import transactions
from pikarelay.store.compile import Sql
from pikarelay.store.ears import GONE_AFTER_TEN_SECONDS, NOTIFY, SIGNS, Ears, payload_of
from pikarelay.store.migrations import check_schema
from pikarelay.store.root_key import RootKey
from pikarelay.store.rows import Row
from pikarelay.store.sql import SqlStore
from pikarelay.store.transactions import Transaction
from pikarelay.store.transactions.form import ANNOUNCE
from pikarelay.store.vault import Vault, new_data_key

P = ParamSpec("P")
T = TypeVar("T")

#: How often a transaction is run that was written by nobody: its connection broke early, or it lost to another one.
TRIES: Final = 4
#: After so many seconds no other try begins.
RETRY_SECONDS: Final = 3.0
#: Between two tries, the least and the most.
_PAUSE_SECONDS: Final = (0.02, 0.1)
#: How long a connection may take to be made, and how long a transaction waits for one of the pool, in seconds.
CONNECT_SECONDS: Final = 5.0
#: A statement is a look-up by an index. One that takes so many seconds has a dead network under it.
COMMAND_SECONDS: Final = 10.0

#: For the lease, for the round, and for what is let go of beside it.
_FIRST_CONNECTIONS: Final = 3

#: Told to the server for each connection.
_SERVER_SETTINGS: Final = {
    "application_name": "pikarelay",
    "timezone": "UTC",
    # Whatever we ask is planned in microseconds and read in as many.
    "jit": "off",
    # A node that is stopped in the middle of a transaction holds its locks no longer than this.
    "idle_in_transaction_session_timeout": "3000",
    "lock_timeout": "6000",
    **GONE_AFTER_TEN_SECONDS,
}

#: The server, the network or the disk is to blame. Anything else that PostgreSQL says is our bug.
_OUTAGES: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
)
#: Two transactions waited for each other, and this one was undone.
_LOST_RACES: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

_log = structlog.get_logger("pikarelay.store")


class Connection(Protocol):
    """What we use of the driver's connection."""

    async def execute(self, query: str) -> str: ...

    async def fetch(self, query: str, *args: object) -> Sequence[Row]: ...

    def is_closed(self) -> bool: ...

    def is_in_transaction(self) -> bool: ...

    def terminate(self) -> None: ...


class PostgresStore(SqlStore):
    """Everything that must outlive the process, in a PostgreSQL database that any number of nodes share. Made by `open`."""

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, root_key: RootKey, connections: int = 10) -> AsyncIterator[Self]:
        """
        Open the database, which `migrations.migrate` has brought to the current schema or a newer version to one that serves us, until the block ends.

        Raises `SchemaOutdated`, `WrongKey`, or `DatabaseUnreachable`. On leaving, what has begun is still written.
        """
        await asyncio.to_thread(check_schema, url)
        async with AsyncExitStack() as stack:
            runner = await PostgresRunner.connect(url, connections)
            stack.push_async_callback(runner.close)
            first = await PostgresRunner.connect(url, _FIRST_CONNECTIONS, at_once=0)
            stack.push_async_callback(first.close)
            keys = await runner.write(transactions.vault.data_keys, new_data_key(root_key, 1))
            yield cls(runner, Vault.unlock(root_key, keys), first=first)


class PostgresRunner:
    """Runs transactions on a pool of connections. Belongs to the event loop in which it was made."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", ears: Ears) -> None:
        self._pool = pool
        self._ears = ears
        self._statements = compiled.for_postgresql()
        self._running: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    @classmethod
    async def connect(cls, url: str, connections: int, *, at_once: int = 1) -> Self:
        """Make the pool, with `at_once` connections in it. Raises `Unavailable`."""
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=at_once,
                max_size=connections,
                # We leave nothing behind in a session, so there is nothing to reset.
                reset=_leave,
                timeout=CONNECT_SECONDS,
                command_timeout=COMMAND_SECONDS,
                statement_cache_size=512,
                max_cached_statement_lifetime=0,
                server_settings=_SERVER_SETTINGS,
            )
        except _OUTAGES as error:
            raise Unavailable from error
        return cls(pool, Ears(url))

    async def write(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Run it in a transaction of the server, again where that is harmless.

        A caller that is cancelled while it waits does not take its transaction back.
        """
        return await self._apart(self._write(lambda: make(*args, **kwargs)))

    async def write_soon(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same: the server runs it beside all others, so it has begun as soon as there is a connection."""
        return await self.write(make, *args, **kwargs)

    async def write_alone(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Let its one statement commit by itself: without BEGIN and COMMIT it is one exchange with the server, and not three.

        When its connection breaks it is run again, whether it was written or not.
        """
        return await self._apart(self._read(lambda: _alone(make(*args, **kwargs)), begin=None))

    async def read(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run each statement by itself."""
        return await self._apart(self._read(lambda: make(*args, **kwargs), begin=None))

    async def snapshot(self, make: Callable[P, Transaction[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run all statements on one state."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        return await self._apart(self._read(lambda: make(*args, **kwargs), begin=begin))

    async def close(self) -> None:
        """Let what has begun end, then close all connections."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._ears.close()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def subscribe(self, hear: Hear) -> None:
        self._ears.subscribe(hear)

    async def be_present(self, worker_id: str) -> int | None:
        return await self._ears.be_present(worker_id)

    async def signs(self, workers: Sequence[str]) -> Mapping[str, Sign]:
        async with self._connection() as connection:
            try:
                found = await connection.fetch(SIGNS, list(workers))
            except _OUTAGES as error:
                _terminate(connection)
                raise Unavailable from error
        return {name: Sign.PRESENT if is_present else Sign.MISSING for name, is_present in found}

    async def _apart(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it in a task of its own: cancelled in the middle, it would cost its connection."""
        if self._is_closed:
            work.close()
            raise Unavailable
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _write(self, make: Callable[[], Transaction[T]]) -> T:
        return await _tried(lambda: self._write_once(make()))

    async def _write_once(self, transaction: Transaction[T]) -> T:
        async with self._connection() as connection:
            has_committed = False
            try:
                await connection.execute("BEGIN")
                result = await self._drive(connection, transaction)
                has_committed = True
                await connection.execute("COMMIT")
            except BaseException as error:
                is_outage = _is_outage(error, connection)
                if is_outage or has_committed:
                    _terminate(connection)
                else:
                    await _roll_back(connection)
                if isinstance(error, _LOST_RACES):
                    raise _NotWrittenError from error
                if not is_outage:
                    raise
                if has_committed and not _is_refusal(error):
                    raise OutcomeUnknown from error
                raise _NotWrittenError from error
            return result

    async def _read(self, make: Callable[[], Transaction[T]], *, begin: str | None) -> T:
        return await _tried(lambda: self._read_once(make(), begin))

    async def _read_once(self, transaction: Transaction[T], begin: str | None) -> T:
        async with self._connection() as connection:
            try:
                if begin is None:
                    return await self._drive(connection, transaction)
                await connection.execute(begin)
                result = await self._drive(connection, transaction)
                await connection.execute("COMMIT")
            except BaseException as error:
                if _is_outage(error, connection):
                    _terminate(connection)
                    raise _NotWrittenError from error
                await _roll_back(connection)
                raise
            return result

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Lend a connection. Raises `Unavailable` when there is none to be had."""
        try:
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        except (*_OUTAGES, asyncpg.InterfaceError) as error:
            _log.warning("store.unreachable", reason=_words(error))
            raise Unavailable from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    async def _drive(self, connection: Connection, transaction: Transaction[T]) -> T:
        """Feed a transaction's statements to the connection, and return what the transaction returns."""
        fetch, statements = connection.fetch, self._statements
        try:
            name, params = next(transaction)
            while True:
                if name == ANNOUNCE:
                    # Told by the server when it commits, and not otherwise.
                    found = await fetch(NOTIFY, payload_of(params))
                else:
                    sql = statements[name]
                    found = await fetch(sql.text, *_ordered(sql, params))
                name, params = transaction.send(found)
        except StopIteration as end:
            return cast("T", end.value)
        finally:
            transaction.close()


class _NotWrittenError(Exception):
    """The transaction is undone, for a reason that may be gone: see the cause."""


async def _tried(run: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it until it is through, for as long as it fails fast and not too often."""
    now = asyncio.get_running_loop().time
    give_up = now() + RETRY_SECONDS
    for tries_left in reversed(range(TRIES)):
        try:
            return await run()
        except _NotWrittenError as trouble:
            _log.warning("store.not_written", reason=_words(trouble.__cause__), tries_left=tries_left)
            if not tries_left or now() > give_up:
                raise Unavailable from trouble.__cause__
        # Whoever it gave way to goes on first: at once it could be in that one's way again. By chance, so that two do not go
        # on in step.
        await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 -- no secret
    raise AssertionError


def _alone(transaction: Transaction[T]) -> Transaction[T]:
    """Pass on a transaction of a single statement."""
    try:
        found = yield next(transaction)
        transaction.send(found)
    except StopIteration as end:
        return cast("T", end.value)
    raise RuntimeError("a transaction of several statements cannot be run without BEGIN and COMMIT")


async def _leave(_connection: object) -> None:
    return


def _is_outage(error: BaseException, connection: Connection) -> bool:
    if isinstance(error, _OUTAGES):
        return True
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        # The pool takes a connection back in the moment in which it breaks, and lets nobody ask it anything.
        return True


def _is_refusal(error: BaseException) -> bool:
    """Whether the server answered that it has undone the transaction, and goes on. What ends its process may come after the COMMIT."""
    return isinstance(error, asyncpg.PostgresError) and getattr(error, "severity_en", None) == "ERROR"


def _terminate(connection: Connection) -> None:
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _roll_back(connection: Connection) -> None:
    try:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - whatever it is, the server rolls back what has no connection
        _terminate(connection)


def _ordered(sql: Sql, params: Mapping[str, object]) -> list[object]:
    """
    Return the parameters in the statement's order.

    PostgreSQL has no NUL in its texts. What a receiver answered may have, and so may an id in a query; it becomes U+FFFD.
    """
    return [
        value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value
        for value in map(params.__getitem__, sql.places)
    ]


def _words(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"
