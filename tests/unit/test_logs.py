"""No secret gets into a log line, whatever brings it there."""

import json
import logging

import pytest
import structlog

from pikarelay import logs
from pikarelay.jobs.secret import Secret

DISCORD = "MTU3NDExMzcyNzc0ODI0MzQ2Ng.57IzTr.Z25L8LCQ_6YfNFO2pUhoYv0gjScK6IRbOMKzxA"
MFA = "mfa.VkO_2G4Qv3T--NO--lWetW_tjND--TOKEN--QFTm6YGtzq9PH--4U--tG0"
OURS = "pkr_MrqEV1VSUUxJcjDFtb3UETrBGszQD7eKzWsRZiyNutK4c0zJM"


@pytest.mark.parametrize("secret", [DISCORD, MFA, OURS])
def test_scrub(secret: str) -> None:
    """Discord's tokens and ours are taken out of a text, wherever they stand in it."""
    assert "before …secured… after" == logs.scrub(f"before {secret} after")


def test_scrub_takes_any_bearer() -> None:
    """What follows `Bearer` goes, whatever it looks like."""
    assert "Authorization: Bearer …secured…" == logs.scrub("Authorization: Bearer opensesame")


@pytest.mark.parametrize(
    "text", ["1574118295047503872", "gateway.resumed", "http://127.0.0.1:8080/v1/pika/jobs/"]
)
def test_scrub_leaves_the_rest(text: str) -> None:
    """Ids, event names and addresses stay."""
    assert text == logs.scrub(text)


def test_every_line_is_scrubbed(capsys: pytest.CaptureFixture[str]) -> None:
    """A token in a field, in an exception or in a library's own message is not in what is written."""
    logs.set_up(level="debug", as_json=True)
    log = structlog.get_logger("test")

    log.info("event.named", field=DISCORD, secret=Secret(DISCORD))
    logging.getLogger("library").warning("token %s", OURS)
    try:
        raise ValueError(DISCORD)
    except ValueError:
        log.exception("it.failed")
    structlog.reset_defaults()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    written = json.dumps(lines)
    assert 3 == len(lines)
    assert ["event.named", "token …secured…", "it.failed"] == [line["event"] for line in lines]
    assert DISCORD not in written
    assert OURS not in written


def test_a_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A line break in a value forges no line of its own."""
    logs.set_up(level="info", as_json=True)

    structlog.get_logger("test").info("event", path='x\n{"event": "forged"}')
    structlog.reset_defaults()

    assert 1 == len(capsys.readouterr().err.splitlines())
