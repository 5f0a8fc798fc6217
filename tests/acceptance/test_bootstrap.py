"""The installer in a checkout of its own, with a package index that is a folder: nothing here leaves the machine."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
import zipfile
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).resolve().parents[2] / "tools" / "bootstrap.py"

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc"),
]

#: A build backend that makes an editable project of nothing. It is the one package that the checkout requires.
BACKEND = """
import zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/example-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("example-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: example\\nVersion: 1\\n")
        wheel.writestr("example-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("example-1.dist-info/RECORD", "")
    return "example-1-py3-none-any.whl"
"""


def make_index(folder: Path) -> str:
    """Put the backend's wheel into the folder and return its SHA-256."""
    folder.mkdir()
    path = folder / "tinybackend-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        info = "tinybackend-1.dist-info"
        wheel.writestr("tinybackend.py", BACKEND)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinybackend\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Checkout:
    """A checkout whose path has a space, and the installer run in it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a checkout"
        self.index = folder / "index"
        self.mark = uuid.uuid4().hex
        (self.root / "tools").mkdir(parents=True)
        (self.root / "requirements").mkdir()
        shutil.copy(BOOTSTRAP, self.root / "tools")
        (self.root / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "tinybackend"\n'
        )
        pin = f"tinybackend==1 \\\n    --hash=sha256:{make_index(self.index)}\n"
        for name in ("demo", "dev"):
            (self.root / "requirements" / f"{name}.txt").write_text(pin)

    @property
    def stamp(self) -> Path:
        return self.root / ".venv" / "pikarelay-stamp.json"

    def start(self, name: str = "demo", **environment: str) -> "subprocess.Popen[str]":
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
        kept |= {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": str(self.index), "PIP_NO_INDEX": "1"}
        return subprocess.Popen(
            [sys.executable, str(self.root / "tools" / "bootstrap.py"), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**kept, "MARK_OF_THE_TEST": self.mark, **environment},
        )

    def install(self, name: str = "demo", **environment: str) -> tuple[int, str, str]:
        """Return the exit status and what was printed to stdout and stderr."""
        with self.start(name, **environment) as process:
            output, errors = process.communicate()
        return process.returncode, output, errors

    def processes(self) -> list[str]:
        """Return the command lines of the installer and of everything that it started, as far as it runs now."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_installs_once(checkout: Checkout) -> None:
    """The first run installs, the second has nothing to do, and a changed requirement is installed again."""
    status, output, errors = checkout.install()

    assert (0, "") == (status, errors)
    assert "Installing 1 packages (first time only)…" == output.splitlines()[0]
    assert (0, "", "") == checkout.install()

    with (checkout.root / "pyproject.toml").open("a") as project:
        project.write("# changed\n")
    status, output, _ = checkout.install()

    assert (0, "Installing 1 packages (the requirements have changed)…") == (status, output.splitlines()[0])
    assert (0, "", "") == checkout.install()


def test_dev_satisfies_demo(checkout: Checkout) -> None:
    """An environment that holds `dev` has nothing missing for `demo`."""
    assert 0 == checkout.install("dev")[0]
    assert (0, "", "") == checkout.install("demo")


def test_stopped(checkout: Checkout) -> None:
    """A signal ends the installation with all its children and one line, and the next run begins it again."""
    with checkout.start() as process:
        deadline = time.monotonic() + 60
        while not any(" -m venv " in command for command in checkout.processes()):
            assert time.monotonic() < deadline, "the installation did not begin"
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()

    assert 128 + signal.SIGTERM == process.returncode
    assert ["Installation stopped; the next run begins it again."] == errors.splitlines()
    assert [] == checkout.processes()
    assert not checkout.stamp.exists()

    status, output, _ = checkout.install()

    assert (0, "Installing 1 packages (first time only)…") == (status, output.splitlines()[0])


def test_no_network(checkout: Checkout) -> None:
    """Without a way to the package index, one line says exactly that, and the next run goes on from there."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        offline = {"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": nowhere, "PIP_RETRIES": "1"}
        status, _, errors = checkout.install(**offline)

    assert 1 == status
    assert 1 == len(errors.splitlines())
    assert "no network to the package index" in errors
    assert (checkout.root / ".venv" / "install.log").exists()
    assert 0 == checkout.install()[0]


def test_moved(checkout: Checkout) -> None:
    """A checkout that was moved makes its environment anew, whose scripts hold its path."""
    assert 0 == checkout.install()[0]

    checkout.root = checkout.root.rename(checkout.root.with_name("another checkout"))
    status, output, _ = checkout.install()

    assert (0, "Installing 1 packages (first time only)…") == (status, output.splitlines()[0])
