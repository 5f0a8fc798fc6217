"""Row 40: the page, for those who would use somebody else's browser. What a prompt does there is shown in `tests/browser`."""

import re

import pytest
import requests

from tests.acceptance.servers import PATIENCE, Relay

PLACES = (
    "/",
    "/openapi.json",
    "/try/page.js",
    "/v1/pika/jobs",
    "/v1/pika/jobs/?jobid=x",
    "/v2/account",
    "/healthz",
    "/nowhere",
)


@pytest.mark.parametrize("path", PLACES)
def test_row_40_nothing_to_steal(server: Relay, path: str) -> None:
    """There is no cookie, whoever asks for what: a browser holds nothing that another page, or a logout, could misuse."""
    for headers in ({}, server.headers, {"Cookie": f"session={server.api_token}"}):
        answer = requests.get(server.url + path, headers=headers, timeout=PATIENCE)

        assert "set-cookie" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers
        assert server.api_token not in answer.text


@pytest.mark.usefixtures("nothing")
def test_row_40_cross_site_post(server: Relay, seat: tuple[str, str]) -> None:
    """A form that another site posts in a visitor's browser has no token, and is refused before it is read."""
    token, channel = seat
    other = {
        "Origin": "https://evil.example",
        "Referer": "https://evil.example/",
        "Cookie": f"token={server.api_token}",
    }
    for verb in ("create", "animate", "button"):
        answer = requests.post(
            f"{server.url}/v1/pika/{verb}", headers=other, timeout=PATIENCE,
            files={"prompt": (None, "x"), "discord": (None, token), "channel": (None, channel)},
        )  # fmt: skip

        assert (401, "Unauthorized") == (answer.status_code, answer.json()["error"])


def test_row_40_page_cannot_be_framed(server: Relay) -> None:
    """The page refuses to be framed, runs no script of its text, and has no token in its source."""
    answer = requests.get(server.url + "/", headers=server.headers, timeout=PATIENCE)
    policy = dict(
        part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";")
    )

    assert "'none'" == policy["frame-ancestors"]
    assert "'self'" == policy.get("script-src", policy["default-src"])
    assert "nosniff" == answer.headers["X-Content-Type-Options"]
    assert not re.search(r"<script(?![^>]*\bsrc=)", answer.text)
    assert not re.search(r"\son\w+=", answer.text)
    assert not re.search(r"pkr_\w", answer.text)


def test_row_40_answers_are_no_pages(server: Relay, seat: tuple[str, str]) -> None:
    """A prompt that is a script comes back as a text in JSON, which browsers show and do not run."""
    prompt = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    job = server.created(prompt, *seat)
    answer = server.get(f"/v1/pika/jobs/?jobid={job['jobid']}")

    assert prompt == answer.json()["prompt"]
    assert "application/json" == answer.headers["Content-Type"]
