"""The command: `python -m bench`, and which benchmarks there are."""

import argparse
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from bench import callback_latency, callback_queue, get_job, many_jobs, memory, press_latency
from bench.noise import OthersBusy
from bench.report import Figure, machine, show, write_json

BENCHMARKS: dict[str, Callable[..., list[Figure]]] = {
    "press_latency": press_latency.measure,
    "callback_latency": callback_latency.measure,
    "callback_queue": callback_queue.measure,
    "get_job": get_job.measure,
    "many_jobs": many_jobs.measure,
    "memory": memory.measure,
}


def main() -> None:
    """Measure, show, and write the JSON if asked to. An aim that is missed is no error."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure pikarelay on this machine.")
    parser.add_argument("--quick", action="store_true", help="fewer samples: two minutes and a half in all")
    parser.add_argument("--only", choices=BENCHMARKS, action="append", help="this one; may be repeated")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, one a line")
    options = parser.parse_args()
    figures: list[Figure] = []
    noise: dict[str, float] = {}
    broken = False
    for name in options.only or BENCHMARKS:
        print(f"{name} …", flush=True)
        others = OthersBusy()
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
