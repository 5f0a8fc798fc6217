"""Rows 1 to 4: who asks, and for whose job."""

import http.client
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from pikarelay.jobs.api_tokens import format_token
from tests.acceptance.servers import PATIENCE, Local, Relay, relay
from tests.hostile.raw import MULTIPART, connect, cpu_ms, events, read

#: One that could be a token, and one whose checksum is wrong, which no store is asked about.
UNKNOWN = format_token(b"unknown" + bytes(25))
MALFORMED = "pkr_" + "A" * 49


def bearers(server: Relay) -> dict[str, list[str]]:
    """Return the Authorization lines that are nobody's, by what is wrong with them."""
    return {
        "none": [],
        "empty": [""],
        "scheme alone": ["Bearer"],
        "Basic": ["Basic dXNlcjpwYXNz"],
        "unknown": [f"Bearer {UNKNOWN}"],
        "malformed": [f"Bearer {MALFORMED}"],
        "cut": [f"Bearer {server.api_token[:-1]}"],
        "with a letter more": [f"Bearer {server.api_token}x"],
        "twice": [f"Bearer {server.api_token}"] * 2,
        "two in one": [f"Bearer {server.api_token}, Bearer {server.api_token}"],
        "10 kB": ["Bearer " + "x" * 10_000],
        "not ASCII": ["Bearer pkr_\xfc\xfc"],
    }


def request(path: str, lines: list[str], method: str = "POST", more: str = "") -> bytes:
    told = "".join(f"Authorization: {line}\r\n" for line in lines)
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{told}{more}\r\n".encode("latin-1")


PATHS = [
    ("POST", "/v1/pika/create"), ("POST", "/v1/pika/animate"), ("POST", "/v1/pika/button"), ("GET", "/v1/pika/jobs"),
    ("GET", "/v1/pika/jobs/?jobid=x"), ("GET", "/v1/pika/jobs/cancel/?jobid=x"), ("GET", "/v1/pika/account"),
    ("POST", "/v1/pika/account/1180000000000000001"), ("DELETE", "/v1/pika/account/1180000000000000001"),
    ("GET", "/v2/account"), ("POST", "/v2/account"), ("GET", "/v1/pikarelay/callbacks"),
    ("POST", "/v1/pikarelay/callbacks/replay"),
]  # fmt: skip


@pytest.mark.usefixtures("nothing")
def test_row_01_nobodys_token(server: Relay) -> None:
    """Whatever is wrong with a token, and wherever it is sent, the answer is the same 401."""
    seen = set()
    with connect(server) as connection:
        for lines in bearers(server).values():
            for method, path in PATHS:
                connection.sendall(request(path, lines, method))
                answer = read(connection)
                seen.add((answer.code, answer.body, frozenset(answer.headers) - {"date"}))

    ((code, body, _),) = seen
    assert (401, b'{"error":"Unauthorized","code":401}') == (code, body)


def test_row_01_same_work(server: Relay) -> None:
    """
    None of them costs the server more than a fifth of a millisecond more than another, so time tells nothing.

    Counted is the processor's time: a clock on the wall shows what else the machine does.
    """
    spent: dict[str, list[float]] = {name: [] for name in bearers(server)}
    with connect(server) as connection:
        for _ in range(5):
            for name, lines in bearers(server).items():
                before = cpu_ms(server.pid)
                for _ in range(20):
                    connection.sendall(request("/v1/pika/jobs", lines, "GET"))
                    assert 401 == read(connection).code
                spent[name].append((cpu_ms(server.pid) - before) / 20)
    least = {name: min(times) for name, times in spent.items()}

    assert max(least.values()) - min(least.values()) < 0.2, least


def test_row_01_goes_on_and_on(tmp_path: Path, local: Local) -> None:
    """The twenty-first of nobody's requests in a minute, and all after it, are 429; a valid token is served throughout."""
    with relay(tmp_path, local) as server, connect(server) as connection:
        codes = []
        for path in ("/v1/pika/jobs", "/v2/account"):
            for lines in bearers(server).values():
                connection.sendall(request(path, lines, "GET"))
                answer = read(connection)
                codes.append(answer.code)
                if answer.code == 429:
                    assert "Too Many Requests" == answer.error
                    assert 1 <= int(answer.headers["retry-after"]) <= 60
        served = server.get("/v1/pika/jobs")
        announced = f"{MULTIPART}Content-Length: 25000000\r\nExpect: 100-continue\r\n"
        connection.sendall(request("/v1/pika/animate", [f"Bearer {UNKNOWN}"], more=announced))
        before_the_body = read(connection)

    assert [401] * 20 + [429] * 4 == codes
    assert 200 == served.status_code
    assert (429, True) == (before_the_body.code, before_the_body.is_last)


