"""The document, without a server: it holds every operation, every condition, and nothing that the code would not say."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from pikarelay import errors
from pikarelay.contract import documentation, schemas
from pikarelay.contract.bodies import error_body, job_body
from pikarelay.contract.commands import COMMAND_FORMS
from pikarelay.contract.documentation import Documentation
from pikarelay.contract.openapi import openapi_document
from pikarelay.contract.requests import BUTTON_FIELDS
from tests.factories import a_parent
from tests.unit.test_errors import CASES


class Row(msgspec.Struct, frozen=True):
    """A row of the table, without its handler."""

    method: str
    path: str
    summary: str
    documentation: Documentation


ROWS = [
    *(
        Row("POST", f"/v1/pika/{form.name}", form.summary, documentation.command(form))
        for form in COMMAND_FORMS
    ),
    Row("POST", "/v1/pika/button", "Button", documentation.BUTTON),
    Row("GET", "/v1/pika/jobs/", "Job", documentation.JOB),
    Row("GET", "/v1/pika/jobs", "Jobs", documentation.JOBS),
    Row("GET", "/v1/pika/jobs/cancel", "Cancel", documentation.CANCEL),
    Row("GET", "/v1/pika/account", "Accounts", documentation.ACCOUNTS),
    Row("GET", "/v1/pika/account/{channel}", "Account", documentation.ACCOUNT),
    Row("POST", "/v1/pika/account/{channel}", "Account", documentation.SET_ACCOUNT),
    Row("DELETE", "/v1/pika/account/{channel}", "Account", documentation.DELETE_ACCOUNT),
    Row("GET", "/v2/account", "Caller", documentation.CALLER),
    Row("GET", "/v1/account", "Caller", documentation.CALLER_V1),
    Row("POST", "/v2/account", "Caller", documentation.SET_REPLY_URL),
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as it is served: JSON and back."""
    found: dict[str, Any] = json.loads(msgspec.json.encode(openapi_document(ROWS, "1")))
    return found


