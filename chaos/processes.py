"""The processes of a run: the local Discord, and servers that are started, killed and started again."""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp

ROOT = Path(__file__).parent.parent
#: How long any one thing may take on a busy machine. Nothing waits that long when all is well.
PATIENCE = 60.0


class DidNotStart(Exception):
    """A process ended instead of becoming ready; the message ends with its log."""


def clean_environment(sources: Path) -> dict[str, str]:
    """Return an environment without settings, in which Python imports from `sources` and root may serve."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIKARELAY_")}
    return {**kept, "PYTHONPATH": f"{sources}{os.pathsep}{ROOT}", "PIKARELAY_NODE_ALLOW_ROOT": "true"}


_hosts = itertools.count(1)


def own_address() -> tuple[str, int]:
    """
    Return a loopback address that is this caller's alone, and a free port there.

    A server that is killed comes back at the same place, and nobody else may have taken that meanwhile: connections go
    out from 127.0.0.1, so no other address loses ports to them.
    """
    number = next(_hosts)
    host = f"127.{1 + os.getpid() % 250}.{number // 250}.{1 + number % 250}"
    with socket.socket() as probe:
        probe.bind((host, 0))
        return host, int(probe.getsockname()[1])


class Server:
    """One process of the server, from its start to its end."""

    def __init__(self, log: Path) -> None:
        loop = asyncio.get_running_loop()
        self.log = log
        self.pid: asyncio.Future[int] = loop.create_future()
        self.ready: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.ended: asyncio.Future[int] = loop.create_future()

    async def wait_ready(self) -> dict[str, Any]:
        """Return the line in which it says that it serves. Raises `DidNotStart`."""
        either: set[asyncio.Future[Any]] = {self.ready, self.ended}
        await asyncio.wait(either, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if not self.ready.done():
            raise DidNotStart(self.log.read_text()[-3000:] if self.log.exists() else "the zygote is gone")
        return self.ready.result()

    async def signal(self, number: int) -> None:
        os.kill(await self.pid, number)

    async def resident_kib(self) -> int:
        """Return how much memory it holds now, and begin a new count of the most."""
        folder = Path(f"/proc/{await self.pid}")
        (folder / "clear_refs").write_text("5")
        return self._kib(folder, "VmRSS")

    async def most_resident_kib(self) -> int:
        """Return the most memory that it has held since `resident_kib`."""
        return self._kib(Path(f"/proc/{await self.pid}"), "VmHWM")

    @staticmethod
    def _kib(folder: Path, name: str) -> int:
        lines = (folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone. It may have ended by itself just now."""
        if not self.ended.done():
            with suppress(ProcessLookupError):
                await self.signal(signal.SIGKILL)
        await asyncio.wait_for(asyncio.shield(self.ended), PATIENCE)


class Zygote:
    """Forks servers; see `chaos.zygote`."""

    def __init__(self, process: asyncio.subprocess.Process, environment: Mapping[str, str]) -> None:
        self._process = process
        self._environment = environment
        self._servers: dict[int, Server] = {}

    @classmethod
    @asynccontextmanager
    async def start(cls, sources: Path) -> AsyncIterator["Zygote"]:
        environment = clean_environment(sources)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chaos.zygote",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT,
        )  # fmt: skip
        zygote = cls(process, environment)
        hearing = asyncio.create_task(zygote._hear())
        try:
            yield zygote
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            await hearing

    async def serve(
        self,
        arguments: list[str],
        log: Path,
        settings: Mapping[str, str],
        plan: Mapping[str, Any],
        environment: Mapping[str, str],
        namespace: str | None = None,
    ) -> Server:
        """
        Fork a server. `settings` are variables of `environment` without their prefix, in lower case.

        `namespace` is the file of its network namespace, if that is not ours.
        """
        argv = ["serve", "--json", "--until-stdin-closes", *arguments]
        settings_there = {f"PIKARELAY_{name.upper()}": value for name, value in settings.items()}
        return await self.run(argv, log, plan, {**environment, **settings_there}, namespace)

    async def run(
        self,
        argv: list[str],
        log: Path,
        plan: Mapping[str, Any],
        environment: Mapping[str, str] = MappingProxyType({}),
        namespace: str | None = None,
    ) -> Server:
        """Fork any command. What it prints goes nowhere, but for a server's line."""
        assert self._process.stdin is not None
        number = len(self._servers) + 1
        server = self._servers[number] = Server(log)
        order = {
            "id": number,
            "argv": argv,
            "env": {**self._environment, **environment},
            "log": str(log),
            "plan": dict(plan),
            "namespace": namespace,
        }
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        await self._process.stdin.drain()
        return server

    async def _hear(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            news = json.loads(line)
            server = self._servers[news["id"]]
            if "pid" in news:
                server.pid.set_result(news["pid"])
            elif "line" in news and not server.ready.done() and news["line"].startswith("{"):
                server.ready.set_result(json.loads(news["line"]))
            elif "ended" in news:
                server.ended.set_result(news["ended"])
        for server in self._servers.values():
            if not server.ended.done():
                server.ended.set_result(-1)


@asynccontextmanager
async def local_discord(sources: Path, log: Path, *, seed: int, **options: float | str) -> AsyncIterator[str]:
    """Run the local Discord in a process of its own, and yield its URL. `options` are its rules."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "localdiscord", "serve", "--port", "0", "--json", "--until-stdin-closes",
            "--seed", str(seed), *flags,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=clean_environment(sources),
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = await process.stdout.readline()
            if not line:
                raise DidNotStart(log.read_text()[-3000:])
            yield str(json.loads(line)["url"])
        finally:
            process.stdin.close()
            await process.wait()


class Upstream:
    """The local Discord's admin routes."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    @property
    def api(self) -> str:
        return f"{self.url}/api/v9"

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        async with self._http.request(method, f"{self.url}/admin{path}", json=body) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise RuntimeError(f"{method} {path}: {answer.status} {text}")
            return json.loads(text) if text else None

    async def configure(self, **settings: Any) -> None:
        await self.ask("POST", "/apps/Pika/settings", settings)

    async def arm(self, where: str, kind: str, *, times: int | None = 1, **more: Any) -> str:
        """Arm a fault. `match` and `skip` go beside what it does, everything else into it."""
        fault: dict[str, Any] = {"where": where, "times": times}
        fault |= {name: more.pop(name) for name in ("match", "skip") if name in more}
        answer = await self.ask("POST", "/faults", {**fault, "do": {"kind": kind, **more}})
        return str(answer["id"])

    async def disarm(self) -> None:
        await self.ask("DELETE", "/faults")
