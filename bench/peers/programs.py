"""The callers' programs, and the server of the one peer that is a server: started, spoken to, killed, started again."""

import asyncio
import json
import os
import random
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.peers.judge import Json, Told
from bench.processes import BIN, PATIENCE_SECONDS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class DidNotStart(Exception):
    """A program ended instead of becoming ready. The message ends with its log."""


class Process:
    """One process, which ends with the harness because it watches its stdin."""

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self._command = command
        self._log = log
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PIKARELAY_")}
        self._environment = {**clean, **environment}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def spawn(self) -> asyncio.subprocess.Process:
        with self._log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                cwd=ROOT,
                limit=1 << 22,
            )
        return self._process

    async def kill(self) -> None:
        """SIGKILL it, and return when it is gone."""
        if self.is_running and self._process is not None:
            self._process.send_signal(signal.SIGKILL)
        await self.gone()

    async def gone(self) -> None:
        if self._process is not None:
            await self._process.wait()

    def log(self) -> str:
        """Return all that it wrote to its stderr."""
        return self._log.read_text(errors="replace")


class Server(Process):
    """`pikarelay serve`, at the same port and on the same data each time."""

    #: What differs from the defaults.
    SETTINGS: Mapping[str, str] = {
        "PIKARELAY_DISCORD_PRESS_INTERVAL_SECONDS": "0",
        "PIKARELAY_CALLBACKS_ALLOW_NETWORKS": "127.0.0.0/8",
        "PIKARELAY_NODE_ALLOW_ROOT": "true",
    }

    def __init__(self, folder: Path, api: str) -> None:
        self.port = free_port()
        self.api_token = ""
        command = [
            str(BIN / "pikarelay"), "serve", "--port", str(self.port), "--data-folder", str(folder / "data"),
            "--json", "--discord-api-url", api, "--until-stdin-closes",
        ]  # fmt: skip
        super().__init__(command, folder / "pikarelay.log", self.SETTINGS)

    async def start(self) -> None:
        """Start, and return once it serves."""
        process = await self.spawn()
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_SECONDS)
        if not line:
            raise DidNotStart(self.log()[-3000:])
        self.api_token = json.loads(line).get("api_token", self.api_token)


class Program(Process):
    """A caller's program, and what its callers were told so far, by call."""

    def __init__(self, command: list[str], log: Path) -> None:
        super().__init__(command, log, {})
        self.calls: dict[str, Told] = {}
        #: What the program calls the job, by call; what a program that was started again may ask for.
        self.handles: dict[str, str] = {}
        #: Set whenever somebody was told something, or the program has ended.
        self.news = asyncio.Event()
        self._ready = asyncio.Event()
        self._recalled: set[str] = set()
        self._listener: asyncio.Task[None] | None = None

    async def start(self, place: Json) -> None:
        """Start it in its place, and return once it can be asked."""
        self._ready.clear()
        process = await self.spawn()
        self._listener = asyncio.create_task(self._listen(process))
        self._write(place)
        waits = [asyncio.ensure_future(self._ready.wait()), self._listener]
        await asyncio.wait(waits, timeout=2 * PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waits[0].cancel()
        if not self._ready.is_set():
            await self.kill()
            raise DidNotStart(self.log()[-3000:])

    def imagine(self, call: str, prompt: str) -> None:
        self._order(call, prompt, {"do": "imagine", "prompt": prompt})

    def again(self, call: str, of: str, words: str) -> None:
        """Press the button of the result that another call was given."""
        self._order(call, words, {"do": "again", "of": of})

    @property
    def has_orders(self) -> bool:
        """Whether it was asked for something that it may still answer."""
        return self.is_running and any(
            told.ended is None and (call in self._recalled or not told.is_orphaned)
            for call, told in self.calls.items()
        )

    def recall(self, call: str) -> None:
        """Ask a program that was started again what became of a call of the one before."""
        self._recalled.add(call)
        self._write({"do": "recall", "call": call, "handle": self.handles[call]})

    def orphan(self) -> None:
        """Note that the program that holds all calls without an answer is no more."""
        for call, told in self.calls.items():
            if told.ended is None:
                self.calls[call] = replace(told, is_orphaned=True)

    def _order(self, call: str, words: str, order: Json) -> None:
        self.calls[call] = Told(call=call, words=words, asked=time.monotonic_ns())
        self._write({**order, "call": call})

    def _write(self, line: Json) -> None:
        if self.is_running and self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._hear(json.loads(line))
            self.news.set()
        await process.wait()
        self.news.set()

    def _hear(self, said: Json) -> None:
        event, call = said["event"], said.get("call", "")
        if event == "ready":
            self._ready.set()
            return
        told = self.calls[call]
        if event == "taken":
            self.handles[call] = said["handle"]
        elif event == "pressed":
            self.calls[call] = replace(told, nonce=said["nonce"])
        elif event == "ended" and told.ended is None:
            self.calls[call] = replace(
                told,
                nonce=said.get("nonce", told.nonce),
                ended=said["at"],
                url=said.get("url"),
                error=said.get("error"),
            )


def free_port() -> int:
    """Return a port that is free, and that no outgoing connection is given by the system meanwhile."""
    chance = random.Random()
    while True:
        port = chance.randrange(20_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
