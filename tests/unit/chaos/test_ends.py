"""What row C4 demands of requests, shown histories that keep it and that break it."""

from random import Random
from typing import Any

import pytest
from chaos.rows.c04 import no_accepted_request_fails

from tests.unit.chaos.histories import Forge


def forged(event: str, **fields: Any) -> Forge:
    forge = Forge(Random(4))
    forge.note(forge.client, "asked", request="r1", verb="create", channel="1", reply=True)
    forge.note(forge.client, event, request="r1", **fields)
    return forge


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("unanswered", {"refused": True, "reason": "Connect call failed"}),
        ("answered", {"status": 200, "body": {"jobid": "J1"}}),
        ("answered", {"status": 429, "body": {"error": "busy", "code": 429}}),
        # The job's own end, which Discord's failure brought about.
        ("answered", {"status": 502, "body": {"jobid": "J1", "status": "failed"}}),
    ],
)
def test_what_may_be(event: str, fields: dict[str, Any]) -> None:
    """A refused connection was accepted by nobody, and a job is an answer however it ended."""
    assert [] == no_accepted_request_fails(forged(event, **fields).history())


@pytest.mark.parametrize(
    ("event", "fields", "told"),
    [
        ("unanswered", {"refused": False, "reason": "Server disconnected"}, "accepted, and not answered"),
        ("answered", {"status": 503, "body": {"error": "unavailable", "code": 503}}, "answered with 503"),
        ("answered", {"status": 500, "body": {"error": "Internal", "code": 500}}, "answered with 500"),
    ],
)
def test_what_may_not(event: str, fields: dict[str, Any], told: str) -> None:
    """A request that was taken and not answered, or answered with a 5xx, is a violation that names it."""
    (violation,) = no_accepted_request_fails(forged(event, **fields).history())

    assert "r1" == violation.subject
    assert told in violation.text