def answers(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield where, status and answer, for all operations."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                yield f"{method} {path}", status, answer


def shown(answer: dict[str, Any]) -> list[Any]:
    content = answer.get("content", {}).get("application/json", {})
    return [example["value"] for example in content.get("examples", {}).values()]


def test_valid(document: dict[str, Any]) -> None:
    """The document is OpenAPI 3.1, and no two operations share an id."""
    validate(document)
    ids = [row.documentation.operation_id for row in ROWS]

    assert len(ids) == len(set(ids))


def test_examples_follow_their_schemas(document: dict[str, Any]) -> None:
    """Every status that has a body has examples, and they are what its schema says."""
    for where, status, answer in answers(document):
        if status == "204":
            continue
        schema = answer["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**schema, "components": document["components"]})

        assert shown(answer), (where, status)
        for example in shown(answer):
            assert [] == [e.message for e in validator.iter_errors(example)], (where, status)


def test_codes_are_statuses(document: dict[str, Any]) -> None:
    """An example's `code` is the status that it is shown under."""
    for where, status, answer in answers(document):
        codes = {example["code"] for example in shown(answer) if "code" in example}

        assert codes <= {int(status)}, where


def test_every_condition_is_shown(document: dict[str, Any]) -> None:
    """Every condition the API can answer with is among the examples, by its class or by its sentence's shape."""
    everything = [example for _, _, answer in answers(document) for example in shown(answer)]
    everything += [e for answer in document["components"]["responses"].values() for e in shown(answer)]
    sentences = {example["error"] for example in everything if "error" in example}

    for error, code, message in CASES:
        # What a caller sent, and what is counted, differs from example to example.
        pattern = re.sub(r"J9|remix|10", r"\\S+", re.escape(message))
        assert any(re.fullmatch(pattern, sentence) for sentence in sentences), type(error)
        assert code in {example["code"] for example in everything if "code" in example}


def test_seed_conditions_of_button(document: dict[str, Any]) -> None:
    """POST /button shows each refusal of the contract's page, word for word."""
    responses = document["paths"]["/v1/pika/button"]["post"]["responses"]
    said = {status: {example.get("error") for example in shown(its)} for status, its in responses.items()}

    # This server's own: the 403, for tokens that the contract does not know, and a 429 for who goes on without a valid one.
    assert {"200", "400", "401", "402", "403", "404", "429", "500", "502", "503"} == responses.keys()
    assert {
        "jobid or button value is missing",
        "button remix not supported",
        "replyRef or replyUrl is too long",
    } <= said["400"]
    assert {"Unauthorized"} == said["401"]
    assert {"Account has no subscription or subscription expired"} == said["402"]
    assert {
        "Maximum of 10 jobs executing in parallel supported",
        "Discord /interactions failed with HTTP status 429",
        "Too Many Requests",
    } == said["429"]


def test_every_operation_may_meet_a_guesser(document: dict[str, Any]) -> None:
    """Wherever a token is asked for, its lack is 401, and 429 with a hint when that happens often."""
    for where, its in ((path, its) for path, found in document["paths"].items() for its in found.values()):
        many = its["responses"]["429"]

        assert [{"error": "Unauthorized", "code": 401}] == shown(its["responses"]["401"]), where
        assert {"error": "Too Many Requests", "code": 429} in shown(many), where
        assert "integer" == many["headers"]["Retry-After"]["schema"]["type"], where


def test_forms_hold_what_is_read() -> None:
    """A form's schema has the fields that the server reads, files as files, and no others."""
    assert set(BUTTON_FIELDS) == schemas.button_form()["properties"].keys()
    for form in COMMAND_FORMS:
        properties = schemas.command_form(form)["properties"]
        files = {name for name, its in properties.items() if its.get("format") == "binary"}

        assert form.fields == properties.keys()
        assert form.files == files


def test_files_need_multipart(document: dict[str, Any]) -> None:
    """A form that needs a file is multipart alone; each other one is also JSON, without the file."""
    content = {
        path: document["paths"][f"/v1/pika/{path}"]["post"]["requestBody"]["content"]
        for path in ("create", "animate", "encrypt_image")
    }

    assert ["multipart/form-data"] == list(content["animate"]) == list(content["encrypt_image"])
    assert "image" in content["create"]["multipart/form-data"]["schema"]["properties"]
    assert "image" not in content["create"]["application/json"]["schema"]["properties"]


def test_answers_are_closed(document: dict[str, Any]) -> None:
    """The schemas are those of the structs: every key of a real job is in it, and a foreign one is refused."""
    schema = {"$ref": "#/components/schemas/Job", "components": document["components"]}
    job = json.loads(msgspec.json.encode(job_body(a_parent())))
    validator = Draft202012Validator(schema)

    assert validator.is_valid(job)
    assert not validator.is_valid({**job, "foreign": 1})
    assert not validator.is_valid({**job, "messageId": None})
    assert not validator.is_valid({key: value for key, value in job.items() if key != "jobid"})


def test_nulls_are_nowhere(document: dict[str, Any]) -> None:
    """What has no value is left out of every answer, so no schema of one allows a null."""
    assert '"null"' not in json.dumps(document["components"]["schemas"])


def test_every_property_is_described(document: dict[str, Any]) -> None:
    """Every key of an answer and every field of a form comes with a sentence."""
    for name, schema in document["components"]["schemas"].items():
        for key, its in schema["properties"].items():
            assert its["description"].endswith("."), (name, key)
    for row in ROWS:
        for schema in row.documentation.bodies.values():
            for key, its in schema["properties"].items():
                assert its["description"].endswith("."), (row.path, key)


def test_key_of_a_request(document: dict[str, Any]) -> None:
    """Every POST that makes a job takes an Idempotency-Key, and no other operation does."""
    with_key = {
        path
        for path, methods in document["paths"].items()
        for operation in methods.values()
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"])
    }

    assert {f"/v1/pika/{form.name}" for form in COMMAND_FORMS} | {"/v1/pika/button"} == with_key


def test_refusals_come_from_one_place() -> None:
    """A refusal in the document is what the server's own function makes of its condition."""
    found = documentation.examples.refusals(errors.Unauthorized())

    assert {"Unauthorized": msgspec.to_builtins(error_body(errors.Unauthorized()))} == found
