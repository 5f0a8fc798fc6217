"""
The OpenAPI 3.1 document of the operations that are served.

It is made of the table that requests are dispatched by, so that nothing is served without being in it, nor the other way
round.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pikarelay.contract import examples
from pikarelay.contract.documentation import TAGS, Answer, Documentation
from pikarelay.contract.examples import Examples
from pikarelay.contract.schemas import Schema, answer_schemas, ref, with_code

_SECURITY = "apiToken"
_PATH_PARAMETERS: Mapping[str, Schema] = {
    "channel": {
        "name": "channel",
        "in": "path",
        "required": True,
        "description": "Discord channel id.",
        "schema": {"type": "string", "pattern": r"^\d{17,20}$"},
        "example": examples.CHANNEL,
    },
    "jobid": {
        "name": "jobid",
        "in": "path",
        "required": True,
        "description": "The job, as the POST answered it.",
        "schema": {"type": "string", "pattern": "^[a-z0-9]{1,64}$"},
        "example": examples.JOB_ID,
    },
}
_DESCRIPTION = """\
Make videos with Pika by plain HTTP, on a Discord account that you configure.

1. Post a prompt or an image, or press the `retry` button of a completed job. The answer is a job.
2. Ask for the job until it has ended, or give a `replyUrl` and be called.
3. The video is at `attachments[0].url`.

Every call needs `Authorization: Bearer <API token>`. Every answer with a body is JSON, errors included:
`{"error": "…", "code": 400}`, where `code` is the HTTP status. What has no value is left out, never null. An empty text
is as good as none. Texts are measured as JavaScript does. Unknown fields are ignored. A path may end in a slash or not.

What is refused is looked for in this order: 401, 402, 400, 404, 429. An address that sends many requests without a valid API
token gets 429 instead of 401, which whoever has a valid one never meets.
"""


class Documented(Protocol):
    """A row of the table of operations."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def summary(self) -> str: ...

    @property
    def documentation(self) -> Documentation: ...


def openapi_document(operations: Iterable[Documented], version: str) -> dict[str, Any]:
    """Return the document of these operations; `version` is the program's."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pika API v1",
            "version": version,
            "summary": "Served by pikarelay.",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "security": [{_SECURITY: []}],
        "tags": [{"name": name, "description": its} for name, its in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": answer_schemas(),
            "responses": {
                "MalformedRequest": _refusal(
                    "What was sent is no HTTP request; the connection is closed.",
                    400,
                    examples.MALFORMED_REQUEST,
                ),
                "RouteNotFound": _refusal("There is no such path.", 404, examples.ROUTE_NOT_FOUND),
                "MethodNotAllowed": _refusal(
                    "The path has other methods; the Allow header names them.",
                    405,
                    examples.METHOD_NOT_ALLOWED,
                ),
            },
            "securitySchemes": {
                _SECURITY: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token of this server, made by `pikarelay token add`.",
                }
            },
        },
    }


def _operation(operation: Documented) -> dict[str, Any]:
    told = operation.documentation
    in_path = [_PATH_PARAMETERS[name] for name in re.findall(r"{(\w+)}", operation.path)]
    found: dict[str, Any] = {
        "operationId": told.operation_id,
        "tags": [told.tag],
        "summary": operation.summary,
        "description": told.description,
        "parameters": [*in_path, *told.parameters],
        "responses": {str(answer.status): _answer(answer) for answer in told.answers},
    }
    if told.bodies:
        content = {media_type: {"schema": schema} for media_type, schema in told.bodies.items()}
        found["requestBody"] = {"required": True, "content": content}
    if told.calls_back:
        found["callbacks"] = {"jobEnded": {"{$request.body#/replyUrl}": {"post": _CALLBACK}}}
    return found


def _answer(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        found["headers"] = answer.headers
    if answer.schema is not None:
        shown = {name: {"value": value} for name, value in answer.examples.items()}
        found["content"] = {"application/json": {"schema": answer.schema, "examples": shown}}
    return found


def _refusal(description: str, code: int, found: Examples) -> dict[str, Any]:
    return _answer(
        Answer(status=code, description=description, schema=with_code("Error", code), examples=found)
    )


_CALLBACK = {
    "summary": "The job has ended",
    "description": "Sent once the job is `completed`, `failed`, `moderated` or `cancelled`, with what a poll would answer."
    " It is sent again, the same byte for byte, until the answer is a 2xx.",
    "security": [],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": ref("Job"),
                "examples": {name: {"value": its} for name, its in examples.jobs_as_read().items()},
            }
        },
    },
    "responses": {"2XX": {"description": "Taken note of. The body is not read."}},
}
