"""
`python -m bench.scale [--quick] [--only PART] [--statements] [--json FILE]`: what nodes on one PostgreSQL database carry.

Three parts. `nodes`: the same load with one, two and four workers, callers who create a job as soon as the last is answered, over
forty accounts and one API node, with a bot that answers at once; and how soon the owner of a job hears of it. `statements`: what
such a job asks the database. `accounts`: thousands of accounts on one worker, see `bench.accounts`.

All of it shares this machine, the local Discord and the callers included, so more workers cannot make it faster than its
processors; what a job costs each part is what larger machines are reckoned from.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import accounts
from bench.load import run
from bench.nodes import cluster, configured, created
from bench.noise import OthersBusy
from bench.processes import beside, cpu_seconds, local_discord
from bench.report import Figure, machine, percentile, show, write_json
from bench.statements import LOGGED, Asked, asked, show_statements
from pikarelay.services.ports import Store
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.root_key import KeySource, load_root_key
from tests.postgres import PostgresServer, postgres_server
from tests.store.conftest import a_caller, a_job

WORKERS = (1, 2, 4)


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


def measure_nodes(folder: Path, *, quick: bool) -> list[Figure]:
    seconds, wakes = (8.0, 200) if quick else (20.0, 1000)
    figures = []
    with postgres_server(is_durable=True) as postgres:
        found = {n: throughput(folder / f"rate-{n}", postgres, n, seconds) for n in WORKERS}
        for n, its in found.items():
            cost = ", ".join(f"{part} {its[part]:.1f}" for part in ("API node", "workers", "PostgreSQL"))
            figures.append(
                Figure(
                    name=f"jobs, {_workers(n)}", value=its["rate"], unit="/s", compared_to="1 worker",
                    reference=found[WORKERS[0]]["rate"], samples=int(its["jobs"]),
                    note=f"processor time a job, ms: {cost}",
                )
            )  # fmt: skip
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


def measure_statements(folder: Path, *, quick: bool) -> dict[int, Asked]:
    with postgres_server(is_durable=True, settings=LOGGED) as postgres:
        return {n: asked(folder / f"asked-{n}", postgres, n, 5.0 if quick else 10.0) for n in WORKERS}


def statement_figures(found: dict[int, Asked]) -> list[Figure]:
    return [
        Figure(
            name=f"statements a job, {_workers(n)}", value=its.total, unit="", compared_to="1 worker",
            reference=found[WORKERS[0]].total, samples=its.jobs,
            note=f"{sum(its.a_second.values()):.1f} a second when idle",
        )
        for n, its in found.items()
    ]  # fmt: skip


def measure_accounts(folder: Path, *, quick: bool) -> list[Figure]:
    with postgres_server(is_durable=True) as postgres:
        return accounts.measure(folder / "accounts", postgres, quick=quick)


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.scale", description="Measure several nodes on this machine.")
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument(
        "--only",
        choices=("nodes", "statements", "accounts"),
        action="append",
        help="this part; may be repeated",
    )
    parser.add_argument("--statements", action="store_true", help="show how often each statement is run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, one a line")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    found: dict[int, Asked] = {}

    def count_statements(folder: Path, *, quick: bool) -> list[Figure]:
        found.update(measure_statements(folder, quick=quick))
        return statement_figures(found)

    parts: dict[str, Callable[..., list[Figure]]] = {
        "nodes": measure_nodes,
        "statements": count_statements,
        "accounts": measure_accounts,
    }
    figures: list[Figure] = []
    noise: dict[str, float] = {}
    for name in options.only or parts:
        print(f"{name} …", flush=True)
        others = OthersBusy()
        with tempfile.TemporaryDirectory() as folder:
            figures += parts[name](Path(folder), quick=options.quick)
        noise[name] = others.cores()
    show(machine(), figures, noise)
    if options.statements and found:
        show_statements(found)
    if options.json:
        write_json(options.json, machine(), figures, noise)


if __name__ == "__main__":
    main()
