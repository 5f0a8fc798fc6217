"""The nodes of a cluster, from their first start to their last end, and the database that they share."""

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from chaos.cluster.network import Host, Network
from chaos.processes import Server, Zygote
from tests.postgres import PostgresServer


class Node:
    """One place where a server runs, dies, and runs again."""

    def __init__(self, name: str, role: str, folder: Path, host: Host) -> None:
        self.name = name
        self.role = role
        self.folder = folder
        self.host = host
        self.server: Server | None = None
        self.url = ""
        #: As what it is known to the others, by the database. New with each start; empty unless it works.
        self.worker_id = ""
        self.is_up = False

    async def signal(self, number: int) -> None:
        assert self.server is not None
        await self.server.signal(number)


class Database:
    """The PostgreSQL server, and what its tables say: never to judge by, only to know whom to strike."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.url = server.new_database()

    async def workers(self) -> set[str]:
        return {row[0] for row in await self._ask("SELECT worker_id FROM workers")}

    async def sessions_of(self, worker_id: str) -> set[str]:
        """Return the digests of the tokens whose sessions a worker holds."""
        rows = await self._ask(
            "SELECT name FROM holdings WHERE owner = $1 AND name LIKE 'session %'", worker_id
        )
        return {row[0].removeprefix("session ") for row in rows}

    async def shares(self) -> dict[str, int]:
        rows = await self._ask(
            "SELECT owner, count(*) FROM holdings WHERE owner IS NOT NULL AND name LIKE 'channel %' GROUP BY owner"
        )
        return {row[0]: row[1] for row in rows}

    async def restart(self, number: signal.Signals) -> None:
        """Stop it with this signal, and start it again."""
        await asyncio.to_thread(self.server.stop, number)
        await asyncio.to_thread(self.server.start)

    async def _ask(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.url, timeout=10)
        try:
            found: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
            return found
        finally:
            await connection.close()


class Cluster:
    """All nodes."""

    def __init__(
        self,
        zygote: Zygote,
        database: Database,
        network: Network,
        nodes: list[Node],
        settings: Mapping[str, str],
        api: str,
    ) -> None:
        #: Of the release whose code is started.
        self.zygote = zygote
        self.network = network
        self._settings = settings
        self._discord_api = api
        self._known: set[str] = set()
        self.database = database
        self.nodes = nodes
        self.api_token = ""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        zygote: Zygote,
        database: Database,
        network: Network,
        settings: Mapping[str, str],
        api: str,
        each: int,
    ) -> AsyncIterator["Cluster"]:
        """Make `each` nodes of both roles, and start none of them."""
        async with AsyncExitStack() as stack:
            nodes = []
            for role in ("api", "worker"):
                for number in range(1, each + 1):
                    host = await stack.enter_async_context(network.host(database.server.port))
                    nodes.append(Node(f"{role}-{number}", role, folder / f"{role}-{number}", host))
            cluster = cls(zygote, database, network, nodes, settings, api)
            stack.push_async_callback(cluster.close)
            yield cluster

    @property
    def workers(self) -> list[Node]:
        return [node for node in self.nodes if node.role == "worker"]

    @property
    def apis(self) -> list[Node]:
        return [node for node in self.nodes if node.role == "api"]

    async def start(self, node: Node) -> int:
        """Start a node's server, and return its process when it serves. One at a time, so that it is known who is who."""
        host, port = node.host.address
        node.folder.mkdir(exist_ok=True)
        url = self.network.url_of(self.database.url, node.host)
        node.server = await self.zygote.serve(
            [
                "--role", node.role, "--host", host, "--port", str(port),
                "--data-folder", str(node.folder / "data"), "--discord-api-url", self._discord_api,
            ],
            node.folder / "pikarelay.log", {**self._settings, "database": url}, {}, {},
            node.host.namespace,
        )  # fmt: skip
        ready = await node.server.wait_ready()
        node.url, node.is_up = ready["url"], True
        self.api_token = ready.get("api_token", self.api_token)
        if node.role == "worker":
            known = await self.database.workers()
            (node.worker_id,) = known - self._known
            self._known |= known
        return await node.server.pid

    async def close(self) -> None:
        for node in self.nodes:
            if node.server is not None and node.server.pid.done():
                await node.server.kill()


def digest(token: str) -> str:
    """Return by what the nodes know a token."""
    return hashlib.sha256(token.encode()).hexdigest()
