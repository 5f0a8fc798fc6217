"""
`python -m bench.scale [--quick] [--json FILE]`: what nodes on one PostgreSQL database carry, and what a job costs there.

The same load with one, two and four workers: callers who create a job as soon as the last is answered, over forty accounts and
one API node, with a bot that answers at once. All of it shares this machine, the local Discord and the callers included, so
more workers cannot make it faster than its processors; what a job costs each part is what larger machines are reckoned from.

Statements are counted on their way to the database, in a short run of its own through a proxy.
"""

import argparse
import asyncio
import itertools
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.load import Client, get, post_form, run
from bench.noise import OthersBusy
from bench.processes import BIN, Local, Relay, beside, cpu_seconds, local_discord, running
from bench.report import Figure, machine, percentile, show, write_json
from bench.seats import body_of, finished
from pikarelay.services.ports import Store
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.root_key import KeySource, load_root_key
from tests.postgres import PostgresServer, postgres_server
from tests.proxy import proxy_to
from tests.store.conftest import a_caller, a_job

WORKERS = (1, 2, 4)
_ACCOUNTS = 40
_CALLERS = 24
#: As asyncpg sends them: a statement that is executed, and one that goes as text (BEGIN, COMMIT).
_EXECUTE = b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00"
_TEXT = b"Q\x00\x00\x00"


@dataclass(frozen=True)
class Nodes:
    """A running cluster."""

    api: Relay
    workers: list[int]
    local: Local


