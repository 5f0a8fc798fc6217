"""What is wrong with a request is said in the contract's form; nothing is stored and nothing is pressed."""

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.acceptance.servers import PATIENCE, Local, Relay

ASTRAL = "🎬"


@pytest.fixture(scope="module")
def seat(local: Local) -> tuple[str, str]:
    """A Discord token and its channel."""
    return local.new_user("bad-input")


@pytest.fixture(scope="module")
def parent(server: Relay, seat: tuple[str, str]) -> dict[str, Any]:
    """A completed job."""
    return server.created("a red kite", *seat)


@pytest.fixture(autouse=True)
def _nothing_happens(server: Relay, local: Local, parent: dict[str, Any]) -> Iterator[None]:
    """Around every test: no job more, no press more."""
    before = (server.stored_jobs(), local.get("/presses"))
    yield
    assert before == (server.stored_jobs(), local.get("/presses"))


def refused(answer: requests.Response, code: int, error: str) -> None:
    """The answer is exactly this refusal."""
    assert {"error": error, "code": code} == answer.json()
    assert code == answer.status_code
    assert "application/json" == answer.headers["Content-Type"]
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer nonsense",
        "Bearer " + "x" * 10_000,
        "Token {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer bearer {token}",
    ],
)
@pytest.mark.parametrize("path", ["/v1/pika/button", "/v1/pika/create", "/v1/pika/jobs/?jobid=x"])
def test_bearer(server: Relay, header: str | None, path: str) -> None:
    """A missing, malformed or unknown bearer token is 401, always in the same words."""
    headers = {} if header is None else {"Authorization": header.replace("{token}", server.api_token)}
    method = "GET" if "?" in path else "POST"

    answer = requests.request(method, server.url + path, headers=headers, timeout=PATIENCE)

    refused(answer, 401, "Unauthorized")


@pytest.mark.parametrize(
    "fields",
    [{}, {"jobid": "x"}, {"button": "retry"}, {"jobid": "", "button": "retry"}, {"jobid": "x", "button": ""}],
)
def test_missing(server: Relay, fields: dict[str, str]) -> None:
    """Without jobid or button, or with an empty one, the button is 400."""
    refused(server.post("button", fields or {"other": "x"}), 400, "jobid or button value is missing")


@pytest.mark.parametrize("job_id", ["unknown", "../etc/passwd", "' OR 1=1 --", "01" * 13])
def test_unknown_job(server: Relay, job_id: str) -> None:
    """A jobid that is none of the caller's is 404, for GET and for the button."""
    refused(
        server.post("button", {"jobid": job_id, "button": "retry"}), 404, f"Unable to locate job {job_id}"
    )
    got = requests.get(
        f"{server.url}/v1/pika/jobs/", params={"jobid": job_id}, headers=server.headers, timeout=PATIENCE
    )
    refused(got, 404, f"Unable to locate job {job_id}")


def test_long_job_id(server: Relay) -> None:
    """Of a jobid longer than any real one, or with unprintable characters, only the beginning comes back."""
    answer = server.post("button", {"jobid": "y\r\n" * 5000, "button": "retry"})

    refused(answer, 404, "Unable to locate job " + "y" * 64)


def test_foreign_job(server: Relay, parent: dict[str, Any]) -> None:
    """Somebody else's jobid is answered exactly as an unknown one."""
    stranger = {"Authorization": f"Bearer {server.new_token('somebody else')}"}
    fields = {"jobid": (None, parent["jobid"]), "button": (None, "retry")}

    pressed = requests.post(f"{server.url}/v1/pika/button", headers=stranger, files=fields, timeout=PATIENCE)
    read = requests.get(
        f"{server.url}/v1/pika/jobs/?jobid={parent['jobid']}", headers=stranger, timeout=PATIENCE
    )

    refused(pressed, 404, f"Unable to locate job {parent['jobid']}")
    refused(read, 404, f"Unable to locate job {parent['jobid']}")


@pytest.mark.parametrize("button", ["remix", "Retry", "RETRY", " retry", "upscale", "<b>"])
def test_unsupported_button(server: Relay, parent: dict[str, Any], button: str) -> None:
    """Any button but `retry`, matched exactly, is 400 with its name."""
    answer = server.post("button", {"jobid": parent["jobid"], "button": button})

    refused(answer, 400, f"button {button} not supported")


@pytest.mark.parametrize("field", ["replyRef", "replyUrl"])
@pytest.mark.parametrize("astral", [False, True])
def test_too_long(server: Relay, parent: dict[str, Any], field: str, astral: bool) -> None:
    """At 1,025 UTF-16 units replyRef and replyUrl are 400."""
    start = "http://example.com/"
    text = start + (ASTRAL * 503 if astral else "x" * (1025 - len(start)))
    assert 1025 == len(text.encode("utf-16-le")) // 2

    answer = server.post("button", {"jobid": parent["jobid"], "button": "retry", field: text})

    refused(answer, 400, "replyRef or replyUrl is too long")


