"""
List what `pikarelay serve` is made of in `dist/pikarelay.cdx.json`: CycloneDX, from the locked requirements and their hashes.

The same requirements make the same file, byte for byte.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
#: Run by a Python, with the folder as its argument: says in JSON what is installed there.
INSTALLED = """
import importlib.metadata, json, sys
print(json.dumps({its.name: its.version for its in importlib.metadata.distributions(path=sys.argv[1:])}))
"""


def write(path: Path) -> None:
    """Write the bill of materials. Raises CalledProcessError."""
    path.parent.mkdir(exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "requirements", "requirements/run.txt"),
            *("--pyproject", "pyproject.toml", "--mc-type", "application", "--output-reproducible"),
            *("--spec-version", "1.6", "--output-format", "JSON", "--output-file", str(path)),
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )


def differences(path: Path, installed: Mapping[str, str]) -> Iterator[str]:
    """Say in which packages, by name and version, the bill at `path` and what is installed differ."""
    listed = {
        canonicalize_name(its["name"]): its["version"] for its in json.loads(path.read_text())["components"]
    }
    found = {canonicalize_name(name): version for name, version in installed.items()}
    for name in sorted({*listed, *found}):
        if listed.get(name) != found.get(name):
            yield f"{name}: {listed.get(name, 'none')} listed, {found.get(name, 'none')} installed"


if __name__ == "__main__":
    target = ROOT / "dist" / "pikarelay.cdx.json"
    write(target)
    print(target.relative_to(ROOT))
