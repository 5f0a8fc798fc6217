"""
Show the whole of pikarelay on this machine alone: make a video, press its `retry` button, receive the callback.

A local Discord and a pikarelay run as children on free ports of the loopback interface, with their data in a
temporary folder. Both videos, the callback and the servers' logs are left in `demo/`. With `--keep` (or `KEEP=1`)
everything goes on running until Ctrl-C. However this ends, nothing goes on running afterwards.
"""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from demo_signals import StoppedError, heed, ignore

OUTPUT = Path(__file__).resolve().parent.parent / "demo"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Show the whole of pikarelay on this machine alone.")
    parser.add_argument("--keep", action="store_true", help="go on running until Ctrl-C (or set KEEP=1)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder for videos and logs")
    return parser.parse_args()


def say(line: str) -> None:
    """Write to stderr; when a hangup has taken the terminal away, to nobody."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def play(output: Path, *, keep: bool) -> int:
    # These take a moment to import, and a signal has to find us ready from the first.
    from demo_servers import DemoFailedError, Servers
    from demo_story import play

    try:
        play(output, keep=keep)
    except (DemoFailedError, OSError) as error:
        for name, tail in Servers(output).tails():
            if tail:
                say(f"--- the end of {output / name}\n{tail}")
        say(f"The demo failed: {error}")
        return 1
    return 0


def main() -> int:
    arguments = parse()
    keep = arguments.keep or os.environ.get("KEEP", "") not in {"", "0"}
    try:
        heed()
        return play(arguments.output.resolve(), keep=keep)
    except StoppedError as stopped:
        ignore()
        say("The demo was stopped; nothing of it goes on running.")
        return 128 + stopped.number


if __name__ == "__main__":
    sys.exit(main())
