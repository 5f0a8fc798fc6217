"""
Make `.venv`, the one environment that everything in this repository runs in.

`python3 tools/bootstrap.py demo` installs what the demo needs, `dev` what the tests and checks need as well; an
environment that holds `dev` satisfies `demo`. Only the standard library is used, and no syntax newer than Python 3.6,
so that an old Python reads far enough to say that it is too old.

A stamp, written last, names what the environment was made from. While it matches, nothing is done. A run that is
killed leaves a mark instead, and the next run begins from nothing. Two runs at once take turns: each holds a lock on
this file, and so does the pip it starts, which may outlive it.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOG = VENV / "install.log"
STAMP = VENV / "pikarelay-stamp.json"
UNFINISHED = VENV / "pikarelay-unfinished"

OLDEST = (3, 11)
NEWER_NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")

#: The sets of requirements, each with those that hold all of it.
SATISFIED_BY = {"demo": ("demo", "dev"), "dev": ("dev",)}

#: Seconds between two looks at a child or a lock.
_TICK = 0.05

#: Settings of a user's own pip that would put packages elsewhere.
_MISLEADING = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")

#: What pip writes when it fails: a pattern, what it means, and whether nothing was installed before it.
_REASONS = (
    (
        r"No space left on device|Errno 28|Disk quota exceeded",
        "the disk is full: free about 500 MB, then run the same command again",
        False,
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "the package index's TLS certificate is not trusted here: check the clock and the proxy of this machine",
        True,
    ),
    (
        r"DO NOT MATCH THE HASHES",
        "a downloaded package is not the one recorded in requirements/: try another network or mirror",
        True,
    ),
    (
        r"NewConnectionError|(Connect|Read)TimeoutError|NameResolutionError|ProxyError|Connection refused",
        "no network to the package index (PyPI): connect this machine to it, then run the same command again",
        True,
    ),
    (
        r"No matching distribution found for (?P<what>\S+)",
        "the package index has no {what} for this machine and this Python",
        True,
    ),
    (r"Permission denied", "files in .venv belong to somebody else: remove .venv, then run again", False),
)


class InstallationError(Exception):
    """The environment could not be made. The message says what to do, in one line."""


class Interrupted(Exception):
    """A signal asked us to stop; its number is the argument."""


class Signals:
    """
    Notes that a signal came. Nothing is raised from a handler, so that no child can get lost between two lines.

    `check` raises `Interrupted` at places where that is safe.
    """

    def __init__(self) -> None:
        self._came = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self._came = self._came or number

    def check(self) -> None:
        if self._came:
            raise Interrupted(self._came)


class Installer:
    """Runs the commands that make the environment, one after the other, each with the log for its output."""

    def __init__(self, signals: Signals, lock: int) -> None:
        self._signals = signals
        self._lock = lock

    def install(self, name: str) -> None:
        """Install the set `name`. Raises `InstallationError` or `Interrupted`."""
        requirements = REQUIREMENTS / (name + ".txt")
        fresh = UNFINISHED.exists() or was_made_elsewhere() or not self._works()
        count = count_packages(requirements.read_text(encoding="utf-8"))
        why = "first time only" if fresh else "the requirements have changed"
        print(f"Installing {count} packages ({why})…", flush=True)
        started = time.monotonic()
        if fresh:
            self._create()
        remove(STAMP)
        UNFINISHED.touch()
        self._pip("--require-hashes", "--no-deps", "--requirement", str(requirements))
        self._pip("--no-build-isolation", "--no-deps", "--editable", str(ROOT))
        STAMP.write_text(json.dumps(stamp_of(name)), encoding="utf-8")
        UNFINISHED.unlink()
        print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)

    def _works(self) -> bool:
        """Tell whether an environment is there that this one can be installed into."""
        if not PYTHON.exists():
            return False
        question = f"import sys, pip; sys.exit(sys.version_info < {OLDEST!r})"
        return self._run([str(PYTHON), "-c", question], subprocess.DEVNULL) == 0

    def _create(self) -> None:
        if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
            raise InstallationError(
                "this Python cannot make virtual environments: install its venv package"
                " (Debian, Ubuntu: apt-get install python3-venv), then run the same command again"
            )
        shutil.rmtree(str(VENV), ignore_errors=True)
        VENV.mkdir(exist_ok=True)
        UNFINISHED.touch()
        base = os.path.realpath(sys.executable) if sys.prefix != sys.base_prefix else sys.executable
        self._logged([base, "-m", "venv", str(VENV)])

    def _pip(self, *arguments: str) -> None:
        options = ("--disable-pip-version-check", "--no-input", "--root-user-action=ignore")
        self._logged([str(PYTHON), "-m", "pip", "install", *options, *arguments])

    def _logged(self, command: "list[str]") -> None:
        with LOG.open("ab") as log:
            begin = log.tell()
            status = self._run(command, log.fileno())
        if status != 0:
            with LOG.open("rb") as log:
                log.seek(begin)
                output = log.read().decode("utf-8", "replace")
            reason, harmless = explain(output)
            if harmless:
                remove(UNFINISHED)
            raise InstallationError(reason)

    def _run(self, command: "list[str]", output: int) -> int:
        """Run `command` to its end, or end it with all its children when a signal comes."""
        self._signals.check()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(),
            cwd=str(ROOT),
            start_new_session=True,
            pass_fds=(self._lock,),
        )
        try:
            while child.poll() is None:
                self._signals.check()
                time.sleep(_TICK)
        except Interrupted:
            # pip removes its temporary folders when it is asked to stop; it gets three seconds for that.
            for number in (signal.SIGINT, signal.SIGKILL):
                try:
                    os.killpg(child.pid, number)
                    child.wait(timeout=3)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
            child.wait()
            raise
        return child.returncode


def remove(path: Path) -> None:
    # `missing_ok` came with Python 3.8.
    if path.exists():
        path.unlink()


def environment() -> "dict[str, str]":
    """Return our environment without what would lead pip astray."""
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return dict(kept, PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0", PYTHONUNBUFFERED="1")


def explain(output: str) -> "tuple[str, bool]":
    """Return what pip's output means, in one line, and whether the environment is still as it was before."""
    for pattern, reason, harmless in _REASONS:
        found = re.search(pattern, output)
        if found:
            return reason.format(**found.groupdict()), harmless
    errors = [line for line in output.splitlines() if line.upper().startswith("ERROR")]
    lines = errors or [line for line in output.splitlines() if line.strip()] or ["no reason given"]
    return lines[-1].strip(), False


