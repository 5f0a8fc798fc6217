"""
Make the environments of the judges: third-party Discord libraries that drive the local Discord in its tests.

`python tools/judges.py` turns each `requirements/judges/<name>.txt` into `.venvs/<name>`. Two of the libraries
install a package of the same name, `discord`, so each gets an environment of its own. Nothing but the standard
library and pip is used, so any Python of the right version that has pip can run this. An environment is left alone
while its stamp matches; the stamp is written last, so an interrupted installation is made again.
"""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements" / "judges"
ENVIRONMENTS = ROOT / ".venvs"
STAMP = ".requirements.sha256"


class EnvironmentFailedError(Exception):
    """An environment could not be made; the message says why, in one line."""


def fingerprint(requirements: Path) -> str:
    """Return what an environment must have been made from: the locked file, and this version of Python."""
    version = "{}.{}".format(*sys.version_info)
    return hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()


def is_current(environment: Path, requirements: Path) -> bool:
    """Tell whether `environment` was completely made from `requirements` as they are now."""
    stamp = environment / STAMP
    return stamp.is_file() and stamp.read_text() == fingerprint(requirements)


def make(environment: Path, requirements: Path) -> None:
    """Make `environment` from nothing, with every file checked against the hashes of `requirements`."""
    shutil.rmtree(environment, ignore_errors=True)
    # This environment's pip does it; one of its own would take longer to install than the libraries.
    venv.EnvBuilder(symlinks=True).create(environment)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install"),
            *("--quiet", "--disable-pip-version-check", "--no-input"),
            *("--require-hashes", "--no-deps", "--requirement", requirements),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        reasons = [line for line in run.stderr.splitlines() if line.strip()]
        raise EnvironmentFailedError(reasons[-1] if reasons else f"pip ended with status {run.returncode}")
    (environment / STAMP).write_text(fingerprint(requirements))


def main(requirements: Path = REQUIREMENTS, environments: Path = ENVIRONMENTS) -> int:
    """Make every environment that is not current, and return the exit status."""
    all_locked = sorted(requirements.glob("*.txt"))
    if not all_locked:
        print(f"judges: no locked requirements in {requirements}", file=sys.stderr)
        return 1
    for locked in all_locked:
        environment = environments / locked.stem
        if is_current(environment, locked):
            continue
        try:
            make(environment, locked)
        except (EnvironmentFailedError, OSError, subprocess.SubprocessError) as error:
            print(f"judges: {locked.stem}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
