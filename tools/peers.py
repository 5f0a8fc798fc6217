"""
Install the libraries that pikarelay is compared to, each into an environment of its own: nothing of them is in this repository.

`requirements/peers/<name>.txt` becomes `.venvs/<name>`, and what `bench/peers/callers/package-lock.json` pins goes next to it.
Both are checked against hashes, and left alone while they are what is pinned. `python tools/peers.py --lock` pins the
JavaScript library again; `make lock` does the rest.
"""

import argparse
import sys

import javascript

import judges

CALLERS = judges.ROOT / "bench" / "peers" / "callers"


def main() -> int:
    parser = argparse.ArgumentParser(description="Install the libraries that pikarelay is compared to.")
    parser.add_argument("--lock", action="store_true", help="pin the JavaScript library again")
    is_locking = parser.parse_args().lock
    return judges.main(judges.REQUIREMENTS.parent / "peers") or javascript.install(
        [CALLERS], is_locking=is_locking
    )


if __name__ == "__main__":
    sys.exit(main())