def count_packages(requirements: str) -> int:
    """Count the packages of a locked file, without those of platforms that this does not run on."""
    pins = [line for line in requirements.splitlines() if re.match(r"[A-Za-z0-9][^ ]*==", line)]
    return sum("sys_platform ==" not in pin for pin in pins)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stamp_of(name: str) -> "dict[str, str]":
    """Return what an environment that holds `name` was made from. Raises OSError when there is none."""
    return {
        "set": name,
        "root": str(ROOT),
        "python": os.path.realpath(str(PYTHON)),
        "venv": digest(VENV / "pyvenv.cfg"),
        "requirements": digest(REQUIREMENTS / (name + ".txt")),
        "project": digest(ROOT / "pyproject.toml"),
    }


def read_stamp() -> "dict[str, str]":
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def is_current(name: str) -> bool:
    """Tell whether the environment holds all of `name`, as it is now."""
    if UNFINISHED.exists() or not PYTHON.exists():
        return False
    stamp = read_stamp()
    try:
        return any(stamp == stamp_of(holder) for holder in SATISFIED_BY[name])
    except OSError:
        return False


def was_made_elsewhere() -> bool:
    """Tell whether the checkout was moved since: an environment's scripts hold its path."""
    return read_stamp().get("root", str(ROOT)) != str(ROOT)


def acquire_lock(signals: Signals) -> int:
    """Return a descriptor of this file once nobody else installs. It is released when its last holder ends."""
    descriptor = os.open(__file__, os.O_RDONLY)
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                print("Waiting for another installation to end…", flush=True)
                told = True
            signals.check()
            time.sleep(_TICK)
        else:
            return descriptor


def find_python() -> None:
    """Go on with a newer Python when this one is too old. Raises `InstallationError` when there is none."""
    if sys.version_info >= OLDEST:
        return
    for name in NEWER_NAMES:
        found = shutil.which(name)
        if found:
            os.execv(found, [found, *sys.argv])  # noqa: S606 - this very program, by a newer Python
    raise InstallationError(
        "Python 3.11 or newer is needed, and this is {}.{}: install one, then run"
        " `make PYTHON=/path/to/python3.11 …`".format(*sys.version_info)
    )


def bootstrap(name: str, signals: Signals) -> None:
    find_python()
    if is_current(name):
        return
    lock = acquire_lock(signals)
    try:
        if not is_current(name):
            Installer(signals, lock).install(name)
    finally:
        os.close(lock)


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1] not in SATISFIED_BY:
        print("usage: python3 tools/bootstrap.py {}".format("|".join(SATISFIED_BY)), file=sys.stderr)
        return 2
    try:
        bootstrap(sys.argv[1], Signals())
    except InstallationError as error:
        details = " (details: .venv/install.log)" if LOG.exists() else ""
        print(f"Installation failed: {error}{details}", file=sys.stderr)
        return 1
    except OSError as error:
        full = " The disk is full." if error.errno == 28 else ""
        print(f"Installation failed: {error}.{full}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print("Installation stopped; the next run begins it again.", file=sys.stderr)
        return 128 + int(stop.args[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
