"""The served document and pages: what `/openapi.json` says is what the server does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay

CORS_HEADERS = "Authorization, Content-Type, Idempotency-Key"


@pytest.fixture(scope="module")
def document(server: Relay) -> dict[str, Any]:
    answer = requests.get(server.url + "/openapi.json", timeout=PATIENCE)
    assert 200 == answer.status_code
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(scope="module")
def seat(server: Relay, local: Local) -> tuple[str, str]:
    """A Discord token and its channel, configured as an account."""
    token, channel = local.new_user("document")
    assert server.command("account", "set", channel, stdin=token).returncode == 0
    return token, channel


@pytest.fixture(scope="module")
def parent(server: Relay, seat: tuple[str, str]) -> dict[str, Any]:
    """A completed job."""
    return server.created("a red kite", *seat)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def conforms(document: dict[str, Any], answer: requests.Response, path: str) -> None:
    """Check an answer against what the document says of its path, method and status."""
    method = str(answer.request.method).lower()
    told = document["paths"][path][method]["responses"][str(answer.status_code)]
    content = told.get("content")
    if content is None:
        assert b"" == answer.content
        return
    schema = {**content["application/json"]["schema"], "components": document["components"]}
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(answer.json())]

    assert "application/json" == answer.headers["Content-Type"]
    assert [] == errors


def test_document_is_valid(document: dict[str, Any]) -> None:
    """The document is OpenAPI 3.1."""
    validate(document)

    assert "3.1.0" == document["openapi"]


def test_each_operation_is_served(server: Relay, document: dict[str, Any]) -> None:
    """Each documented operation is there, and asks for a token in the documented words."""
    asked = [
        requests.request(method, server.url + path.replace("{channel}", "1" * 17), timeout=PATIENCE)
        for method, path, _ in operations(document)
    ]

    assert [401] * len(asked) == [answer.status_code for answer in asked]
    for (_, path, _), answer in zip(operations(document), asked, strict=True):
        conforms(document, answer, path)


def test_real_answers(
    server: Relay, local: Local, document: dict[str, Any], parent: dict[str, Any], hook: Receiver
) -> None:
    """Answers of every kind are exactly as documented, and so is a callback."""
    retry = {"jobid": parent["jobid"], "button": "retry", "replyUrl": hook.url, "replyRef": "r"}
    started = server.post("button", retry)
    conforms(document, started, "/v1/pika/button")
    job_id = started.json()["jobid"]
    assert "completed" == server.finished(job_id)["status"]
    job = {"$ref": "#/components/schemas/Job", "components": document["components"]}
    Draft202012Validator(job).validate(hook.next().job)

    conforms(document, server.get(f"/v1/pika/jobs/?jobid={job_id}"), "/v1/pika/jobs/")
    conforms(document, server.get("/v1/pika/jobs/?jobid="), "/v1/pika/jobs/")
    conforms(document, server.get("/v1/pika/jobs/?jobid=J9"), "/v1/pika/jobs/")
    conforms(document, server.get(f"/v1/pika/jobs/cancel?jobid={job_id}"), "/v1/pika/jobs/cancel")
    conforms(document, server.get("/v1/pika/jobs"), "/v1/pika/jobs")
    conforms(document, server.get("/v1/pika/account"), "/v1/pika/account")
    conforms(document, server.get("/v2/account"), "/v2/account")
    conforms(document, server.get("/v1/account"), "/v1/account")
    for fields in ({}, {"jobid": "J9", "button": "retry"}, {**retry, "button": "remix"}):
        refused = server.post("button", fields)
        assert refused.status_code in {400, 404}
        conforms(document, refused, "/v1/pika/button")


def test_failed_press(
    server: Relay, local: Local, document: dict[str, Any], parent: dict[str, Any], seat: tuple[str, str]
) -> None:
    """A press that Discord refuses is a 502 with the failed job, as documented."""
    refused = server.post(
        "button", {"jobid": parent["jobid"], "button": "retry", "discord": seat[0][:-4] + "xxxx"}
    )

    assert (502, "failed") == (refused.status_code, refused.json()["status"])
    conforms(document, refused, "/v1/pika/button")


def test_full(
    server: Relay, local: Local, document: dict[str, Any], parent: dict[str, Any], seat: tuple[str, str]
) -> None:
    """Our own 429 is as documented."""
    local.configure_pika(speed=2.0)
    token, channel = local.new_user("document-full")
    fields = {"prompt": "a boat", "discord": token, "channel": channel, "maxJobs": "1"}
    first = server.post("create", fields)

    second = server.post("create", fields)

    assert (200, 429) == (first.status_code, second.status_code)
    conforms(document, first, "/v1/pika/create")
    conforms(document, second, "/v1/pika/create")
    local.configure_pika(speed=0.0)
    server.finished(first.json()["jobid"])


class TestPages:
    def test_front_page(self, server: Relay) -> None:
        """The page is at `/`, may load from this server alone but for videos, and needs no token."""
        answer = requests.get(server.url + "/", timeout=PATIENCE)

        assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
        assert answer.headers["Content-Security-Policy"].startswith(
            "default-src 'self'; img-src 'self' data:;"
        )
        assert "nosniff" == answer.headers["X-Content-Type-Options"]
        assert "script-src" not in answer.headers["Content-Security-Policy"]

    def test_every_part_is_served(self, server: Relay) -> None:
        """Each file beside the page is served, except for what only tells where it comes from."""
        static = Path(__file__).resolve().parents[2] / "src" / "pikarelay" / "api" / "static"
        parts = {str(p.relative_to(static)): p.read_bytes() for p in static.rglob("*") if p.is_file()}
        del parts["index.html"], parts["swagger-ui/README.md"]

        found = {name: requests.get(f"{server.url}/try/{name}", timeout=PATIENCE) for name in parts}

        assert parts == {name: answer.content for name, answer in found.items()}
        assert {"nosniff"} == {answer.headers["X-Content-Type-Options"] for answer in found.values()}

    def test_unchanged(self, server: Relay) -> None:
        """A browser that has a part already is told that it is the same."""
        first = requests.get(server.url + "/try/page.js", timeout=PATIENCE)
        again = requests.get(
            server.url + "/try/page.js", headers={"If-None-Match": first.headers["ETag"]}, timeout=PATIENCE
        )

        assert (304, b"") == (again.status_code, again.content)

    @pytest.mark.parametrize(
        "path", ["/try", "/try/", "/try/index.html", "/try/../app.py", "//", "/docs", "/index.html"]
    )
    def test_nothing_else(self, server: Relay, path: str) -> None:
        """Every other path is the API's own 404."""
        answer = requests.get(server.url + path, timeout=PATIENCE)

        assert {"error": "Not Found", "code": 404} == answer.json()
        assert 404 == answer.status_code


