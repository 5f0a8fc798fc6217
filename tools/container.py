"""
Build the container image with podman, docker or buildah, and try it as docs/operations.md runs it: shut, and without a network.

More words go to the build.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import sbom

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "pikarelay"
_SHUT = ("--read-only", "--tmpfs=/tmp:size=64m", "--cap-drop=all", "--security-opt=no-new-privileges")
_ASK = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=5)"
#: Ends with 0 when it runs as the image's own user and can write nowhere but on its volume and in its little room for scraps.
_LOOK_AROUND = """
import os
assert os.getuid() == os.getgid() == 65532, (os.getuid(), os.getgid())
open("/data/.tried", "w").close()
os.unlink("/data/.tried")
open("/tmp/tried", "w").close()
for folder, _, _ in os.walk("/"):
    # Podman adds the last two, in memory.
    if not folder.startswith(("/data", "/tmp", "/dev", "/proc", "/sys", "/run", "/var/tmp")):
        try:
            open(os.path.join(folder, "tried"), "w").close()
        except OSError:
            continue
        raise SystemExit(f"{folder} can be written")
"""
_READY_SECONDS = 120.0


class Container:
    """A server from the image, on a volume of its own."""

    def __init__(self, program: str) -> None:
        self._program = program
        self.name = f"pikarelay-try-{os.getpid()}"

    def do(self, *words: str) -> str:
        """Give a command, and return what it says. Raises CalledProcessError."""
        return subprocess.run(
            [self._program, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    def can(self, *words: str) -> bool:
        """Whether a program can be run inside."""
        done = subprocess.run([self._program, "exec", self.name, *words], check=False, capture_output=True)
        return done.returncode == 0

    def wait_until_ready(self) -> None:
        give_up = time.monotonic() + _READY_SECONDS
        while not self.can("/usr/bin/python3.11", "-c", _ASK):
            if time.monotonic() > give_up:
                sys.exit(f"The container is not ready:\n{self.do('logs', self.name)}")
            time.sleep(0.5)

    def end(self) -> None:
        """Tell it to end, and see that it does so by itself."""
        self.do("stop", "--time=30", self.name)
        status = self.do("inspect", "--format={{.State.ExitCode}}", self.name)
        if status != "0":
            sys.exit(f"The container ended with status {status}.")

    def remove(self) -> None:
        self.do("rm", "--force", self.name)
        self.do("volume", "rm", self.name)


def try_it(program: str) -> None:
    """Start it, look around in it, end it, and start it again on what it left."""
    its = Container(program)
    its.do(
        "run", "--detach", f"--name={its.name}", "--network=none", *_SHUT, f"--volume={its.name}:/data", IMAGE
    )
    try:
        its.wait_until_ready()
        if its.can("/bin/sh", "-c", "exit"):
            sys.exit("There is a shell in the image.")
        if not its.can("/usr/bin/python3.11", "-c", _LOOK_AROUND):
            sys.exit("It runs as somebody else, or can write outside of its volume.")
        compare(json.loads(its.do("exec", its.name, "/usr/bin/python3.11", "-c", sbom.INSTALLED, "/app")))
        its.end()
        its.do("start", its.name)
        its.wait_until_ready()
        its.end()
    finally:
        its.remove()


def compare(installed: Mapping[str, str]) -> None:
    """See that the bill of materials lists what the image has, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        bill = Path(folder) / "bill.json"
        sbom.write(bill)
        if found := list(sbom.differences(bill, installed)):
            sys.exit("The bill of materials is not of this image:\n" + "\n".join(found))


def main() -> None:
    program = next(filter(shutil.which, ("podman", "docker", "buildah")), None)
    if program is None:
        sys.exit("Podman, docker or buildah is needed.")
    build = [program, "build", "--file=deploy/Containerfile", f"--tag={IMAGE}", *sys.argv[1:], "."]
    subprocess.run(build, check=True, cwd=ROOT)
    if program == "buildah":
        print("Built. Buildah runs nothing, so it was not tried.")
        return
    try_it(program)
    print(
        "Built, and tried: it serves as user 65532, writes on its volume alone, has no shell, ends with status 0, and starts"
        " again on the same volume."
    )


if __name__ == "__main__":
    main()
