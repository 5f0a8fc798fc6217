"""Figures, and how they are shown: as a table for people, as lines of JSON for programs."""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

_PACKAGES = ("pikarelay", "uvicorn", "httptools", "uvloop", "starlette", "aiohttp", "msgspec", "sqlalchemy")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Something measured."""

    name: str
    value: float
    unit: str
    #: What it is compared to, measured in the same run, in the same unit.
    compared_to: str
    reference: float
    #: The most that the value may be, or the least when `at_least`; of the ratio when `aim_is_ratio`. None: no aim.
    aim: float | None = None
    at_least: bool = False
    aim_is_ratio: bool = False
    #: Samples or rounds behind it.
    samples: int
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.value / self.reference

    @property
    def is_met(self) -> bool | None:
        """Whether the aim is met. None when there is none."""
        if self.aim is None:
            return None
        judged = self.ratio if self.aim_is_ratio else self.value
        return judged >= self.aim if self.at_least else judged < self.aim

    @property
    def shown_aim(self) -> str:
        if self.aim is None:
            return "-"
        sign = "≥" if self.at_least else "<"
        return f"{sign} {self.aim:g} x" if self.aim_is_ratio else f"{sign} {self.aim:g} {self.unit}"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where and on what it was measured."""

    time: str
    cpu: str
    cores: int
    system: str
    python: str
    packages: dict[str, str]
    commit: str


def machine() -> Machine:
    return Machine(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        commit=_commit(),
    )


def percentiles(
    name: str,
    values_ms: Sequence[float],
    bare_ms: Sequence[float],
    aims: Mapping[int, float | None],
    *,
    compared_to: str = "bare GET in between",
    note: str = "",
) -> list[Figure]:
    """Return a figure for each percentile in `aims`, compared to the same percentile of a bare exchange."""
    return [
        Figure(
            name=f"{name}, p{percent}",
            value=percentile(values_ms, percent),
            unit="ms",
            compared_to=compared_to,
            reference=percentile(bare_ms, percent),
            aim=aim,
            samples=len(values_ms),
            note=note,
        )
        for percent, aim in aims.items()
    ]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the nearest rank's value: at least `percent` % of the values are no larger."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def show(where: Machine, figures: Sequence[Figure], noise: dict[str, float]) -> None:
    """Print the table."""
    # Piped output has no width of its own.
    console = Console() if Console().is_terminal else Console(width=130)
    table = Table(title="pikarelay, measured", title_justify="left")
    table.add_column("figure", no_wrap=True)
    for heading in ("value", "against", "ratio", "aim", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("against what; samples; range")
    for each in figures:
        verdict = {True: "[green]met[/]", False: "[red]not met[/]", None: ""}[each.is_met]
        table.add_row(
            each.name,
            f"{each.value:,.4g} {each.unit}",
            f"{each.reference:,.4g}",
            f"{each.ratio:.3g} x",
            each.shown_aim,
            verdict,
            "; ".join(filter(None, (each.compared_to, f"n={each.samples}", each.note))),
        )
    console.print(table)
    console.print(
        f"{where.cpu}, {where.cores} cores, {where.system}, Python {where.python}, commit {where.commit}"
    )
    console.print(", ".join(f"{name} {version}" for name, version in where.packages.items()))
    shares = ", ".join(f"{name} {share:.2f}" for name, share in noise.items())
    console.print(f"Cores kept busy by others meanwhile: {shares}")


def write_json(file: Path, where: Machine, figures: Sequence[Figure], noise: dict[str, float]) -> None:
    """Write a line about the machine, then one a figure."""
    lines: list[dict[str, object]] = [{"machine": asdict(where), "others_cores": noise}]
    lines += [
        {"figure": each.name, "ratio": each.ratio, "is_met": each.is_met, **asdict(each)} for each in figures
    ]
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return found.stdout.strip() or "none"
