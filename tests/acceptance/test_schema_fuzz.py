"""Schemathesis makes thousands of requests of the served document, and looks for an answer that it does not describe."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.fuzz_checks import CHECKS
from tests.acceptance.servers import BIN, Local, Receiver, Relay, relay

ROOT = Path(__file__).resolve().parents[2]

#: Seconds of requests. More finds more: FUZZ_SECONDS=600 before a release, and each time with another seed.
SECONDS = int(os.environ.get("FUZZ_SECONDS", "30"))
SEED = [] if "FUZZ_SECONDS" in os.environ else ["--seed", "1"]

#: The paths of the frozen contract.
FROZEN = r"^/v[12]/(pika/|account$)"


@pytest.mark.timeout(SECONDS + 120)
def test_answers_are_as_documented(local: Local, hook: Receiver, tmp_path: Path) -> None:
    """Whatever is sent, the answer is one that the document describes, and never a defect of ours."""
    settings = {
        "discord_press_interval_seconds": "0",
        "discord_answer_wait_seconds": "1",
        # Each operation is asked without a token too, again and again, and has to say 401.
        "http_unauthorized_per_minute": "0",
    }
    with relay(tmp_path, local, **settings) as server:
        done = fuzz(server, world_of(server, local, hook), tmp_path)

        assert 0 == done.returncode, done.stdout + done.stderr
        assert "request.failed" not in server.log.read_text()


def world_of(server: Relay, local: Local, hook: Receiver) -> dict[str, str]:
    """Make what requests can be about: two accounts, and a completed job."""
    token, channel = local.new_user("fuzz")
    other_token, other_channel = local.new_user("fuzz-other")
    for seat in ((token, channel), (other_token, other_channel)):
        assert server.command("account", "set", seat[1], stdin=seat[0]).returncode == 0
    return {
        "document": f"{server.url}/openapi.json",
        "discord": token,
        "channel": channel,
        "other_discord": other_token,
        "other_channel": other_channel,
        "jobid": str(server.created("a red kite", token, channel)["jobid"]),
        "reply_url": hook.url,
    }


def fuzz(server: Relay, world: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Schemathesis against the server for the time given."""
    return subprocess.run(
        [
            *(str(BIN / "st"), "run", f"{server.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {server.api_token}"),
            *("--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
            *("--max-time", str(SECONDS), "--checks", ",".join(CHECKS), "--request-timeout", "20"),
            *("--generation-database", "none", "--no-color", *SEED),
            *("--include-path-regex", FROZEN),
        ],
        cwd=folder,
        env=os.environ
        | {
            "SCHEMATHESIS_HOOKS": "tests.acceptance.fuzz_hooks",
            "PYTHONPATH": str(ROOT),
            "FUZZ_WORLD": json.dumps(world),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS + 90,
        check=False,
    )
