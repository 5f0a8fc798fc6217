"""
Whether reads stay fast when jobs pile up: one job by its id, and the list of those that execute.

Two servers stand side by side, one with a thousand stored jobs and one with a million, and are asked in turns over one connection
each. The jobs asked for lie scattered among the rest, so that they are not all on the same few pages.
"""

import asyncio
import contextlib
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.load import Client, get, run
from bench.processes import Relay, local_discord, relay
from bench.report import Figure, percentile
from bench.seats import body_of
from bench.stored import CHANNEL, job_id, stored_job
from pikarelay import bootstrap
from pikarelay.settings import Settings

FEW = 1_000
READ = 500
EXECUTING = 10


def measure(*, quick: bool) -> list[Figure]:
    """Fill both stores, then read from them in turns."""
    many, samples = (100_000, 1_500) if quick else (1_000_000, 5_000)
    with tempfile.TemporaryDirectory() as name, local_discord(Path(name)) as local:
        folders = [Path(name) / "few", Path(name) / "many"]
        for folder, count in zip(folders, (FEW, many), strict=True):
            folder.mkdir()
            with relay(folder, local):
                pass  # makes the schema and the API token
            asyncio.run(_fill(folder / "data", count))
        with relay(folders[0], local) as few, relay(folders[1], local) as full:
            job = run(
                _in_turns(few, full, [f"/v1/pika/jobs/?jobid={job_id(n)}" for n in _read_ids()], samples)
            )
            listed = run(_in_turns(few, full, ["/v1/pika/jobs"], samples))
    return [
        _figure("GET job", job, many, samples),
        _figure("GET jobs (the list)", listed, many, samples),
    ]


def _figure(name: str, times: tuple[list[float], list[float]], many: int, samples: int) -> Figure:
    few, full = (percentile(each, 99) for each in times)
    medians = [percentile(each, 50) for each in times]
    return Figure(
        name=f"{name}, {many:,} stored, p99",
        value=full,
        unit="ms",
        compared_to=f"with {FEW:,} stored",
        reference=few,
        aim=1.2,
        aim_is_ratio=True,
        samples=samples,
        note=f"p50 {medians[1]:.3g} ms against {medians[0]:.3g} ms",
    )


async def _in_turns(
    few: Relay, full: Relay, paths: Sequence[str], samples: int
) -> tuple[list[float], list[float]]:
    """Return how long each took at either server, in milliseconds."""
    times: tuple[list[float], list[float]] = ([], [])
    chance = random.Random(1)
    asked = [(server, Client(server.port), kept) for server, kept in zip((few, full), times, strict=True)]
    for round_ in range(samples + 200):
        path = chance.choice(paths)
        for server, client, kept in asked:
            began = time.perf_counter()
            answer = await client.send(get(server.headers, path))
            took = time.perf_counter() - began
            if round_ >= 200:  # before that, caches warm up
                kept.append(took * 1000)
            elif round_ == 0 and answer.status != 200:
                body_of(answer)
    for _, client, _ in asked:
        client.close()
    return times


# Filling a store


async def _fill(data: Path, count: int) -> None:
    """Store jobs that can be read, among copies that only take up room."""
    settings = Settings.load({}, "", {"store.data_folder": str(data)})
    async with bootstrap.open_offices(settings) as offices:
        caller = await offices.callers.named()
        for n in _read_ids():
            await offices.store.admit(
                caller.caller_id, [CHANNEL], lambda _, n=n: stored_job(n, caller.caller_id)
            )
        for n in range(EXECUTING):
            running = stored_job(n, caller.caller_id, is_running=True)
            await offices.store.admit(caller.caller_id, [CHANNEL], lambda _, job=running: job)
    _add_copies(data / "pikarelay.sqlite3", count)


def _add_copies(database: Path, count: int) -> None:
    with _opened(database) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
        own = {"job_id": "printf('%026d', n.i * 7 + 3)", "nonce": "printf('%d', 2000000000000000000 + n.i)"}
        chosen = ", ".join(own.get(column, f"jobs.{column}") for column in columns)
        there = connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            f" INSERT INTO jobs ({', '.join(columns)}) SELECT {chosen} FROM n, jobs WHERE jobs.job_id = ?",
            (count - there, job_id(_read_ids()[0])),
        )
        connection.commit()


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        yield connection


def _read_ids() -> list[int]:
    """Return numbers scattered over those of the copies."""
    return [n * (7_000_000 // READ) + 1 for n in range(READ)]
