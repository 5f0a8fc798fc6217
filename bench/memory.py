"""
Resident memory of `pikarelay serve`: idle, and for each account whose Gateway session is up.

Each value is of a freshly started server: without accounts, then with two hundred of them configured.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.load import Client, post_form, run
from bench.processes import PATIENCE_SECONDS, Local, Relay, beside, local_discord, relay, resident_kib
from bench.report import Figure

ACCOUNTS = 200


def measure(*, quick: bool) -> list[Figure]:
    rounds = 1 if quick else 3
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with local_discord(folder) as local, beside("hello", folder) as hello:
            bare = resident_kib(hello["pid"])
            # The very first start makes the schema, which takes memory that no later one does.
            with relay(folder, local):
                pass
            idle = [_fresh(folder, local, 0) for _ in range(rounds)]
            with relay(folder, local) as server:
                run(_configure(server, local))
            busy = [_fresh(folder, local, ACCOUNTS) for _ in range(rounds)]
    each = [(full - median(idle)) / ACCOUNTS for full in busy]
    return [
        Figure(
            name="memory, idle",
            value=median(idle) / 1024,
            unit="MiB",
            compared_to="a bare server",
            reference=bare / 1024,
            aim=80,
            samples=rounds,
        ),
        Figure(
            name=f"memory, each of {ACCOUNTS} accounts",
            value=median(each),
            unit="KiB",
            compared_to="serve without accounts",
            reference=median(idle),
            aim=100,
            samples=rounds,
            note=f"{median(busy) / 1024:.1f} MiB in all",
        ),
    ]


async def _configure(server: Relay, local: Local) -> None:
    client = Client(server.port)
    for n in range(ACCOUNTS):
        token, channel = local.new_user(f"account-{n}")
        fields = {"discord": token, "channel": channel, "maxJobs": "5"}
        request = post_form(server.headers, f"/v1/pika/account/{channel}", fields)
        answer = await client.send(request)
        if answer.status not in {200, 201, 204}:
            raise RuntimeError(f"HTTP status {answer.status}: {answer.body!r}")
    client.close()


def _fresh(folder: Path, local: Local, sessions: int) -> int:
    """Start the server, wait for its sessions, and return its resident memory once that stays the same."""
    begin = local.get("/ledger?since=0&limit=0")["last"]
    with relay(folder, local) as server:
        _wait_until(
            lambda: sum(e["event"] in {"identified", "resumed"} for e in local.ledger(begin)) >= sessions
        )
        return _settled(server.pid)


def _settled(pid: int) -> int:
    last = 0

    def is_settled() -> bool:
        nonlocal last
        before, last = last, resident_kib(pid)
        return before == last

    _wait_until(is_settled, pause=1.0)
    return last


def _wait_until(holds: Callable[[], bool], pause: float = 0.2) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError("it did not come to rest")
        time.sleep(pause)
