"""
`python -m chaos.cluster [--seed N] [--seconds N] [--channels N] [--nodes N] [--rolling | --upgrade] [--folder PATH]`.

Exits 1 when anything was violated.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from chaos.cli import commit
from chaos.cluster.run import CHANNELS, run
from chaos.cluster.strikes import Strikes
from chaos.cluster.upgrade import upgraded
from chaos.judge import Violation
from chaos.rows.c04 import ENDS_WITHIN_SECONDS, no_accepted_request_fails
from chaos.stage import Verdict, copied_sources


def bad_ends(ends: Sequence[tuple[float, int]]) -> list[Violation]:
    return [
        Violation("rolling", f"a node ended with status {status}", f"after {seconds:.1f} s")
        for seconds, status in ends
        if status or seconds > ENDS_WITHIN_SECONDS
    ]


def good_order(verdict: Verdict, played: Strikes) -> list[Violation]:
    """Judge a run in which nobody may notice anything."""
    print(f"{len(played.ends)} nodes replaced, the longest took {max(played.ends)[0]:.1f} s to end")
    return [*no_accepted_request_fails(verdict.history), *bad_ends(played.ends)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m chaos.cluster", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--seconds", type=float, default=240, help="of strikes, each kind of which comes once at least"
    )
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--nodes", type=int, default=3, help="of each role")
    parser.add_argument("--rolling", action="store_true", help="no strikes: replace the nodes in good order")
    parser.add_argument("--upgrade", action="store_true", help="replace them by a next release that migrates")
    parser.add_argument("--folder", type=Path, help="where the ledgers go; a new folder unless given")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="pikarelay-cluster-"))
    folder.mkdir(parents=True, exist_ok=True)
    copied_sources(folder)
    print(f"chaos cluster: seed {options.seed}, commit {commit()}, ledgers in {folder}", flush=True)
    began = time.monotonic()
    # Like Ctrl-C, so that what was set up is taken down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    violations: list[Violation] = []
    if options.upgrade:
        verdict, played, upgrade = asyncio.run(
            upgraded(folder, options.seed, options.channels, options.nodes)
        )
        violations += [*good_order(verdict, played), *upgrade.judge()]
        print(upgrade.line())
    else:
        play = Strikes.roll if options.rolling else Strikes.go
        verdict, played = asyncio.run(
            run(folder, options.seed, options.seconds, options.channels, options.nodes, play=play)
        )
        if options.rolling:
            violations += good_order(verdict, played)
    violations += [*verdict.violations, *played.takeovers.judge(played.wanted)]
    struck = ", ".join(f"{count} {name}" for name, count in sorted(Counter(played.strikes).items()))
    print(f"strikes: {struck}")
    print(", ".join(f"{count} {name}" for name, count in verdict.numbers.items()))
    print(*played.takeovers.lines(), sep="\n")
    print(*(f"VIOLATED {violation}" for violation in violations[:20]), sep="\n")
    print(f"{len(violations)} violations, {time.monotonic() - began:.0f} s")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
