"""
JSON Schemas of what the API takes and answers.

Those of answers are read off the structs that are answered with; those of requests are made of the tables that requests
are read by. What only prose can say of a field stands here, and a test misses it when it is not there.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from pikarelay.contract.accounts import MAX_JOBS_LIMIT, AccountBody, AccountHealthListBody, CallerBody
from pikarelay.contract.bodies import CancelledBody, ErrorBody, JobBody
from pikarelay.contract.callbacks import CallbackBody, CallbackListBody, ReplayBody
from pikarelay.contract.commands import FONTS, CommandForm
from pikarelay.contract.requests import REPLY_LIMIT
from pikarelay.jobs.buttons import SUPPORTED
from pikarelay.jobs.callbacks import CallbackState, Trigger
from pikarelay.jobs.health import HealthState
from pikarelay.jobs.job import Status, Verb

Schema = dict[str, Any]

#: Statuses as callers see them: `created` is ours alone.
_STATUSES = [status.value for status in Status if status is not Status.CREATED]
_MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
_SNOWFLAKE = r"^\d{17,20}$"
#: A Discord token as it may stand in a header; space around it is dropped.
_TOKEN = r"^\s*[!-~]+\s*$"  # noqa: S105 - a pattern
#: Any text without a NUL, which no database keeps.
_TEXT = r"^[^\u0000]*$"
#: Roughly what `urls.is_deliverable` takes, which no pattern could tell in full.
HTTP_URL = r"^([Hh][Tt][Tt][Pp][Ss]?://[^\u0000-\u0020\u007f]+)?$"

_ACCOUNT: Mapping[str, Schema] = {
    "channel": {"description": "Discord channel id.", "pattern": _SNOWFLAKE},
    "discord": {"description": "The Discord token, masked."},
    "maxJobs": {"description": "How many jobs may execute on the channel.", "minimum": 1},
}
#: What the struct of an answer can't say: struct's name to property to what is added to its schema.
_ADDED: Mapping[str, Mapping[str, Schema]] = {
    "JobBody": {
        "jobid": {"description": "Ask for the job with it. Opaque; letters and digits only."},
        "verb": {"description": "What kind of job it is.", "enum": [verb.value for verb in Verb]},
        "status": {
            "description": "`started` and `progress` go on; the other four are final and never change.",
            "enum": _STATUSES,
        },
        "created": {"description": "UTC, three decimals.", "pattern": _MOMENT},
        "updated": {"description": "UTC, three decimals.", "pattern": _MOMENT},
        "button": {"description": "The button that was pressed. Button jobs only."},
        "parentJobId": {"description": "The job whose button was pressed. Button jobs only."},
        "prompt": {"description": "Not on button jobs: there it shows inside `content`."},
        "message": {"description": "What to hide: a text (encrypt_text) or a file (encrypt_image)."},
        "font": {"description": "Of the hidden text.", "enum": list(FONTS)},
        "buttons": {"description": "What `POST /v1/pika/button` may press. Completed jobs only."},
        "image": {"description": "The uploaded image."},
        "discord": {"description": "The Discord token, masked: its first and its last three characters."},
        "channel": {"description": "Discord channel id.", "pattern": _SNOWFLAKE},
        "maxJobs": {
            "description": "How many jobs may execute on the channel, this one included.",
            "minimum": 1,
        },
        "replyUrl": {"description": "Where the callback goes."},
        "replyRef": {"description": "The caller's own reference, exactly as it came."},
        "messageId": {"description": "Discord message id of the bot's message.", "pattern": _SNOWFLAKE},
        "content": {"description": "The bot's message."},
        "timestamp": {"description": "Discord's own time of that message, with microseconds and offset."},
        "attachments": {"description": "The video first. Completed jobs only."},
        "embeds": {"description": "More of the bot's message, in Discord's own shape."},
        "error": {"description": "Why it failed or was moderated."},
        "errorDetails": {"description": "Discord's own words about it, as text."},
        "code": {"description": "The HTTP status."},
    },
    "ImageBody": {"size": {"description": "Bytes."}, "type": {"description": "Media type."}},
    "AttachmentBody": {
        "url": {"description": "Public: fetch it without a token.", "format": "uri"},
        "proxy_url": {"description": "The same by way of Discord's media proxy.", "format": "uri"},
        "filename": {"description": "Ends in the file's type."},
        "content_type": {"description": "Media type."},
        "size": {"description": "Bytes."},
        "width": {"description": "Pixels."},
        "height": {"description": "Pixels."},
        "id": {"description": "Discord attachment id."},
    },
    "ErrorBody": {
        "error": {"description": "What is wrong, in one sentence.", "minLength": 1},
        "errorDetails": {"description": "Discord's own answer, as text. Only when Discord sets the limit."},
        "executingJobs": {
            "description": "The jobs that hold the places. Only when `maxJobs` is the limit.",
            "minItems": 1,
        },
        "code": {"description": "The HTTP status."},
    },
    "CancelledBody": {
        "jobid": {"description": "The job."},
        "status": {
            "description": "How it stands now: one that had ended keeps its status.",
            "enum": _STATUSES,
        },
        "code": {"description": "The HTTP status.", "const": 200},
    },
    "AccountBody": _ACCOUNT,
    "CallerBody": {
        "created": {"description": "UTC, three decimals.", "pattern": _MOMENT},
        "name": {"description": "Who holds the token."},
        "verified": {"description": "Always true here.", "const": True},
        "sub": {
            "description": "Last day of the subscription, `YYMMDD`, UTC. Absent when it has no end.",
            "pattern": r"^\d{6}$",
        },
        "replyUrl": {"description": "Where callbacks go when a call names no `replyUrl`."},
    },
    "AttemptBody": {
        "attempt": {"description": "Its number; 1 is the first.", "minimum": 1},
        "trigger": {"description": "What made it due.", "enum": [trigger.value for trigger in Trigger]},
        "started": {"description": "UTC, three decimals.", "pattern": _MOMENT},
        "durationMs": {"description": "Milliseconds.", "minimum": 0},
        "address": {"description": "The IP address that was dialled, when it came that far."},
        "status": {"description": "The HTTP status of the receiver's answer."},
        "error": {
            "description": "What went wrong: `dns`, `blocked`, `connect`, `tls`, `timeout`, `protocol` or"
            " `http_<status>`; or `interrupted`, when the server broke it off, or was stopped or killed during the try,"
            " which may be all that is known of it. Absent on success."
        },
        "answer": {
            "description": "The beginning of the receiver's answer, 16 KiB at most, masked. A stranger's words: show"
            " them as text."
        },
        "nextTry": {"description": "When the next try was due, as it was decided then.", "pattern": _MOMENT},
    },
    "AccountHealthBody": {
        **_ACCOUNT,
        "state": {
            "description": "`ready`; `connecting`, when presses wait for a session; `offline`, when no server looks after it;"
            " `paused` by Discord for a while; or what only a person can end.",
            "enum": [state.value for state in HealthState],
        },
        "reason": {"description": "What a person has to know or do. Absent while nothing is wrong."},
        "until": {"description": "When a pause ends. UTC, three decimals.", "pattern": _MOMENT},
    },
    "AccountHealthListBody": {"accounts": {"description": "In the order of their channels."}},
    "CallbackBody": {
        "id": {"description": "The `webhook-id` of each of its tries."},
        "jobid": {"description": "The job that it tells of."},
        "url": {"description": "Where it goes, without user information and query."},
        "target": {"description": "The origin of the address: scheme, host and port."},
        "state": {
            "description": "`waiting` for its next try, `delivered`, or `dead`: there is no other try.",
            "enum": [state.value for state in CallbackState],
        },
        "created": {"description": "When it first became due. UTC, three decimals.", "pattern": _MOMENT},
        "attempts": {"description": "How many tries were made or begun.", "minimum": 0},
        "nextTry": {"description": "When the next one is due at the earliest.", "pattern": _MOMENT},
        "error": {
            "description": "Of its last try; or `disabled`, when the target had failed for days. Absent on success."
        },
        "targetState": {
            "description": "How the target stands.",
            "enum": ["healthy", "failing", "paused", "disabled", "off"],
        },
        "log": {"description": "All tries, the oldest first."},
    },
    "CallbackListBody": {"callbacks": {"description": "The newest first."}},
    "RefusedTargetBody": {
        "target": {"description": "An origin."},
        "error": {"description": "Why nothing is sent there."},
    },
    "ReplayBody": {
        "replayed": {"description": "The jobs whose callbacks are due again."},
        "refused": {"description": "Targets that nothing is sent to; their dead letters stay."},
    },
}
_NAMES = {
    "JobBody": "Job",
    "ErrorBody": "Error",
    "ImageBody": "Image",
    "AttachmentBody": "Attachment",
    "CancelledBody": "Cancelled",
    "AccountBody": "Account",
    "AccountHealthBody": "AccountHealth",
    "AccountHealthListBody": "AccountHealthList",
    "CallerBody": "Caller",
    "AttemptBody": "CallbackAttempt",
    "CallbackBody": "Callback",
    "CallbackListBody": "CallbackList",
    "RefusedTargetBody": "RefusedTarget",
    "ReplayBody": "Replay",
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def with_code(name: str, code: int) -> Schema:
    """Return the schema of a body whose `code` says its HTTP status."""
    return {"allOf": [ref(name), {"properties": {"code": {"const": code}}}]}


def answer_schemas() -> dict[str, Schema]:
    """Return the schemas of all answers by name."""
    _, found = msgspec.json.schema_components(
        [
            JobBody,
            ErrorBody,
            CancelledBody,
            AccountBody,
            AccountHealthListBody,
            CallerBody,
            CallbackBody,
            CallbackListBody,
            ReplayBody,
        ],
        ref_template="#/components/schemas/{name}",
    )
    return {_NAMES[name]: _answer(schema, _ADDED[name]) for name, schema in found.items()}


def _answer(schema: Schema, added: Mapping[str, Schema]) -> Schema:
    """
    Return a struct's schema as its JSON is: what has no value is left out, never null, and there is no other key.

    Raises KeyError for a property that nobody described.
    """
    properties = {name: {**_present(its), **added[name]} for name, its in schema["properties"].items()}
    return {
        "type": "object",
        "properties": properties,
        "required": schema["required"],
        "additionalProperties": False,
    }


def _present(schema: Schema) -> Schema:
    """Return what a property holds when it is there."""
    kept = {key: value for key, value in schema.items() if key != "default"}
    choices = [choice for choice in kept.pop("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) > 1:
        return {**kept, "anyOf": [_renamed(choice) for choice in choices]}
    kept = {**kept, **(choices[0] if choices else {})}
    if kept.get("type") == "array":
        kept["items"] = _renamed(kept["items"])
    return _renamed(kept)


def _renamed(schema: Schema) -> Schema:
    """Return the schema with its reference, if it is one, to the name that callers know."""
    if "$ref" not in schema:
        return schema
    return {**schema, **ref(_NAMES[schema["$ref"].rpartition("/")[2]])}


def _text(description: str, limit: int | None = None, **more: Any) -> Schema:
    """Return the schema of a text. One that may be left out may also be empty, and so it stands in a form at first."""
    schema = {"type": "string", "description": description, "pattern": _TEXT, **more}
    if "examples" not in more:
        schema["default"] = ""
    return schema if limit is None else {**schema, "maxLength": limit}


_FILE: Schema = {"type": "string", "format": "binary"}

_COMMON: Mapping[str, Schema] = {
    "discord": _text(
        "Discord token. Needs a `channel`, except for a button.", pattern=rf"{_TOKEN}|^$", format="password"
    ),
    "channel": _text("Discord channel id.", pattern=r"^(\d{17,20})?$"),
    "maxJobs": {
        # A form's field is a text, and no text is refused here but one that is none anywhere.
        "type": ["integer", "string"],
        "pattern": _TEXT,
        "description": "How many jobs may execute on the channel, this one included. What is no number, or below 1,"
        " counts as not given.",
        "default": "",
    },
    "replyUrl": _text(
        "Where to POST the job once it has ended. Without it, the default of `POST /v2/account` is taken.",
        REPLY_LIMIT,
        pattern=HTTP_URL,
    ),
    "replyRef": _text("Your own reference. It comes back with the job and its callback.", REPLY_LIMIT),
}
_FIELDS: Mapping[str, Schema] = {
    "prompt": _text("What the video shows.", examples=["waves crashing over the sandy beach, overhead shot"]),
    "image": {**_FILE, "description": "PNG, JPEG, WebP or GIF, 25 MiB at most."},
    "font": {"type": "string", "enum": ["", *FONTS], "default": "", "description": "Of the hidden text."},
}
_MESSAGE_TEXT = _text("The text to hide.", examples=["Ahoy"])
_MESSAGE_FILE = {**_FILE, "description": "The image to hide: PNG, JPEG, WebP or GIF, 25 MiB at most."}


def command_form(form: CommandForm) -> Schema:
    """Return the schema of a command's form, files included."""
    fields: dict[str, Schema] = {
        **_FIELDS,
        "message": _MESSAGE_FILE if "message" in form.files else _MESSAGE_TEXT,
    }
    order = ("message", "prompt", "font", "image")
    own: dict[str, Schema] = {name: dict(fields[name]) for name in order if name in form.fields}
    for name in form.measured:
        own[name]["maxLength"] = form.texts[name]
    for name in form.required:
        if name in form.texts:
            own[name]["minLength"] = 1
    return {
        "type": "object",
        "properties": {**own, **_COMMON},
        "required": list(form.required),
        # A token says nothing of where to use it.
        "dependentRequired": {"discord": ["channel"]},
    }


