"""Many seeds, over some processes."""

import gc
import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from chaos.simulation import history, sabotage

#: So many seeds go to a process at a time.
_PORTION = 200


@dataclass
class Result:
    """What became of a range of seeds."""

    histories: int = 0
    numbers: Counter[str] = field(default_factory=Counter)
    #: What was violated, by seed.
    red: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Result") -> None:
        self.histories += other.histories
        self.numbers += other.numbers
        self.red |= other.red

    def as_json(self) -> str:
        return json.dumps(
            {"histories": self.histories, "numbers": self.numbers, "red": self.red}, sort_keys=True
        )


def run(seeds: range, *, broken: str | None = None, until_red: bool = False) -> Result:
    """Run these seeds one after the other, with a promise broken on purpose if so named."""
    result = Result()
    with sabotage.applied(broken):
        for seed in seeds:
            verdict = history.run(seed)
            result.histories += 1
            result.numbers += verdict.numbers
            if verdict.violations:
                result.red[seed] = verdict.violations
                if until_red:
                    break
            if seed % _PORTION == 0:
                gc.collect()
    return result


def run_all(
    seeds: range, processes: int, folder: Path | None, *, broken: str | None = None
) -> Iterator[Result]:
    """Run these seeds on so many processors. Yields what has become of them so far, after each portion."""
    total = Result()
    context = multiprocessing.get_context("forkserver")
    portions = [seeds[start : start + _PORTION] for start in range(0, len(seeds), _PORTION)]
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for result in pool.map(_run, portions, [broken] * len(portions)):
            total.add(result)
            if folder is not None:
                (folder / "simulation.json").write_text(total.as_json())
            yield total


def _run(seeds: range, broken: str | None) -> Result:
    return run(seeds, broken=broken)
