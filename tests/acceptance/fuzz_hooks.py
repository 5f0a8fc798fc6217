"""
What Schemathesis is told about this API, beside its document. Loaded by `st run`, in a process of its own.

Valid values that stand for something (a token, a channel, a jobid) are replaced by ones that exist, so that requests get
further than the first 404, and by nothing that leads off this machine. Values that are not valid stay as they are.
"""

import itertools
import json
import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

WORLD: dict[str, str] = json.loads(os.environ["FUZZ_WORLD"])
DOCUMENT: dict[str, Any] = requests.get(WORLD["document"], timeout=30).json()

_CHANNEL = re.compile(r"\d{17,20}")
_TOKEN = re.compile(r"\s*[!-~]+\s*")
_JOB_ID = re.compile(r"[^\x00]+")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")
_URL = re.compile(r"(?=.{8,1024}\Z)https?://[^\x00-\x20\x7f]+", re.IGNORECASE)
#: In UTF-16 units, of which a character may take two; a schema's lengths count characters.
_LIMITS = {"message": 20, "prompt": 1500, "replyRef": 1024}
_LONGEST_NAME = 64
_serial = itertools.count()

#: The smallest PNG, and a larger one of the same: a file that is no image is refused, as the document's prose says.
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c6360000000020001485fdd1a0000000049454e44ae426082"
)
schemathesis.openapi.format("binary", st.just(_PNG))


@schemathesis.hook
def before_call(context: object, case: Any, kwargs: object) -> None:
    """Lead the request to what exists."""
    own_account = case.path_parameters and "channel" in case.path_parameters
    seat = "other_" if own_account else ""
    if own_account:
        _replace(case.path_parameters, "channel", _CHANNEL, WORLD["other_channel"])
    _replace(case.query, "jobid", _JOB_ID, WORLD["jobid"], every=2)
    _replace(case.query, "target", _URL, WORLD["reply_url"])
    _replace(case.headers, "Idempotency-Key", _KEY, f"fuzz {next(_serial)}")
    if isinstance(case.body, dict):
        if case.media_type == "multipart/form-data":
            case.body = _with_pictures(case, _with_real_names(case.body))
        case.body.update(_token_as_text(case))
        for name, limit in _LIMITS.items():
            case.body.update(_within(case.body, name, limit))
        _replace(case.body, "jobid", _JOB_ID, WORLD["jobid"], every=2)
        _replace(case.body, "channel", _CHANNEL, WORLD[f"{seat}channel"])
        _replace(case.body, "discord", _TOKEN, WORLD[f"{seat}discord"])
        if case.body.get("discord") == WORLD["discord"] and case.body.get("channel") == "":
            # To the schema an empty channel is one; to the server it is none.
            case.body["channel"] = WORLD["channel"]
        for name in ("replyUrl", "target"):
            _replace(case.body, name, _URL, WORLD["reply_url"])
        if case.operation.label == "POST /v1/pikarelay/callbacks/replay":
            # What a range of 31 days at most has no schema for.
            for name, days in (("since", 2), ("until", 1)):
                _replace(
                    case.body, name, _MOMENT, f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
                )


def _replace(values: Any, name: str, valid: re.Pattern[str], by: str, *, every: int = 1) -> None:
    """Replace a valid value, or one of so many, and keep its length if it is the longer one."""
    value = values.get(name) if values else None
    if isinstance(value, str) and valid.fullmatch(value) and len(value) % every == 0:
        values[name] = by.ljust(len(value), "x") if name == "replyUrl" else by


def _within(body: dict[str, Any], name: str, limit: int) -> dict[str, str]:
    """Return the text, if it is only too long because of characters that count twice, with others in their place."""
    text = body.get(name)
    if (
        not isinstance(text, str)
        or len(text) > limit
        or len(text.encode("utf-16-le", "surrogatepass")) <= 2 * limit
    ):
        return {}
    return {name: "".join(character if character <= "\uffff" else "\ufffd" for character in text)}


def _with_pictures(case: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Return the form with pictures for files: of any bytes a schema cannot say that they are none."""
    fields = _schemas_of(case)[case.media_type]["properties"]
    files = {name for name, its in fields.items() if its.get("format") == "binary"}
    return {
        name: _PNG if name in files and isinstance(value, str | bytes) else value
        for name, value in body.items()
    }


def _schemas_of(case: Any) -> dict[str, Any]:
    """Return what the document says of the request's body, by media type."""
    told = DOCUMENT["paths"][case.operation.path][case.operation.method.lower()].get("requestBody")
    return {} if told is None else {media: its["schema"] for media, its in told["content"].items()}


def _token_as_text(case: Any) -> dict[str, str]:
    """Return the token as the text that the server takes it for: a form has no other values, and a number in JSON is one as well."""
    value = case.body.get("discord", "")
    is_text = isinstance(value, str | bytes)
    if is_text or not (case.media_type == "multipart/form-data" or isinstance(value, int | float)):
        return {}
    return {"discord": json.dumps(value)}


def _with_real_names(body: dict[str, Any]) -> dict[str, Any]:
    """Return a form without the fields whose names no client sends: those are no forms to the server."""
    return {
        name: value for name, value in body.items() if 0 < len(name.encode(errors="replace")) <= _LONGEST_NAME
    }


@schemathesis.check
def invalid_is_refused(context: object, response: Any, case: Any) -> None:
    """
    A form that its schema does not allow is refused.

    Judged where a text is a text: in a multipart form everything becomes one, and JSON's numbers and booleans are taken
    for one, as null is for no value.
    """
    schema = _schemas_of(case).get(case.media_type)
    if schema is None or not isinstance(case.body, dict):
        return
    texts = {name: "file" if isinstance(value, bytes) else value for name, value in case.body.items()}
    known = [value for name, value in texts.items() if name in schema["properties"]]
    if response.status_code >= 400 or not all(isinstance(value, str) for value in known):
        return
    if case.operation.label == "POST /v1/pika/account/{channel}":
        texts["maxJobs"] = int(texts.get("maxJobs", "0"))
    for error in Draft202012Validator(schema).iter_errors(texts):
        raise AssertionError(f"accepted, though {error.message}")