def button_form() -> Schema:
    """Return the schema of POST /button's form."""
    own = {
        "jobid": _text("A job of yours with status `completed`.", minLength=1, examples=["<jobid>"]),
        "button": {
            "type": "string",
            "enum": sorted(SUPPORTED),
            "description": "One of that job's `buttons`.",
        },
    }
    common = {**_COMMON, "channel": _text("Not used: the job runs on its parent's channel.")}
    return {"type": "object", "properties": {**own, **common}, "required": list(own)}


def without_files(form: Schema) -> Schema | None:
    """Return the form as JSON or urlencoded can hold it; None when it needs a file."""
    kept = {name: its for name, its in form["properties"].items() if its.get("format") != "binary"}
    if not kept.keys() >= set(form["required"]):
        return None
    return {**form, "properties": kept}


def account_form() -> Schema:
    """Return the schema of POST /account/<channel>."""
    own: dict[str, Schema] = {
        "discord": _text("Discord token.", pattern=_TOKEN, examples=["<token>"]),
        "channel": _text(
            "Discord channel id, the same as in the path.",
            pattern=_SNOWFLAKE,
            examples=["1180000000000000001"],
        ),
        "maxJobs": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_JOBS_LIMIT,
            "examples": [MAX_JOBS_LIMIT],
            "description": "How many jobs may execute on the channel.",
        },
    }
    return {"type": "object", "properties": own, "required": list(own)}


def caller_form() -> Schema:
    """Return the schema of POST /v2/account."""
    url = _text("Where callbacks go by default. Empty or absent: nowhere.", REPLY_LIMIT, pattern=HTTP_URL)
    return {"type": "object", "properties": {"replyUrl": url}}


def replay_form() -> Schema:
    """Return what a replay is asked for with: at least one of what says which callbacks are meant."""
    moment = {"type": "string", "format": "date-time"}
    return {
        "type": "object",
        "properties": {
            "jobid": {
                "type": "string",
                "pattern": _TEXT,
                "description": "One job's callback, whatever became of it.",
            },
            "target": {
                "type": "string",
                "pattern": HTTP_URL,
                "description": "All dead letters to this URL's origin.",
            },
            "since": {**moment, "description": "All dead letters that became due then or later."},
            "until": {**moment, "description": "And before; now, unless given. At most 31 days later."},
        },
        "anyOf": [
            {"required": [name], "properties": {name: {"minLength": 1}}}
            for name in ("jobid", "target", "since")
        ],
    }