class Counted:
    """A proxy to the database in a thread of its own, and how many statements went through it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self.port = 0
        self.statements = 0
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        async with proxy_to(self._target) as proxy:
            proxy.watch = self._count
            self.port = proxy.port
            self._ready.set()
            await self._end.wait()

    def _count(self, data: bytes) -> bool:
        self.statements += data.count(_EXECUTE) + data.count(_TEXT)
        return False


@contextmanager
def cluster(folder: Path, local: Local, database: str, workers: int) -> Iterator[Nodes]:
    """Start one API node and so many workers on an empty database."""
    environment = {
        "PIKARELAY_DATABASE": database,
        "PIKARELAY_ROOT_KEY": secrets.token_hex(32),
        "PIKARELAY_DISCORD_PRESS_INTERVAL_SECONDS": "0.02",
    }

    def node(role: str, name: str) -> tuple[list[str], Path]:
        command = [
            str(BIN / "pikarelay"), "serve", "--role", role, "--port", "0", "--json", "--until-stdin-closes",
            "--data-folder", str(folder / name), "--discord-api-url", local.api,
        ]  # fmt: skip
        return command, folder / f"{name}.log"

    with ExitStack() as stack:
        api = stack.enter_context(running(*node("api", "api"), **environment))
        pids = [
            stack.enter_context(running(*node("worker", f"worker-{n}"), **environment))["pid"]
            for n in range(workers)
        ]
        yield Nodes(Relay(api["url"], api["api_token"], api["pid"]), pids, local)


async def configured(nodes: Nodes) -> list[tuple[str, str]]:
    """Set up the accounts, and have each do a job, so that every session is open."""
    local, client = nodes.local, Client(nodes.api.port)
    local.post("/apps/Pika/settings", {"speed": 0.0, "behaviour": "respond", "video": "stamped"})
    users = [local.new_user(f"scale-{secrets.token_hex(4)}") for _ in range(_ACCOUNTS)]
    for token, channel in users:
        fields = {"discord": token, "channel": channel, "maxJobs": "5"}
        await client.send(post_form(nodes.api.headers, f"/v1/pika/account/{channel}", fields))
    for n, user in enumerate(users):
        job = body_of(await client.send(create(nodes, n, user)))
        await finished(client, nodes.api, str(job["jobid"]))
    client.close()
    return users


def create(nodes: Nodes, n: int, user: tuple[str, str]) -> bytes:
    token, channel = user
    fields = {"prompt": f"paper boat number {n}", "discord": token, "channel": channel}
    return post_form(nodes.api.headers, "/v1/pika/create", fields)


async def created(nodes: Nodes, users: Sequence[tuple[str, str]], seconds: float) -> tuple[int, float]:
    """Create jobs for so long. Returns how many were completed, and the seconds until the last one was."""
    client, numbers = Client(nodes.api.port), itertools.count(1000)
    began = time.monotonic()
    jobs = 0

    async def call(first: int) -> None:
        nonlocal jobs
        for place in itertools.count(first, _CALLERS):
            if time.monotonic() - began > seconds:
                return
            answer = await client.send(create(nodes, next(numbers), users[place % len(users)]))
            if answer.status == 200:
                jobs += 1
            elif answer.status != 429:
                raise RuntimeError(f"HTTP status {answer.status}: {answer.body!r}")

    await asyncio.gather(*map(call, range(_CALLERS)))
    # Rarely asked, for what is asked costs statements too.
    while (await client.send(get(nodes.api.headers, "/v1/pika/jobs"))).body != b"[]":  # noqa: ASYNC110 -- nobody tells
        await asyncio.sleep(0.25)
    client.close()
    return jobs, time.monotonic() - began


def throughput(folder: Path, postgres: PostgresServer, workers: int, seconds: float) -> dict[str, float]:
    """Return what one number of workers carries, and what a job costs, by part."""
    folder.mkdir()
    with local_discord(folder) as local, cluster(folder, local, postgres.new_database(), workers) as nodes:
        users = run(configured(nodes))
        parts = {"API node": [nodes.api.pid], "workers": nodes.workers, "PostgreSQL": [postgres.pid]}
        before = {name: sum(map(cpu_seconds, pids)) for name, pids in parts.items()}
        jobs, took = run(created(nodes, users, seconds))
        used = {name: sum(map(cpu_seconds, pids)) - before[name] for name, pids in parts.items()}
        if local.violations():
            raise RuntimeError(f"{local.violations()} violations of Discord's rules")
    return {"jobs": jobs, "rate": jobs / took, **{name: its / jobs * 1000 for name, its in used.items()}}


def statements(folder: Path, postgres: PostgresServer, workers: int, seconds: float) -> float:
    """Return how many statements a job takes, BEGIN and COMMIT included, and what idle nodes ask meanwhile."""
    folder.mkdir()
    with Counted(postgres.port) as counted, local_discord(folder) as local:
        url = postgres.new_database().replace(f":{postgres.port}/", f":{counted.port}/")
        with cluster(folder, local, url, workers) as nodes:
            users = run(configured(nodes))
            before = counted.statements
            jobs, _ = run(created(nodes, users, seconds))
            return (counted.statements - before) / jobs


def wake(folder: Path, postgres: PostgresServer, count: int) -> tuple[list[float], list[float], list[float]]:
    """Return in milliseconds, for each of `count` admissions: commit to owner, the admission, and a bare transaction."""
    folder.mkdir()
    url = postgres.new_database()
    with beside("hearer", folder, url, str(folder)) as hearer:
        del hearer
        begun, ended, bare = run(_admissions(folder, url, count))
    heard = dict(line.split() for line in (folder / "heard").read_text().splitlines())
    took = [(int(heard[job]) - at) / 1e6 for job, at in ended.items()]
    return took, [(ended[job] - at) / 1e6 for job, at in begun.items()], bare


async def _admissions(
    folder: Path, url: str, count: int
) -> tuple[dict[str, int], dict[str, int], list[float]]:
    begun: dict[str, int] = {}
    ended: dict[str, int] = {}
    bare: list[float] = []
    async with PostgresStore.open(url, root_key=load_root_key(KeySource(folder))) as opened:
        store: Store = opened
        await store.add_caller(a_caller())
        for n in range(count):
            job = a_job(n, channel=str(n % 50))
            begun[job.job_id] = time.monotonic_ns()
            await store.admit("ann", [job.channel], lambda _, job=job: job)
            ended[job.job_id] = time.monotonic_ns()
            at = time.monotonic_ns()
            await opened.ping()
            bare.append((time.monotonic_ns() - at) / 1e6)
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)
    return begun, ended, bare


def measure(*, quick: bool) -> list[Figure]:
    seconds, wakes = (8.0, 200) if quick else (20.0, 1000)
    figures = []
    with tempfile.TemporaryDirectory() as name, postgres_server(is_durable=True) as postgres:
        folder = Path(name)
        found = {n: throughput(folder / f"rate-{n}", postgres, n, seconds) for n in WORKERS}
        counted = {n: statements(folder / f"count-{n}", postgres, n, seconds / 2) for n in WORKERS}
        for n in WORKERS:
            its, one = found[n], found[WORKERS[0]]
            jobs = int(its["jobs"])
            workers = f"{n} worker{'s' if n > 1 else ''}"
            cost = ", ".join(f"{part} {its[part]:.1f}" for part in ("API node", "workers", "PostgreSQL"))
            figures += [
                Figure(
                    name=f"jobs, {workers}", value=its["rate"], unit="/s", compared_to="1 worker",
                    reference=one["rate"], samples=jobs, note=f"processor time a job, ms: {cost}",
                ),
                Figure(
                    name=f"statements a job, {workers}", value=counted[n], unit="", compared_to="1 worker",
                    reference=counted[WORKERS[0]], samples=jobs,
                ),
            ]  # fmt: skip
        took, admission, bare = wake(folder / "wake", postgres, wakes)
    aims = {50: 3.0, 99: 20.0}
    figures += [
        Figure(
            name=f"commit to owner, p{percent}", value=percentile(took, percent), unit="ms",
            compared_to="a bare transaction", reference=percentile(bare, percent), aim=aim, samples=len(took),
            note=f"the admission itself: {percentile(admission, percent):.3g} ms",
        )
        for percent, aim in aims.items()
    ]  # fmt: skip
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.scale", description="Measure several nodes on this machine.")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, one a line")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    others = OthersBusy()
    figures = measure(quick=options.quick)
    noise = {"scale": others.cores()}
    show(machine(), figures, noise)
    if options.json:
        write_json(options.json, machine(), figures, noise)


if __name__ == "__main__":
    main()
