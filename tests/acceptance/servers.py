"""The installed programs in processes of their own, as a user runs them, and a receiver for their callbacks."""

import contextlib
import http.server
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from types import MappingProxyType
from typing import Any

import requests

BIN = Path(sys.executable).parent

#: How long any one thing may take on a busy machine. Nothing here waits that long when all is well.
PATIENCE = 30.0


@contextmanager
def running(
    command: list[str], log: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[dict[str, Any]]:
    """Start a server that says in one line of JSON when it is ready, and yield that line; stop it afterwards."""
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**clean_environment(), **environment},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"{command[0]} did not start:\n{log.read_text()[-4000:]}"
            yield {**json.loads(line), "pid": process.pid, "process": process}
        finally:
            # As Ctrl-C: on SIGTERM a server goes on for two seconds, for proxies to notice.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@dataclass
class Local:
    """A running local Discord."""

    url: str
    ready: dict[str, Any]

    @property
    def api(self) -> str:
        return str(self.ready["api"])

    def get(self, path: str) -> Any:
        return requests.get(self.url + "/admin" + path, timeout=PATIENCE).json()

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = requests.post(self.url + "/admin" + path, json=body or {}, timeout=PATIENCE)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def delete(self, path: str) -> None:
        requests.delete(self.url + "/admin" + path, timeout=PATIENCE)

    def new_user(self, name: str) -> tuple[str, str]:
        """Return a new user's token, and its channel with the Pika bot."""
        user = self.post("/users", {"username": name})
        return user["token"], user["dm_channels"]["Pika"]

    def configure_pika(self, **settings: Any) -> None:
        self.post("/apps/Pika/settings", settings)

    def ledger(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.get("/ledger?since=0")["entries"]
        return entries

    def violations(self) -> dict[str, int]:
        by_kind: dict[str, int] = self.get("/violations")["by_kind"]
        return by_kind


@dataclass
class Relay:
    """A running pikarelay."""

    url: str
    api_token: str
    data_folder: Path
    log: Path
    #: Of its process.
    pid: int
    #: The environment variables that it was started with.
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def stored_jobs(self) -> int:
        """Count the jobs on the disk, without asking the server."""
        return len(self.nonces())

    def nonces(self) -> dict[str, str]:
        """Return from the disk which job sent which nonce."""
        with contextlib.closing(sqlite3.connect(self.data_folder / "pikarelay.sqlite3")) as database:
            return dict(database.execute("SELECT job_id, nonce FROM jobs").fetchall())

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_token}"}

    def post(self, verb: str, fields: dict[str, str], **more: Any) -> requests.Response:
        """POST a multipart form as `requests` does."""
        files: dict[str, Any] = {name: (None, value) for name, value in fields.items()}
        return requests.post(
            f"{self.url}/v1/pika/{verb}", headers=self.headers, files=files, timeout=PATIENCE, **more
        )

    def configure(self, seat: tuple[str, str], max_jobs: int = 10) -> None:
        """Set up the account of a token and its channel."""
        token, channel = seat
        answer = requests.post(
            f"{self.url}/v1/pika/account/{channel}",
            json={"discord": token, "channel": channel, "maxJobs": max_jobs},
            headers=self.headers,
            timeout=PATIENCE,
        )
        assert (204, b"") == (answer.status_code, answer.content), answer.text

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, headers=self.headers, timeout=PATIENCE)

    def job(self, job_id: str) -> dict[str, Any]:
        body: dict[str, Any] = self.get(f"/v1/pika/jobs/?jobid={job_id}").json()
        return body

    def finished(self, job_id: str) -> dict[str, Any]:
        """Poll as clients do, until the job has ended."""
        deadline = time.monotonic() + PATIENCE
        while (job := self.job(job_id)).get("status") in {"started", "progress"}:
            assert time.monotonic() < deadline, f"the job did not end: {job}"
            time.sleep(0.02)
        return job

    def submitted(self, verb: str, fields: dict[str, str]) -> dict[str, Any]:
        """POST as patient clients do, again after each 429, and return the job."""
        deadline = time.monotonic() + PATIENCE
        while (answer := self.post(verb, fields)).status_code == 429:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.1)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def created(self, prompt: str, token: str, channel: str, **fields: str) -> dict[str, Any]:
        """Make a job and return it completed."""
        answer = self.post("create", {"prompt": prompt, "discord": token, "channel": channel, **fields})
        assert answer.status_code == 200, answer.text
        job = self.finished(answer.json()["jobid"])
        assert job["status"] == "completed", job
        return job

    def command(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command-line program on the server's data."""
        return subprocess.run(
            [str(BIN / "pikarelay"), *arguments, "--data-folder", str(self.data_folder)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={**clean_environment(), **self.environment},
            check=False,
        )

    def new_token(self, tenant: str, *arguments: str) -> str:
        """Return a new API token of a tenant, who is added when there is none of that name."""
        added = self.command("tenant", "add", tenant)
        assert added.returncode == 0 or "already" in added.stderr, added.stderr
        made = self.command("token", "add", "--tenant", tenant, *arguments)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def start_command(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the same, and leave it running."""
        return subprocess.Popen(
            [str(BIN / "pikarelay"), *arguments, "--data-folder", str(self.data_folder)],
            text=True,
            env={**clean_environment(), **self.environment},
        )


@contextmanager
def local_discord(folder: Path, *, speed: float = 0.0, **options: str) -> Iterator[Local]:
    """Start a local Discord whose bot works as fast as it can."""
    command = [
        str(BIN / "localdiscord"),
        "serve",
        "--port",
        "0",
        "--speed",
        str(speed),
        "--until-stdin-closes",
    ]
    for name, value in options.items():
        command += [f"--{name}", value]
    with running(command, folder / "localdiscord.log") as ready:
        yield Local(ready["url"], ready)


@contextmanager
def relay(
    folder: Path,
    local: Local,
    *arguments: str,
    port: int = 0,
    prefix: Sequence[str] = (),
    opens: Sequence[str] = ("127.0.0.0/8",),
    **settings: str,
) -> Iterator[Relay]:
    """
    Start pikarelay with a data folder in `folder`; a second start there continues where the first ended.

    `prefix` is a command that runs the server, one that gives it surroundings of its own. `opens` are networks that callbacks
    may reach although they are not public.

    `settings` are environment variables without their prefix, in lower case: `discord_answer_wait_seconds="2"`.
    """
    environment = {f"PIKARELAY_{name.upper()}": value for name, value in settings.items()}
    data_folder, log = folder / "data", folder / "pikarelay.log"
    command = [
        *prefix, str(BIN / "pikarelay"), "serve", "--port", str(port), "--data-folder", str(data_folder), "--json",
        "--discord-api-url", local.api, *(word for network in opens for word in ("--callbacks-allow", network)),
        "--until-stdin-closes", *arguments,
    ]  # fmt: skip
    with running(command, log, environment) as ready:
        token_file = folder / "api-token"
        if "api_token" in ready:
            token_file.write_text(ready["api_token"])
        pid, process = ready["pid"], ready["process"]
        yield Relay(ready["url"], token_file.read_text(), data_folder, log, pid, environment, process)


@dataclass
class Receiver:
    """A caller's server: takes callbacks, and keeps what came."""

    url: str
    callbacks: "Queue[Received]" = field(default_factory=Queue)

    def next(self) -> "Received":
        return self.callbacks.get(timeout=PATIENCE)


@dataclass
class Received:
    """One callback as it came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def job(self) -> dict[str, Any]:
        job: dict[str, Any] = json.loads(self.body)
        return job


@contextmanager
def receiver(before_answer: Callable[[], None] = lambda: None) -> Iterator[Receiver]:
    """Listen on a free port. What `before_answer` does, a receiver does before each of its answers."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            # Exactly as many bytes as announced, as one official client reads them.
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.callbacks.put(Received({k.lower(): v for k, v in self.headers.items()}, body))
            before_answer()
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def clean_environment() -> dict[str, str]:
    """Return our environment without settings, in which root may serve: who runs the tests is not what they are about."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIKARELAY_")}
    return {**kept, "PIKARELAY_NODE_ALLOW_ROOT": "true"}
