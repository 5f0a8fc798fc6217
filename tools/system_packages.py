"""
Install what the tests need beside Python packages: Chromium, for the page at `/`, PHP, for what its clients send,
strace, which sees every connection that the server makes, promtool, which reads the alert rules, and
systemd-analyze, which reads the unit.

On Debian, as root, that is done without a question. Elsewhere it is said what to install; the tests that need it then
fail in one line, and all others run.
"""

import os
import shutil
import subprocess
import sys

#: Program to the Debian packages that it takes.
WANTED = {
    "chromium": ["chromium"],
    "php": ["php-cli", "php-curl"],
    "strace": ["strace"],
    "promtool": ["prometheus"],
    "systemd-analyze": ["systemd"],
}


def missing() -> list[str]:
    """Return the packages of the programs that are not there."""
    return [name for program, names in WANTED.items() if shutil.which(program) is None for name in names]


def install(packages: list[str]) -> str | None:
    """Install packages; return what stood in the way, in one line."""
    names = " ".join(packages)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return f"Not installed, and not to be installed here: {names}. Install it, or run this as root on Debian."
    print(f"Installing {names} (first time only)…", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "--quiet", *command], env=quiet, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            return f"apt-get could not install {names}: {lines[-1]}"
    return None


def main() -> int:
    packages = missing()
    problem = install(packages) if packages else None
    if problem is not None:
        print(problem, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