class TestCors:
    @pytest.mark.parametrize(
        ("path", "methods"),
        [
            ("/v1/pika/button", "POST, OPTIONS"),
            ("/v1/pika/jobs/", "GET, OPTIONS"),
            ("/v1/pika/account/" + "1" * 18, "DELETE, GET, POST, OPTIONS"),
        ],
    )
    def test_preflight(self, server: Relay, path: str, methods: str) -> None:
        """A browser is told that pages of any origin may call, with which methods and which headers."""
        asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}

        answer = requests.options(server.url + path, headers=asked, timeout=PATIENCE)

        assert (204, b"") == (answer.status_code, answer.content)
        assert "*" == answer.headers["Access-Control-Allow-Origin"]
        assert methods == answer.headers["Access-Control-Allow-Methods"]
        assert CORS_HEADERS == answer.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers

    def test_answers(self, server: Relay) -> None:
        """Every answer may be read by pages of any origin, refusals included."""
        for path in ("/v1/pika/jobs", "/v1/pika/jobs/", "/nowhere"):
            answer = requests.get(server.url + path, headers={"Origin": "null"}, timeout=PATIENCE)

            assert "*" == answer.headers["Access-Control-Allow-Origin"]

    def test_preflight_of_nothing(self, server: Relay) -> None:
        """A path that does not exist has no methods to tell of."""
        answer = requests.options(server.url + "/nowhere", timeout=PATIENCE)

        assert {"error": "Not Found", "code": 404} == json.loads(answer.content)
