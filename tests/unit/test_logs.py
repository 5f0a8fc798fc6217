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
    ("text", "left"),
    [
        ("{'Cookie': 'session=opensesame; other=1', 'a': 'b'}", "{'Cookie': '…secured…', 'a': 'b'}"),
        ('"authorization": "opensesame"', '"authorization": "…secured…"'),
        ("Authorization: Basic b3BlbjpzZXNhbWU=", "Authorization: Basic …secured…"),
        ("GET https://cdn.example/a.mp4?hm=opensesame now", "GET https://cdn.example/a.mp4?…secured… now"),
        (
            "https://ann:opensesame@hook.example/x?key=opensesame",
            "https://…secured…@hook.example/x?…secured…",
        ),
        (f"{OURS} and whsec_{'x' * 44}", "…secured… and …secured…"),
    ],
)
def test_scrub_takes_what_carries_credentials(text: str, left: str) -> None:
    """Headers with credentials lose their values, and URLs their user information and query."""
    assert left == logs.scrub(text)


def test_nested_values_are_scrubbed(capsys: pytest.CaptureFixture[str]) -> None:
    """A secret inside a list, a mapping or an object of any kind is not in what is written."""

    class Holder:
        def __repr__(self) -> str:
            return f"Holder({DISCORD})"

    logs.set_up(level="debug", as_json=True)
    structlog.get_logger("test").info(
        "event", many=[{"inner": (OURS, 7)}], held=Holder(), keys={DISCORD: None}
    )
    structlog.reset_defaults()
    line = json.loads(capsys.readouterr().err)

    assert [{"inner": ["…secured…", 7]}] == line["many"]
    assert "Holder(…secured…)" == line["held"]
    assert {"…secured…": None} == line["keys"]


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


#: What a client may send to have lines of its own, or the terminal for itself.
FORGERIES = [
    'x\n{"event": "forged"}',
    "x\r\n2026-11-26T12:00:00.000000Z [info     ] forged",
    "x\x85forged\u2028forged\u2029forged\x0bforged\x0cforged",
    "\x1b[2K\x1b[1A\x1b]0;forged\x07",
    "\x00\x08\x7f\x9b31m",
    "\u202eforged",
    "\ud800",
]


def written(capsys: pytest.CaptureFixture[str], value: str, *, as_json: bool) -> str:
    """Return what is written when a value is everywhere where one can be."""
    logs.set_up(level="debug", as_json=as_json)
    structlog.get_logger("test").info("event", text=value, texts=[value], more={value: value})
    logging.getLogger("library").warning("said %s", value)
    try:
        raise ValueError(value)
    except ValueError:
        structlog.get_logger("test").exception("it.failed")
    structlog.reset_defaults()
    return capsys.readouterr().err


@pytest.mark.parametrize("value", FORGERIES)
def test_json_is_one_line_an_event(capsys: pytest.CaptureFixture[str], value: str) -> None:
    """Whatever is in a value, an event is one line of JSON, in ASCII, and holds the value itself."""
    text = written(capsys, value, as_json=True)
    lines = text.encode("ascii").split(b"\n")

    assert 4 == len(lines)
    assert b"" == lines[-1]
    events = [json.loads(line) for line in lines[:-1]]
    assert ["event", f"said {value}", "it.failed"] == [event["event"] for event in events]
    assert (value, [value], {value: value}) == (events[0]["text"], events[0]["texts"], events[0]["more"])


@pytest.mark.parametrize("value", FORGERIES)
def test_text_is_one_line_an_event(capsys: pytest.CaptureFixture[str], value: str) -> None:
    """For people too: no value begins a line, and none steers the terminal; a traceback's lines are set in."""
    text = written(capsys, value, as_json=False)
    # Every character that ends a line somewhere.
    lines = text.splitlines()

    assert 3 == sum(not line.startswith("    ") for line in lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("as_json", [True, False])
def test_traceback_shows_no_variables(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    """What a frame's variables hold is in no traceback, for it may be a body or a secret of no known form."""
    logs.set_up(level="debug", as_json=as_json)
    password = "correct horse " + "battery staple"  # not spelt in one piece: source lines are in tracebacks
    try:
        raise ValueError(len(password))
    except ValueError:
        structlog.get_logger("test").exception("it.failed")
    structlog.reset_defaults()
    text = capsys.readouterr().err

    assert "ValueError: 28" in text
    assert password not in text


@pytest.mark.parametrize("as_json", [True, False])
def test_secret_in_a_traceback(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    """A secret is taken out of a traceback in both forms, and out of lists and tables."""
    text = written(capsys, OURS, as_json=as_json)

    assert OURS not in text
    assert 6 == text.count("secured")
