"""
The runner: `python -m chaos [quick|full|sabotage] [--rows C1,C2] [--seed N]`.

Prints seed, commit, counts, where the ledgers are, and a line for each row; exits 1 when anything was violated.
"""

import argparse
import asyncio
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chaos.outcome import Outcome, Scene
from chaos.processes import ROOT
from chaos.stage import copied_sources

ROWS = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10", "C11", "C12", "C13", "C14", "C15")
#: Those of a quick run unless rows are named. The others take longer than one should wait for before a landing.
QUICK_ROWS = tuple(row for row in ROWS if row not in {"C4", "C6", "C12", "C13", "C15"})


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="pikarelay-chaos-"))
    print(f"chaos {options.size}: seed {options.seed}, commit {commit()}, ledgers in {folder}", flush=True)
    if options.size == "sabotage":
        from chaos import sabotage_run

        return asyncio.run(sabotage_run.run_all(folder, options.seed, options.only))
    folder.mkdir(parents=True, exist_ok=True)
    copied_sources(folder)
    outcomes = asyncio.run(_run_rows(options, folder))
    red = [outcome.row for outcome in outcomes if not outcome.is_good]
    print(
        f"{len(outcomes) - len(red)} of {len(outcomes)} rows green"
        + (f"; red: {', '.join(red)}" if red else "")
    )
    return 1 if red else 0


async def _run_rows(options: argparse.Namespace, folder: Path) -> list[Outcome]:
    """Run the rows, some at a time: most of what they do is to wait."""
    places = asyncio.Semaphore(options.jobs)

    async def one(row: str) -> Outcome:
        async with places:
            began = time.monotonic()
            outcome = await run_row(row, Scene(folder / row, options.seed, full=options.size == "full"))
            print(*outcome.lines(), f"     {time.monotonic() - began:.0f} s", sep="\n", flush=True)
            return outcome

    return await asyncio.gather(*(one(row) for row in options.rows))


async def run_row(row: str, scene: Scene) -> Outcome:
    module = importlib.import_module(f"chaos.rows.c{int(row[1:]):02d}")
    outcome = Outcome(row)
    try:
        await module.run(scene, outcome)
    except Exception as error:  # noqa: BLE001  # a row that cannot be run is red, and the others still run
        import traceback

        traceback.print_exc()
        outcome.violations.append(f"the row ended with {type(error).__name__}: {error}")
    return outcome


def commit() -> str:
    """Return what was tested: the commit, and whether files differ from it."""
    known = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+changes"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return known.stdout.strip() or "unknown"


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("size", nargs="?", default="quick", choices=["quick", "full", "sabotage"])
    parser.add_argument("--rows", type=_rows, help="only these, as C1,C2")
    parser.add_argument("--only", type=lambda text: text.split(","), help="only these sabotages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=3, help="rows at a time")
    parser.add_argument("--folder", type=Path, help="where the ledgers go; a new folder unless given")
    options = parser.parse_args(sys.argv[1:] if argv is None else argv)
    if options.rows is None:
        options.rows = ROWS if options.size == "full" else QUICK_ROWS
    return options


def _rows(text: str) -> tuple[str, ...]:
    rows = tuple(text.upper().split(","))
    if unknown := set(rows) - set(ROWS):
        raise argparse.ArgumentTypeError(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return rows
