"""The command: `python -m bench`, and which benchmarks there are."""

import argparse
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from bench import callback_latency, get_job, many_jobs, memory, press_latency
from bench.report import Figure, machine, show, write_json

_TICKS = os.sysconf("SC_CLK_TCK")

BENCHMARKS: dict[str, Callable[..., list[Figure]]] = {
    "press_latency": press_latency.measure,
    "callback_latency": callback_latency.measure,
    "get_job": get_job.measure,
    "many_jobs": many_jobs.measure,
    "memory": memory.measure,
}


def main() -> None:
    """Measure, show, and write the JSON if asked to. An aim that is missed is no error."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure pikarelay on this machine.")
    parser.add_argument("--quick", action="store_true", help="fewer samples: a minute and a half in all")
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="this one; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, one a line")
    options = parser.parse_args()
    figures: list[Figure] = []
    noise: dict[str, float] = {}
    broken = False
    for name in options.only or BENCHMARKS:
        print(f"{name} …", flush=True)
        others = _OthersBusy()
        try:
            figures += BENCHMARKS[name](quick=options.quick)
        except Exception:  # noqa: BLE001 - what the others measured is worth showing
            traceback.print_exc()
            broken = True
        noise[name] = others.cores()
    where = machine()
    show(where, figures, noise)
    if options.json:
        write_json(options.json, where, figures, noise)
    sys.exit(broken)


class _OthersBusy:
    """How many cores other programs keep busy, from its making on. Ours must have ended to be told from them."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._busy = _busy_seconds() - _own_seconds()

    def cores(self) -> float:
        others = _busy_seconds() - _own_seconds() - self._busy
        return max(0.0, others / (time.monotonic() - self._begin))


def _busy_seconds() -> float:
    """Return the time that all cores together have worked since the machine started."""
    user, nice, system, _idle, _waiting, irq, soft_irq, *_ = Path("/proc/stat").read_text().split()[1:]
    return sum(map(int, (user, nice, system, irq, soft_irq))) / _TICKS


def _own_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
