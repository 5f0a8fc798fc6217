"""
The programs under measurement, each in a process of its own, and what the system says of them.

All of them end with the block that started them, and by themselves when this process dies: they watch their stdin.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
PATIENCE_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")

Json = dict[str, Any]


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[Json]:
    """Start a server that says in one line of JSON when it is ready; yield that line and its `pid`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PIKARELAY_")}
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**clean, "PIKARELAY_NODE_ALLOW_ROOT": "true", **environment},
        ) as process,
    ):
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()[-4000:]}")
            yield {**json.loads(line), "pid": process.pid}
        finally:
            # As Ctrl-C: on SIGTERM a server goes on for two seconds, for proxies to notice.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def end_with_parent() -> None:
    """Let this process end when its stdin does. For the servers of this package."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class Local:
    """A local Discord with its Pika bot."""

    url: str
    api: str

    def get(self, path: str) -> Any:
        return ask(f"{self.url}/admin{path}")

    def post(self, path: str, body: Json) -> Any:
        return ask(f"{self.url}/admin{path}", body)

    def new_user(self, name: str) -> tuple[str, str]:
        """Return a new user's token, and its channel with the bot."""
        user = self.post("/users", {"username": name})
        return user["token"], user["dm_channels"]["Pika"]

    def ledger(self, since: int = 0) -> list[Json]:
        entries: list[Json] = self.get(f"/ledger?since={since}")["entries"]
        return entries

    def violations(self) -> int:
        return int(self.get("/violations")["total"])


@dataclass(frozen=True)
class Relay:
    """A running `pikarelay serve`."""

    url: str
    api_token: str
    pid: int

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def headers(self) -> bytes:
        """What every request to it begins its headers with."""
        return f"Host: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.api_token}\r\n".encode()


@contextmanager
def local_discord(folder: Path) -> Iterator[Local]:
    command = [str(BIN / "localdiscord"), "serve", "--port", "0", "--until-stdin-closes"]
    with running(command, folder / "localdiscord.log") as ready:
        yield Local(ready["url"], ready["api"])


@contextmanager
def relay(folder: Path, local: Local) -> Iterator[Relay]:
    """Start pikarelay on the data in `folder`. Its log goes to a file, at the level it has by default."""
    command = [
        str(BIN / "pikarelay"), "serve", "--port", "0", "--data-folder", str(folder / "data"), "--json",
        "--discord-api-url", local.api, "--callbacks-allow", "127.0.0.0/8", "--until-stdin-closes",
    ]  # fmt: skip
    # Accounts press every second and a half, like a person; here each is one of many, and the pace would be measured.
    pace = {"PIKARELAY_DISCORD_PRESS_INTERVAL_SECONDS": "0.1"}
    with running(command, folder / "pikarelay.log", **pace) as ready:
        kept = folder / "api-token"
        if "api_token" in ready:
            kept.write_text(ready["api_token"])
        yield Relay(ready["url"], kept.read_text(), ready["pid"])


@contextmanager
def beside(module: str, folder: Path, *arguments: str) -> Iterator[Json]:
    """Start a server of this package, `bench.<module>`."""
    with running([sys.executable, "-m", f"bench.{module}", *arguments], folder / f"{module}.log") as ready:
        yield ready


def ask(url: str, body: Json | None = None) -> Any:
    """GET, or POST a JSON body, and return the answer's JSON."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=PATIENCE_SECONDS) as answer:
        return json.loads(answer.read())


# What the system says


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its children so far, user and system; 0 for one that has ended."""
    try:
        # The name, in brackets, may hold blanks.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = _children(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / _TICKS
    return own + sum(map(cpu_seconds, children))


def resident_kib(pid: int) -> int:
    """Return the resident memory of a process and its children."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) + sum(map(resident_kib, _children(pid)))
    return 0


def pss_kib(pid: int) -> int:
    """Return the proportional set size of a process and its children: memory shared with others counts by its share."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return own + sum(map(pss_kib, _children(pid)))


def unshared_kib(pid: int) -> int:
    """Return the memory that a process would give back if it ended: its unique set size. Without its children's."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process on one core, where there are several to choose from."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cores[core % len(cores)]})


def _children(pid: int) -> list[int]:
    found = [task.joinpath("children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [int(child) for text in found for child in text.split()]
