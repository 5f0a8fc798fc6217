"""
What the nodes ask the database, statement by statement: for each job, and for nothing.

The database logs every statement that it is asked to run; what it was is known by its text.
"""

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load import run
from bench.nodes import cluster, configured, created
from bench.processes import local_discord
from pikarelay.store.compile import for_postgresql
from pikarelay.store.ears import NOTIFY, SIGNS
from tests.postgres import PostgresServer

#: What the database is to be started with. Parameters are nobody's business, and long.
LOGGED: Mapping[str, str] = {
    "log_statement": "all",
    "log_line_prefix": "%p ",
    "log_parameter_max_length": "0",
}
_ENTRY = re.compile(r"\d+ LOG:  (?:statement|execute [^:]+): ")


@dataclass(frozen=True)
class Asked:
    """How often each statement was run: for each job, and in each second in which nobody had one."""

    jobs: int
    a_job: Mapping[str, float]
    a_second: Mapping[str, float]

    @property
    def total(self) -> float:
        """All statements for each job."""
        return sum(self.a_job.values())


def asked(folder: Path, postgres: PostgresServer, workers: int, seconds: float) -> Asked:
    """Count statements while so many workers are busy, and for as long with nothing to do. `postgres` is started with `LOGGED`."""
    folder.mkdir()
    known = _names()
    with local_discord(folder) as local, cluster(folder, local, postgres.new_database(), workers) as nodes:
        users = run(configured(nodes))
        start = _size(postgres.log)
        jobs, _ = run(created(nodes, users, seconds))
        busy = _counted(postgres.log, start, known)
        start, began = _size(postgres.log), time.monotonic()
        time.sleep(seconds)
        idle, took = _counted(postgres.log, start, known), time.monotonic() - began
    return Asked(
        jobs,
        {name: count / jobs for name, count in busy.items()},
        {name: count / took for name, count in idle.items()},
    )


def show_statements(found: Mapping[int, Asked]) -> None:
    """Print a table, the most frequent statements first; `found` by number of workers."""
    table = Table(title="Statements on PostgreSQL", title_justify="left")
    table.add_column("statement", no_wrap=True)
    for workers in found:
        table.add_column(f"a job, {workers} w.", justify="right")
        table.add_column("a second, idle", justify="right")
    first = next(iter(found.values()))
    names = {name for its in found.values() for name in (*its.a_job, *its.a_second)}
    for name in sorted(names, key=lambda name: (-first.a_job.get(name, 0), name)):
        table.add_row(
            name, *_cells([(its.a_job.get(name, 0), its.a_second.get(name, 0)) for its in found.values()])
        )
    table.add_section()
    table.add_row("all", *_cells([(its.total, sum(its.a_second.values())) for its in found.values()]))
    Console(width=130).print(table)


def _cells(pairs: Sequence[tuple[float, float]]) -> list[str]:
    return [f"{value:.2f}" for pair in pairs for value in pair]


def _size(log: Path) -> int:
    return log.stat().st_size


def _counted(log: Path, start: int, known: Mapping[str, str]) -> Counter[str]:
    """Return how often each statement was run since the log had that size."""
    with log.open("rb") as file:
        file.seek(start)
        return counted(file.read().decode(errors="replace"), known)


def counted(text: str, known: Mapping[str, str]) -> Counter[str]:
    """Count the statements of a log by name; those without one, by how they begin. Pure."""
    counts: Counter[str] = Counter()
    # Lines that go on begin with a tab.
    for entry in re.split(r"\n(?!\t)", text):
        if (found := _ENTRY.match(entry)) is not None:
            statement = entry[found.end() :].replace("\n\t", "\n").strip()
            counts[known.get(statement, statement.partition("\n")[0][:40])] += 1
    return counts


def _names() -> dict[str, str]:
    """Return what each statement's text is called."""
    named = {sql.text.strip(): name for name, sql in for_postgresql().items()}
    return {**named, NOTIFY.strip(): "announce", SIGNS.strip(): "signs"}
