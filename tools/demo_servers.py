"""The demo's two servers, as children that cannot outlive it, and its receiver of callbacks."""

import http.server
import json
import os
import queue
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from demo_signals import deferred, ignore

BIN = Path(sys.executable).parent

_START_SECONDS = 60
_STOP_SECONDS = 10


class DemoFailedError(Exception):
    """The demo cannot go on. The message says why, in one line."""


def environment() -> dict[str, str]:
    """
    Return our environment without a user's settings of pikarelay, and without proxies: all here is loopback.

    That is why root may serve as well.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIKARELAY_", "LOCALDISCORD_")) and not name.lower().endswith("_proxy")
    }
    return {**kept, "PIKARELAY_NODE_ALLOW_ROOT": "true"}


@dataclass(frozen=True)
class Server:
    """A server that runs as our child."""

    name: str
    #: What it said in its one line of JSON when it was ready.
    ready: dict[str, Any]
    process: subprocess.Popen[bytes]

    def check(self) -> None:
        """Raise `DemoFailedError` when the server has ended by itself."""
        status = self.process.poll()
        if status is not None:
            raise DemoFailedError(f"{self.name} ended with status {status}")


class Servers:
    """
    Starts servers, and stops them in reverse order.

    Each gets a pipe for its stdin and ends when that closes. The other end is ours alone, so the system closes it
    whatever ends us. Each is in a session of its own, so that Ctrl-C reaches only us and they end in our order.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[Server] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        ignore()
        self._stack.close()

    def start(self, name: str, *arguments: str) -> Server:
        """Start `name` and return once it is ready. Raises `DemoFailedError` when it does not get there."""
        with self.log_of(name).open("wb") as log, deferred():
            process = subprocess.Popen(
                [BIN / name, *arguments, "--until-stdin-closes"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                start_new_session=True,
            )
            self._stack.callback(_stop, process)
        server = Server(name, _read_ready(name, process), process)
        self._running.append(server)
        return server

    def check(self) -> None:
        """Raise `DemoFailedError` when a server has ended by itself."""
        for server in self._running:
            server.check()

    def log_of(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def tails(self, lines: int = 15) -> Iterator[tuple[str, str]]:
        """Yield the end of each log that there is, with its name."""
        for path in sorted(self._logs.glob("*.log")):
            text = path.read_text(encoding="utf-8", errors="replace").splitlines()
            yield path.name, "\n".join(text[-lines:])


def _read_ready(name: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None  # noqa: S101 - we asked for the pipe
    readable, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
    if not readable:
        raise DemoFailedError(f"{name} was not ready after {_START_SECONDS} seconds")
    line = process.stdout.readline()
    try:
        ready: dict[str, Any] = json.loads(line)
    except ValueError:
        raise DemoFailedError(f"{name} did not start") from None
    return ready


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Close the server's stdin, which asks it to end, and see to it that it does."""
    assert process.stdin is not None  # noqa: S101 - we asked for the pipe
    assert process.stdout is not None  # noqa: S101 - we asked for the pipe
    process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def run(command: list[str | Path], *, stdin: str = "", seconds: float = 60) -> str:
    """Run a command to its end and return what it printed. Raises `DemoFailedError` when it fails."""
    name = Path(command[0]).name
    with ExitStack() as stack:
        with deferred():
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
                start_new_session=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
        try:
            output, errors = process.communicate(stdin, seconds)
        except subprocess.TimeoutExpired:
            raise DemoFailedError(f"{name} took longer than {seconds:.0f} seconds") from None
    if process.returncode != 0:
        reasons = errors.strip().splitlines() or ["no reason given"]
        raise DemoFailedError(f"{name} ended with status {process.returncode}: {reasons[-1]}")
    return output


class Receiver:
    """A customer's server: takes callbacks, and keeps their bodies in the order in which they came."""

    def __init__(self, port: int, bodies: "queue.Queue[dict[str, Any]]") -> None:
        self.url = f"http://127.0.0.1:{port}/callback"
        self._bodies = bodies

    def next(self, seconds: float) -> dict[str, Any] | None:
        """Return the next callback's job; None when none comes in time."""
        try:
            return self._bodies.get(timeout=seconds)
        except queue.Empty:
            return None


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listen on a free port of the loopback interface."""
    bodies: queue.Queue[dict[str, Any]] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield Receiver(server.server_port, bodies)
        finally:
            server.shutdown()
