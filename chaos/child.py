"""
What a server's process does before it is one: apply what the harness has planned for it, from the outside.

The server knows nothing of this. It runs the command line's own `serve`; a plan only wraps what that calls:

    {"kill": {"points": "/path", "at": ["before COMMIT", 7]}}   die by SIGKILL at the seventh durable step of that name;
                                              write each step's name before
    {"sabotage": "callback_after_commit"}     break a promise on purpose
    {"clock": "/path"}                        add the seconds in that file to the machine's clock
    {"pulse": "/path"}                        write down when the event loop was late, and by how much;
                                              with "pulse_from": seconds, also when it was so little
    {"descriptors": 64}                       may have so many open at most
    {"group": "/path/cgroup.procs"}           joins that control group
"""

import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

from chaos import points, pulse, sabotage, shifted_clock


def run(argv: list[str], plan: dict[str, Any]) -> int:
    """Carry out the plan, run the command line, and return the exit status."""
    from pikarelay import cli

    if "descriptors" in plan:
        resource.setrlimit(resource.RLIMIT_NOFILE, (plan["descriptors"], plan["descriptors"]))
    if "group" in plan:
        Path(plan["group"]).write_text(str(os.getpid()))
    if "clock" in plan:
        shifted_clock.shift(plan["clock"])
    if "pulse" in plan:
        pulse.watch(plan["pulse"], **({"noted_seconds": plan["pulse_from"]} if "pulse_from" in plan else {}))
    if "sabotage" in plan:
        sabotage.SABOTAGES[plan["sabotage"]].apply()
    if "kill" in plan:
        points.arm(**plan["kill"])
    sys.argv = ["pikarelay", *argv]
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  # a forked child must not return into its parent's stack
        traceback.print_exc()
        return 70
    return 0


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    sys.exit(run(order["argv"], order["plan"]))
