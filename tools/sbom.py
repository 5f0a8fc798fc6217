"""
List what `pikarelay serve` is made of in `dist/pikarelay.cdx.json`: CycloneDX, from the locked requirements and their hashes.

The same requirements make the same file, byte for byte.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


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


if __name__ == "__main__":
    target = ROOT / "dist" / "pikarelay.cdx.json"
    write(target)
    print(target.relative_to(ROOT))