@pytest.mark.parametrize(
    "url",
    ["ftp://example.com/x", "file:///etc/passwd", "javascript:alert(1)", "http://", "http://u:p@example.com/",
     "http://exa mple.com/", "example.com", "//example.com", "http://example.com:99999/"],
)  # fmt: skip
def test_undeliverable_reply_url(server: Relay, parent: dict[str, Any], url: str) -> None:
    """A replyUrl that can never be delivered to is 400."""
    answer = server.post("button", {"jobid": parent["jobid"], "button": "retry", "replyUrl": url})

    refused(answer, 400, "replyUrl is not a valid URL")


def test_same_field_twice(server: Relay, parent: dict[str, Any]) -> None:
    """A field given twice is 400, for which of the two would count?"""
    fields = [("jobid", (None, parent["jobid"])), ("button", (None, "retry")), ("discord", (None, "A" * 60)),
              ("discord", (None, "B" * 60))]  # fmt: skip

    answer = requests.post(
        f"{server.url}/v1/pika/button", headers=server.headers, files=fields, timeout=PATIENCE
    )

    refused(answer, 400, "discord is given more than once")


@pytest.mark.parametrize(
    ("content_type", "body", "error"),
    [
        ("text/plain", b"jobid=x&button=retry", "Content-Type must be"),
        ("", b"jobid=x", "Content-Type must be"),
        ("multipart/form-data", b"--x\r\n", "malformed multipart body"),
        ("multipart/form-data; boundary=x", b"no boundary here", "request body is incomplete"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="jobid"\r\n\r\nJ', "incomplete"),
        ("multipart/form-data; boundary=x", b"--x\r\nnonsense\r\n\r\nJ\r\n--x--\r\n", "malformed multipart body"),
        ("application/json", b"[1]", "request body is not a JSON object"),
        ("application/json", b'{"jobid": {"a": 1}}', "no text, number or boolean"),
        ("application/json", b"{", "malformed request body"),
    ],
)  # fmt: skip
def test_malformed_body(server: Relay, content_type: str, body: bytes, error: str) -> None:
    """A body that is no form is 400 with a sentence about what is wrong with it."""
    headers = {**server.headers, "Content-Type": content_type}

    answer = requests.post(f"{server.url}/v1/pika/button", headers=headers, data=body, timeout=PATIENCE)

    assert error in answer.json()["error"]
    assert ["error", "code"] == list(answer.json())
    assert 400 == answer.json()["code"] == answer.status_code


def test_body_cut_anywhere(server: Relay, parent: dict[str, Any]) -> None:
    """A valid request cut at any byte of its body makes no job, whether its length was announced or not."""
    body = requests.Request(
        "POST",
        server.url,
        files={"jobid": (None, parent["jobid"]), "button": (None, "retry")},
    ).prepare()
    assert isinstance(body.body, bytes)
    host = urlsplit(server.url)
    head = (
        f"POST /v1/pika/button HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api_token}\r\n"
        f"Content-Type: {body.headers['Content-Type']}\r\nContent-Length: {len(body.body)}\r\n\r\n"
    ).encode()

    for cut in range(len(body.body)):
        with socket.create_connection((host.hostname, host.port)) as connection:  # type: ignore[arg-type] # never None here
            connection.sendall(head + body.body[:cut])
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(65536)

        assert not answer or b" 400 " in answer.split(b"\r\n", 1)[0]


@pytest.mark.parametrize(
    ("method", "path", "code", "error"),
    [
        ("GET", "/v1", 404, "Not Found"),
        ("GET", "/v1/pika/nothing", 404, "Not Found"),
        ("POST", "/v1/pika/jobs/", 405, "Method Not Allowed"),
        ("GET", "/v1/pika/button", 405, "Method Not Allowed"),
        ("DELETE", "/v1/pika/create", 405, "Method Not Allowed"),
        ("GET", "/v1/pika/jobs/", 400, "Query param jobid not provided"),
        ("GET", "/v1/pika/jobs/?jobid=", 400, "Query param jobid not provided"),
    ],
)
def test_routes(server: Relay, method: str, path: str, code: int, error: str) -> None:
    """Unknown routes, wrong methods and a missing jobid are refused in the same shape."""
    answer = requests.request(method, server.url + path, headers=server.headers, timeout=PATIENCE)

    refused(answer, code, error)


def test_no_account(server: Relay) -> None:
    """Without an account and without discord and channel, create is 400."""
    refused(server.post("create", {"prompt": "x"}), 400, "prompt, discord or channel value is missing")
    refused(server.post("create", {"prompt": ""}), 400, "prompt, discord or channel value is missing")


def test_connections_survive(server: Relay, parent: dict[str, Any]) -> None:
    """After a refused request the same connection still answers the next."""
    with requests.Session() as session:
        session.headers.update(server.headers)
        for _ in range(3):
            files = {"jobid": (None, "nope"), "button": (None, "retry")}
            assert (
                404 == session.post(f"{server.url}/v1/pika/button", files=files, timeout=PATIENCE).status_code
            )
            read = session.get(f"{server.url}/v1/pika/jobs/?jobid={parent['jobid']}", timeout=PATIENCE)
            assert 200 == read.status_code
