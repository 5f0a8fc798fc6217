"""The demo as a newcomer runs it: it shows everything, ends by itself, and leaves nothing running however it ends."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

DEMO = Path(__file__).resolve().parents[2] / "tools" / "demo.py"

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc"),
]

#: What the demo prints when it has come so far.
DISCORD_RUNS = "✓ A Discord for this machine"
RELAY_RUNS = "✓ pikarelay:"
ACCOUNT_IS_SET = "✓ An account"
CREATED = "✓ POST /v1/pika/create: 200"
PRESSED = "✓ POST /v1/pika/button: 200"
KEEPS = "Callbacks are shown here"

#: Seconds that the children of a killed demo may take to notice.
_NOTICE_SECONDS = 20


@dataclass
class Run:
    """A demo under way. All its descendants carry a mark in their environment."""

    process: subprocess.Popen[str]
    mark: str
    output: Path

    def read_until(self, beginning: str) -> str:
        """Return what is printed up to the line that begins so, or all there is."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith(beginning):
                return "".join(lines)
        raise AssertionError(f"the demo ended before {beginning!r}:\n{''.join(lines)}{self.errors()}")

    def errors(self) -> str:
        return (self.output.parent / "stderr").read_text()

    def processes(self) -> list[str]:
        """Return the command lines of the demo and of everything that it started, as far as it runs now."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start demos, and kill what is left of them."""
    with ExitStack() as stack:

        def start(**environment: str) -> Run:
            mark = uuid.uuid4().hex
            output = tmp_path / "demo"
            errors = stack.enter_context((tmp_path / "stderr").open("wb"))
            process = subprocess.Popen(
                [sys.executable, str(DEMO), "--output", str(output)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "MARK_OF_THE_TEST": mark, **environment},
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return Run(process, mark, output)

        yield start


def frames(path: Path) -> int:
    """Play a video to its end and return how many pictures it has."""
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def printed_jobs(text: str) -> list[dict[str, object]]:
    """Return the JSON objects that stand below the rules, as they were printed."""
    decoder = json.JSONDecoder()
    return [
        decoder.raw_decode(text, index + 1)[0] for index in range(len(text)) if text.startswith("\n{", index)
    ]


def test_shows_everything(start: Callable[..., Run]) -> None:
    """The demo makes a video, presses its button, receives the callback, shows all three, and leaves nothing."""
    run = start()
    text, _ = run.process.communicate()

    assert 0 == run.process.returncode, run.errors()
    assert [] == run.processes()
    assert "" == run.errors()

    parent, child, callback = printed_jobs(text)

    assert ("pika-create", "completed") == (parent["verb"], parent["status"])
    assert ("pika-button", "completed") == (child["verb"], child["status"])
    assert parent["jobid"] == child["parentJobId"]
    assert (child["jobid"], "completed", 200) == (callback["jobid"], callback["status"], callback["code"])
    assert callback == json.loads((run.output / "callback.json").read_text())

    videos = [run.output / "create.mp4", run.output / "retry.mp4"]

    assert all(frames(video) > 1 for video in videos)
    assert 2 == len({video.read_bytes() for video in videos})


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, DISCORD_RUNS),
        (signal.SIGTERM, RELAY_RUNS),
        (signal.SIGHUP, ACCOUNT_IS_SET),
        (signal.SIGINT, CREATED),
        (signal.SIGTERM, PRESSED),
    ],
)
def test_stopped(start: Callable[..., Run], number: signal.Signals, moment: str) -> None:
    """A signal ends the demo with one line and the shell's status for it, after everything it started has ended."""
    run = start()
    run.read_until(moment)
    run.process.send_signal(number)
    run.process.communicate()

    assert 128 + number == run.process.returncode
    assert [] == run.processes()
    assert ["The demo was stopped; nothing of it goes on running."] == run.errors().splitlines()


@pytest.mark.parametrize("moment", [DISCORD_RUNS, RELAY_RUNS, CREATED])
def test_killed(start: Callable[..., Run], moment: str) -> None:
    """When the demo is killed without a chance to clean up, everything it started ends by itself."""
    run = start()
    run.read_until(moment)
    run.process.kill()
    run.process.communicate()
    deadline = time.monotonic() + _NOTICE_SECONDS
    while (left := run.processes()) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert [] == left


def test_keeps_running(start: Callable[..., Run]) -> None:
    """With KEEP=1 everything goes on running, and the printed curl command works as it is."""
    run = start(KEEP="1")
    text = run.read_until(KEEPS)
    command = text.partition("curl, ready to paste")[2].partition("\n")[2].partition("JavaScript, ready")[0]
    answer = subprocess.run(
        shlex.split(command.replace("\\\n", " ")), capture_output=True, text=True, check=True, timeout=60
    )
    job = json.loads(answer.stdout)

    assert ("pika-button", 200) == (job["verb"], job["code"])

    run.read_until(f"callback: pika-button {job['jobid']} completed")
    run.process.send_signal(signal.SIGINT)
    run.process.communicate()

    assert 128 + signal.SIGINT == run.process.returncode
    assert [] == run.processes()
