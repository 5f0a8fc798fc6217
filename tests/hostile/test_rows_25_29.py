"""Rows 25 to 29: receivers that are away, gone, busy, badly certified, or say odd things. Against a running server."""

import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from chaos.certificates import certificate

from tests.acceptance.servers import PATIENCE, Local, Relay, relay
from tests.hostile.raw import events
from tests.hostile.receivers import EXTENSION, OK, listening, saying, shown, tried
from tests.hostile.test_rows_17_23 import moment, owed

TOKEN = "MTE3MDAwMDAwMDAwMDAwMDAwMQ.GaBcDe.0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def brisk(folder: Path, local: Local) -> Iterator[Relay]:
    """A server whose schedule is short. That the usual one outlasts three days is shown where time can be leapt over."""
    own = folder / "brisk"
    own.mkdir()
    settings = {"discord_press_interval_seconds": "0", "callbacks_schedule_seconds": "0,0.2,0.2,0.2"}
    with relay(own, local, **settings) as running:
        yield running


def test_row_25_receiver_that_comes_back(brisk: Relay, local: Local) -> None:
    """A receiver that was down gets its callback at the next step; after the last it is kept, and can be sent by hand."""
    seat = local.new_user("away")
    busy = iter([False, False, True])
    down = b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"
    with listening(lambda connection: connection.sendall(OK if next(busy) else down)) as away:
        job = brisk.created("up again", *seat, replyUrl=away.url)
        back = tried(brisk, job["jobid"], attempts=3)
    is_up = False
    with listening(lambda connection: connection.sendall(OK if is_up else down)) as long_away:
        job = brisk.created("a dead letter", *seat, replyUrl=long_away.url)
        dead = tried(brisk, job["jobid"], attempts=4)
        is_up = True
        replayed = requests.post(
            brisk.url + EXTENSION + "/replay",
            headers=brisk.headers,
            json={"jobid": job["jobid"]},
            timeout=PATIENCE,
        )
        alive = tried(brisk, job["jobid"], attempts=5)
        ids = {
            line
            for head in long_away.requests
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"webhook-id")
        }
        bodies = {request.partition(b"\r\n\r\n")[2] for request in long_away.requests}

    assert ("delivered", 3) == (back["state"], back["attempts"])
    assert ["http_503", "http_503", None] == [attempt.get("error") for attempt in back["log"]]
    assert ("dead", 4, "http_503") == (dead["state"], dead["attempts"], dead["error"])
    assert 200 == replayed.status_code
    assert ("delivered", "manual") == (alive["state"], alive["log"][-1]["trigger"])
    assert (1, 1) == (len(ids), len(bodies))


def test_row_26_gone(server: Relay, seat: tuple[str, str]) -> None:
    """A 410 ends the callback."""
    with listening(saying(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")) as gone:
        callback = owed(server, seat, gone.url)

    assert callback is not None
    assert ("dead", "http_410", 1) == (callback["state"], callback["error"], callback["attempts"])
    assert "nextTry" not in callback


@pytest.mark.parametrize(
    ("hint", "least", "most"),
    [
        ("0", 3.9, 7),
        ("-5", 3.9, 7),
        ("1000000000000", 35_999.9, 36_000),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 3.9, 7),
        ("soon", 3.9, 7),
        ("120", 119, 121),
    ],
)
def test_row_26_hints(server: Relay, seat: tuple[str, str], hint: str, least: float, most: float) -> None:
    """Retry-After is held to ten hours, never shortens a step, and is ignored when it is nonsense."""
    head = f"HTTP/1.1 429 Busy\r\nRetry-After: {hint}\r\nContent-Length: 0\r\n\r\n"
    with listening(saying(head.encode())) as busy:
        callback = owed(server, seat, busy.url)

    assert callback is not None
    (attempt,) = callback["log"]
    ended = moment(attempt["started"]) + timedelta(milliseconds=attempt["durationMs"])
    assert "http_429" == attempt["error"]
    assert least <= (moment(callback["nextTry"]) - ended).total_seconds() <= most + 1


@pytest.mark.parametrize("flaw", ["expired", "self-signed", "wrong name", "TLS 1.0"])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated:DeprecationWarning")
def test_row_27_certificates(folder: Path, local: Local, tmp_path: Path, flaw: str) -> None:
    """A bad certificate, or TLS 1.0, ends the try with that class before a byte is sent; a good one is taken."""
    path = certificate(
        tmp_path,
        "elsewhere.example" if flaw == "wrong name" else "127.0.0.1",
        until=timedelta(days=-1) if flaw == "expired" else timedelta(days=1),
        file="bad",
    )
    good = certificate(tmp_path, "127.0.0.1", file="good")
    bundle = tmp_path / "trusted.pem"
    # Trusted, so that it is the flaw that is refused; but for the one that is about trust.
    bundle.write_text(good.read_text() + ("" if flaw == "self-signed" else path.read_text()))
    bad_side, good_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    bad_side.load_cert_chain(path)
    good_side.load_cert_chain(good)
    if flaw == "TLS 1.0":
        bad_side.set_ciphers("ALL:@SECLEVEL=0")
        bad_side.minimum_version = bad_side.maximum_version = ssl.TLSVersion.TLSv1
    seat = local.new_user(f"tls-{flaw}")
    prefix = ["env", f"SSL_CERT_FILE={bundle}"]
    with (
        listening(tls=bad_side) as refused,
        listening(tls=good_side) as taken,
        relay(tmp_path, local, prefix=prefix, discord_press_interval_seconds="0") as own,
    ):
        bad = owed(own, seat, refused.url)
        fine = owed(own, seat, taken.url)

    assert bad is not None
    assert ("waiting", "tls") == (bad["state"], bad["log"][0]["error"])
    assert [] == refused.requests
    assert fine is not None
    assert ("delivered", 1) == (fine["state"], len(taken.requests))


def test_row_29_what_receivers_say(server: Relay, seat: tuple[str, str]) -> None:
    """A receiver's answer is shown as text in JSON, without what looks secret, and is in no log; a terminal gets no codes."""
    body = f"<script>alert(1)</script>\x1b[31m\x07 {TOKEN} whsec_{'A' * 44} \xff".encode("latin-1")
    head = b"HTTP/1.1 500 No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body)
    with listening(saying(head + body)) as odd:
        callback = owed(server, seat, odd.url)
    assert callback is not None
    answer = server.get(f"{EXTENSION}/{callback['jobid']}")
    told = server.command("callbacks", "show", callback["jobid"]).stdout
    log = server.log.read_text()

    assert "application/json" == answer.headers["Content-Type"]
    assert (
        "<script>alert(1)</script>\x1b[31m\x07 …secured… …secured… \ufffd"
        == shown(server, callback["jobid"])["log"][0]["answer"]
    )
    assert callback["jobid"] in told
    assert not {"\x1b", "\x07"} & set(told)
    for text in (log, told, answer.text):
        assert TOKEN not in text
        assert "A" * 44 not in text
    assert "alert(1)" not in log
    assert [] == [event for event in events(server) if event["event"] == "request.failed"]
