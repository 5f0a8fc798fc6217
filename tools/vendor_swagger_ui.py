"""
Copy what the page at `/` needs of Swagger UI into `src/pikarelay/api/static/swagger-ui/`.

The files come from the npm package `swagger-ui-dist`, fetched by npm, which checks them against the registry's hashes. They
are copied unchanged, but for the line that asks for a source map, which is not copied.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "src" / "pikarelay" / "api" / "static" / "swagger-ui"
PACKAGE = "swagger-ui-dist"
FILES = (
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "swagger-ui-bundle.js.LICENSE.txt",
    "favicon-16x16.png",
    "favicon-32x32.png",
    "LICENSE",
    "NOTICE",
)
_SOURCE_MAP = re.compile(r"\n?(//# sourceMappingURL=\S+|/\*# sourceMappingURL=\S+ ?\*/)\s*\Z")

README = """\
# Swagger UI {version}

From the npm package `swagger-ui-dist`, under the Apache License 2.0 (`LICENSE`, `NOTICE`); what the bundle is made of is
listed in `swagger-ui-bundle.js.LICENSE.txt`.
The files are as they are in the package, without the line that names a source map.

Made by `tools/vendor_swagger_ui.py {version}`; nothing here is edited by hand.
"""


def fetch(version: str, folder: Path) -> Path:
    """Return the folder of the package's files. Raises CalledProcessError, with npm's words in `stderr`."""
    command = ("npm", "pack", f"{PACKAGE}@{version}", "--silent", "--pack-destination", str(folder))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    with tarfile.open(folder / done.stdout.split()[-1]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def copy(package: Path, version: str) -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    for name in FILES:
        if name.endswith((".js", ".css")):
            text = (package / name).read_text(encoding="utf-8")
            (TARGET / name).write_text(_SOURCE_MAP.sub("\n", text), encoding="utf-8")
        else:
            shutil.copyfile(package / name, TARGET / name)
    (TARGET / "README.md").write_text(README.format(version=version), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description="Vendor Swagger UI for the page at /.")
    parser.add_argument("version", help="of the npm package swagger-ui-dist, such as 5.35.0")
    version: str = parser.parse_args().version
    with tempfile.TemporaryDirectory() as folder:
        try:
            copy(fetch(version, Path(folder)), version)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            print(
                f"npm could not fetch {PACKAGE} {version}: {getattr(error, 'stderr', error)}", file=sys.stderr
            )
            return 1
    print(f"Swagger UI {version} is in {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