def test_row_01_before_the_body(server: Relay) -> None:
    """Who has no token is told so before the body: 25 MB are announced, none of them is sent."""
    with connect(server) as connection:
        announced = f"{MULTIPART}Content-Length: 25000000\r\nExpect: 100-continue\r\n"
        connection.sendall(request("/v1/pika/animate", [f"Bearer {UNKNOWN}"], more=announced))
        answer = read(connection)

    assert (401, "Unauthorized", True) == (answer.code, answer.error, answer.is_last)


def test_row_02_revoked_token(server: Relay) -> None:
    """A revoked token ends with the very next request of a connection that was opened before."""
    token = server.new_token("soon gone")
    listed = server.command("token", "list").stdout
    (token_id,) = [line.split()[0] for line in listed.splitlines() if "soon gone" in line]
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
    connection.connect()
    door = connection.sock.getsockname()

    def code() -> int:
        connection.request("GET", "/v1/pika/jobs", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    before = [code() for _ in range(3)]
    # The command takes longer than an idle connection is kept, so this one is not left idle.
    revoking = server.start_command("token", "revoke", token_id)
    while revoking.poll() is None:
        code()
        time.sleep(0.05)

    assert [200] * 3 == before
    assert 0 == revoking.returncode
    assert 401 == code()
    assert door == connection.sock.getsockname()
    connection.close()


def test_row_03_somebody_elses_job(server: Relay, parent: dict[str, Any]) -> None:
    """For GET, cancel and button, somebody else's jobid is answered as one that never was, to the letter."""
    token = server.new_token("a stranger")
    unknown = parent["jobid"][:-4] + "zzzz"
    answers = []
    for job_id in (parent["jobid"], unknown):
        ask = {"headers": {"Authorization": f"Bearer {token}"}, "timeout": PATIENCE}
        form = {"jobid": (None, job_id), "button": (None, "retry")}
        got = [
            requests.get(f"{server.url}/v1/pika/jobs/?jobid={job_id}", **ask),
            requests.get(f"{server.url}/v1/pika/jobs/cancel/?jobid={job_id}", **ask),
            requests.post(f"{server.url}/v1/pika/button", files=form, **ask),
            requests.get(f"{server.url}/v1/pikarelay/callbacks/{job_id}", **ask),
        ]
        answers.append([(a.status_code, a.text.replace(job_id, "ID"), sorted(a.headers)) for a in got])

    assert answers[0] == answers[1]
    assert (404, '{"error":"Unable to locate job ID","code":404}') == answers[0][0][:2]
    assert "completed" == server.job(parent["jobid"])["status"]


ODD_IDS = {
    "upwards": "../../../etc/passwd",
    "upwards, encoded": "..%2f..%2fetc%2fpasswd",
    "SQL": "' OR '1'='1'; DROP TABLE jobs; --",
    "newline": 'x\r\n{"event": "forged"}\r\nHTTP/1.1 200 OK\r\n\r\n',
    "NUL": "\x00\x00x",
    "10 kB": "y" * 10_000,
    "terminal": "\x1b[2J\x1b]0;forged\x07",
    "overlong UTF-8": "\xc0\xae\xc0\xae",
    "right to left": "\u202egnp.exe",
    "one of its own, in capitals": "01J1R2S3T4V5W6X7Y8Z9A0B1C2",
}


@pytest.mark.parametrize("job_id", ODD_IDS.values(), ids=ODD_IDS)
@pytest.mark.usefixtures("nothing")
def test_row_04_odd_job_ids(server: Relay, job_id: str) -> None:
    """Whatever is asked for as a job is not found, comes back in 64 printable characters, and forges nothing."""
    before = len(events(server))
    ask = {"headers": server.headers, "timeout": PATIENCE}
    path = quote(job_id, safe="")
    answers = [
        requests.get(f"{server.url}/v1/pika/jobs/?jobid={path}", **ask),
        requests.get(f"{server.url}/v1/pika/jobs?jobid={path}", **ask),
        requests.get(f"{server.url}/v1/pika/jobs/cancel/?jobid={path}", **ask),
    ]
    if "\x00" not in job_id:
        # A field of a form must not hold a NUL at all, which row 9 is about.
        answers.append(server.post("button", {"jobid": job_id, "button": "retry"}))
    for answer in answers:
        told = answer.json()
        shown = told["error"].removeprefix("Unable to locate job ")

        assert (404, 404) == (answer.status_code, told["code"])
        assert shown != told["error"]
        assert shown.isprintable()
        assert len(shown) <= 64
    logged = events(server)[before:]

    assert {"request.refused"} == {event["event"] for event in logged}
    assert len(answers) == len(logged)
