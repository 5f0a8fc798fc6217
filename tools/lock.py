"""
Pin every package that this repository uses, with the hashes of its files, in `requirements/**/*.txt`.

All sets, the judges' and the peers' included, are resolved together first, and then each within what came of that: a package has one
version here, wherever it is installed. The files name no index and no address: whoever installs them chooses where
from, and the hashes decide what is accepted.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"

_COMPILE = (
    *(sys.executable, "-m", "uv", "--quiet", "pip", "compile", "--no-config"),
    *("--universal", "--python-version", "3.11", "--no-header", "--no-annotate"),
)


class LockFailedError(Exception):
    """Requirements cannot be met. The message is the resolver's own."""


def sources() -> list[Path]:
    return sorted(REQUIREMENTS.rglob("*.in"))


def name(path: Path) -> str:
    return str(path.relative_to(REQUIREMENTS))


def compile_pins(*arguments: str) -> str:
    """Run the resolver in `requirements/`. Raises `LockFailedError`."""
    done = subprocess.run(
        [*_COMPILE, *arguments], cwd=REQUIREMENTS, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LockFailedError(done.stderr.strip())
    return done.stdout


def present_pins() -> str:
    """Return what is pinned now, for the resolver to keep where it still fits."""
    pins = {line.rstrip(" \\") for path in pinned() for line in read(path) if "==" in line.partition(";")[0]}
    return "\n".join(sorted(pins))


def pinned() -> list[Path]:
    return [path for path in (source.with_suffix(".txt") for source in sources()) if path.exists()]


def read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def lock(*, upgrade: bool) -> None:
    """Pin all sets. Without `upgrade`, pins that still fit stay as they are."""
    with tempfile.TemporaryDirectory() as folder:
        together = Path(folder) / "together.txt"
        if not upgrade:
            together.write_text(present_pins(), encoding="utf-8")
        everything = [name(source) for source in sources()]
        compile_pins(*everything, "--output-file", str(together))
        for source in sources():
            pins = compile_pins(name(source), "--generate-hashes", "--constraints", str(together))
            source.with_suffix(".txt").write_text(pins, encoding="utf-8")
            print(f"pinned requirements/{name(source.with_suffix('.txt'))}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Pin all requirements, with hashes.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    try:
        lock(upgrade=parser.parse_args().upgrade)
    except LockFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
