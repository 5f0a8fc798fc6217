"""
What PostgreSQL tells a node, and how a node is seen by others: one connection beside the pool, for as long as the node lives.

It listens for announcements, and holds an advisory lock that the server drops with the connection. So a worker that was killed
is missed by the others at once, and not when its lease runs out. The connection may break without the worker: it is made again,
and whoever listens is told to look at everything. What the server forgets when it restarts proves nothing about anybody, so
a lock counts only if it was taken since then.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from pikarelay.services.ports import Announcement, Hear, News

#: The channel of NOTIFY, which is one database's own.
_CHANNEL: Final = "pikarelay"
NOTIFY: Final = f"SELECT pg_notify('{_CHANNEL}', $1)"
#: Who of these workers holds its lock; one that has none to hold, or held it before the server started, is as good as present.
SIGNS: Final = """
SELECT worker_id,
       locked IS NULL
       OR to_timestamp(locked / 1000.0) <= pg_postmaster_start_time()
       OR EXISTS (
           SELECT FROM pg_locks
           WHERE locktype = 'advisory' AND classid = 1885957985 AND objsubid = 2 AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND objid::bigint = (hashtext(worker_id)::bigint & 4294967295)
       )
FROM workers WHERE worker_id = ANY($1)
"""
#: The number sets our locks apart from those of others in the database.
_LOCK: Final = """
SELECT CASE WHEN pg_try_advisory_lock(1885957985, hashtext($1))
       THEN CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) END
"""
#: Told to the server for each connection: a node that vanished without a word holds neither its lock nor anything else for longer
#: than its lease lasts. The server would find out by itself after a quarter of an hour, or two hours.
GONE_AFTER_TEN_SECONDS: Final = MappingProxyType(
    {
        "tcp_user_timeout": "10000",
        "tcp_keepalives_idle": "4",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
    }
)
_CONNECT_SECONDS: Final = 5.0
#: How long a worker waits for its lock when it begins.
_FIRST_LOCK_SECONDS: Final = 2.0
#: Pauses between tries to connect, the last for ever.
_PAUSES: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
#: So often the connection is asked whether it lives: a network that is gone says nothing by itself.
_LISTEN_SECONDS: Final = 5.0

_log = structlog.get_logger("pikarelay.store")
_decode = msgspec.json.Decoder(Announcement).decode
_encode = msgspec.json.Encoder().encode


def payload_of(params: Mapping[str, object]) -> str:
    """Return what NOTIFY carries for an announcement, given as a transaction's parameters."""
    return _encode(Announcement(**params)).decode()  # type: ignore[arg-type]  # `announce` made them


class Ears:
    """The connection. It is made when somebody listens or wants to be seen, and not before."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._hearers: list[Hear] = []
        self._worker_id: str | None = None
        self._locked: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_lost = False
        #: Set when the connection has broken, or there is something to do with it.
        self._stirred = asyncio.Event()
        #: Set when the worker's lock was had for the first time.
        self._was_held = asyncio.Event()

    def subscribe(self, hear: Hear) -> None:
        self._hearers.append(hear)
        self._begin()

    async def be_present(self, worker_id: str) -> int | None:
        """
        Hold the worker's lock from now on. Returns since when it is held, in the server's milliseconds; None: not now.

        The first time, it waits a moment for the lock: until others know of it, a worker that dies is missed only when its lease
        runs out.
        """
        if self._worker_id is None:
            self._worker_id = worker_id
            self._begin()
            self._stirred.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._was_held.wait(), _FIRST_LOCK_SECONDS)
        return self._locked

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._live(), name="ears")

    async def _live(self) -> None:
        failures = 0
        while True:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    connection = await self._connected()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would make it again
                failures += 1
                _log.warning("store.deaf", reason=f"{type(error).__name__}: {error}")
            else:
                failures = 0
                await self._hold(connection)
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])

    async def _connected(self) -> Any:
        """Return a connection that listens."""
        connection = await asyncpg.connect(
            self._url,
            timeout=_CONNECT_SECONDS,
            command_timeout=_CONNECT_SECONDS,
            server_settings={"application_name": "pikarelay ears", **GONE_AFTER_TEN_SECONDS},
        )
        try:
            await connection.add_listener(_CHANNEL, self._heard)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _hold(self, connection: Any) -> None:
        """Listen on the connection until it breaks."""
        self._is_lost = False
        connection.add_termination_listener(self._end)
        try:
            # Whatever was told before this moment was told to nobody here.
            self._tell(Announcement(news=News.MISSED))
            while not self._is_lost:
                self._stirred.clear()
                await self._lock(connection)
                pause = _LISTEN_SECONDS if self._locked or self._worker_id is None else 0.2
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stirred.wait(), pause)
        except Exception as error:  # noqa: BLE001 - the same
            _log.warning("store.deaf", reason=f"{type(error).__name__}: {error}")
        finally:
            self._locked = None
            connection.terminate()

    async def _lock(self, connection: Any) -> None:
        if self._worker_id is None or self._locked is not None:
            await connection.execute("SELECT 1")
        else:
            # Not to be had for a moment, when the server has not noticed yet that the last connection is gone.
            self._locked = await connection.fetchval(_LOCK, self._worker_id)
            if self._locked is not None:
                self._was_held.set()

    def _end(self, *_: object) -> None:
        self._is_lost = True
        self._stirred.set()

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        try:
            announcement = _decode(payload)
        except msgspec.DecodeError:
            # A node of another version.
            _log.warning("store.not_understood")
            return
        self._tell(announcement)

    def _tell(self, announcement: Announcement) -> None:
        for hear in self._hearers:
            try:
                hear(announcement)
            except Exception:  # noqa: BLE001 - a defect of one must not make the whole node deaf
                _log.exception("store.hearer_failed", news=announcement.news)
