"""What callers ask about callbacks, and what they are shown."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from pikarelay.contract.bodies import encode
from pikarelay.contract.callbacks import callback_body, parse_listing, parse_replay, target_state
from pikarelay.contract.urls import masked_url, origin_of
from pikarelay.errors import ApiError
from pikarelay.jobs.breaker import Health, held
from pikarelay.jobs.callbacks import CallbackAttempt, CallbackFilter, CallbackRecord, CallbackState, Target

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, (CallbackFilter(caller_id="ann"), 100)),
        ({"state": "dead", "limit": "1000"}, (CallbackFilter(caller_id="ann", state=CallbackState.DEAD), 1000)),
        ({"target": "HTTPS://Example.org/hook"}, (CallbackFilter(caller_id="ann", target="https://example.org:443"), 100)),
        ({"since": "2026-08-01T14:00:00+02:00"}, (CallbackFilter(caller_id="ann", since=NOW), 100)),
        ({"until": "1969-01-01"}, (CallbackFilter(caller_id="ann", until=FIRST), 100)),
        ({"since": "0001-01-01T00:00:00+23:00"}, (CallbackFilter(caller_id="ann", since=FIRST), 100)),
        ({"until": "2026-08-01T12:00:00", "limit": ""}, (CallbackFilter(caller_id="ann", until=NOW), 100)),
    ],
)  # fmt: skip
def test_listing(texts: dict[str, str], expected: tuple[CallbackFilter, int]) -> None:
    """A listing is of one's own, narrowed by what is given."""
    assert expected == parse_listing(texts, "ann")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"limit": "0"}, "limit is not a number from 1 to 1000"),
        ({"limit": "1001"}, "limit is not a number from 1 to 1000"),
        ({"limit": "\u0661"}, "limit is not a number from 1 to 1000"),
        ({"state": "delivered"}, "state is not one of waiting, dead"),
        ({"target": "file:///x"}, "target is not a valid URL"),
        ({"since": "tomorrow"}, "since is not a time like 2026-08-01T12:00:00Z"),
    ],
)
def test_bad_listing(texts: dict[str, str], message: str) -> None:
    """What can't be meant is refused in a sentence that names it."""
    with pytest.raises(ApiError) as refusal:
        parse_listing(texts, "ann")

    assert (400, message) == (refusal.value.code, refusal.value.message)


def test_replay() -> None:
    """A job is meant alone; a target and a range of time together mean both."""
    whole = {"target": "http://a.example", "since": "2026-07-31T12:00:00Z", "until": "2026-08-01T12:00:00Z"}

    assert "job-1" == parse_replay({"jobid": "job-1", "target": "https://x"}, "ann", NOW)
    assert CallbackFilter(
        caller_id="ann", target="http://a.example:80", since=NOW - DAY, until=NOW
    ) == parse_replay(whole, "ann", NOW)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "jobid, target or since value is missing"),
        ({"until": "2026-08-01"}, "jobid, target or since value is missing"),
        ({"jobid": "job-1", "target": "x"}, "target is not a valid URL"),
        ({"since": "2026-06-30T12:00:00Z"}, "since and until are more than 31 days apart"),
        ({"since": "2026-01-01", "until": "2026-02-02"}, "since and until are more than 31 days apart"),
    ],
)
def test_bad_replay(texts: dict[str, str], message: str) -> None:
    """A replay of nothing, or of more than 31 days, is refused."""
    with pytest.raises(ApiError) as refusal:
        parse_replay(texts, None, NOW)

    assert (400, message) == (refusal.value.code, refusal.value.message)


@pytest.mark.parametrize(
    ("health", "word"),
    [
        (Health(), "healthy"),
        (Health(failing_since=NOW), "failing"),
        (Health(failing_since=NOW, pauses=1, paused_until=NOW + DAY), "paused"),
        (Health(failing_since=NOW, pauses=1, paused_until=NOW), "failing"),
        (Health(failing_since=NOW, disabled=NOW), "disabled"),
        (held(NOW), "off"),
    ],
)
def test_target_state(health: Health, word: str) -> None:
    """How a target stands is one word."""
    assert word == target_state(Target(target="x", health=health), NOW)


def test_secrets_of_a_url_are_not_shown() -> None:
    """User information and query are nowhere in what is shown of a callback."""
    record = CallbackRecord(
        callback_id="cb",
        job_id="j",
        caller_id="ann",
        target="https://example.org:443",
        url="https://ann:hidden@example.org/hook?key=hidden#x",
        state=CallbackState.WAITING,
        created=NOW,
        attempt=0,
    )

    assert "https://example.org/hook?…" == callback_body(record).url
    assert b"hidden" not in encode(callback_body(record))
    assert b"log" not in encode(callback_body(replace(record, due=NOW)))


def test_interrupted_tries_are_in_the_log() -> None:
    """Of a try that was cut off with its server the log says so, once another came after it; the last may be under way."""
    record = CallbackRecord(
        callback_id="cb",
        job_id="j",
        caller_id="ann",
        target="https://example.org:443",
        url="https://example.org/hook",
        state=CallbackState.WAITING,
        created=NOW,
        attempt=4,
    )
    known = CallbackAttempt(callback_id="cb", attempt=2, started=NOW, duration_ms=7, error="connect")
    log = json.loads(encode(callback_body(record, attempts=[known])))["log"]

    assert [(1, "interrupted"), (2, "connect"), (3, "interrupted")] == [
        (its["attempt"], its["error"]) for its in log
    ]
    assert {"attempt": 1, "error": "interrupted"} == log[0]
    assert () == callback_body(record).log


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Example.org/a", "https://example.org:443"),
        ("http://example.org.:8080", "http://example.org:8080"),
        ("http://[::1]/x", "http://[::1]:80"),
        ("http://[", "invalid"),
        ("http://example.org:x/", "invalid"),
    ],
)
def test_origins_have_one_spelling(url: str, origin: str) -> None:
    """However an address is written, its origin is one text; nonsense has one as well."""
    assert origin == origin_of(url)


def test_broken_url_is_shown_as_nothing() -> None:
    """An address that cannot be parsed is not shown at all."""
    assert "…" == masked_url("http://[")
