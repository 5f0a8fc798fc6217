"""
Runs the simulation: `python -m chaos.simulation COUNT [--first N] [--jobs N] [--folder F] [--sabotage NAME]`.

Prints what was at stake and each violation with its seed; exits 1 when there is one. `--replay SEED` tells one history.
"""

import argparse
import sys
import time
from pathlib import Path

from chaos.simulation import history, runner, sabotage

#: So many violations are printed; all are in the folder.
_SHOWN = 20


def main() -> int:
    options = _options()
    if options.replay is not None:
        with sabotage.applied(options.sabotage):
            return _replay(options.replay)
    began = time.monotonic()
    seeds = range(options.first, options.first + options.count)
    result = runner.Result()
    for so_far in runner.run_all(seeds, options.jobs, options.folder, broken=options.sabotage):
        result = so_far
    for seed, violations in list(result.red.items())[:_SHOWN]:
        print(f"seed {seed}: {'; '.join(violations)}")
    numbers = ", ".join(f"{count:,} {name}" for name, count in sorted(result.numbers.items()))
    seconds = time.monotonic() - began
    print(f"{result.histories:,} histories, {len(result.red)} red, in {seconds:.0f} s: {numbers}")
    return 1 if result.red else 0


def _replay(seed: int) -> int:
    verdict = history.run(seed, is_told=True)
    print(verdict.plan)
    if verdict.book is not None:
        print(verdict.book.told())
    for violation in verdict.violations:
        print(f"violated: {violation}")
    return 1 if verdict.violations else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos.simulation", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1000, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--folder", type=Path, help="where what was violated is written")
    parser.add_argument("--sabotage", choices=sorted(sabotage.SABOTAGES), help="a promise to break")
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell this seed's history")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
