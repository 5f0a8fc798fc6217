"""
What the document says of each operation, one value for each.

The table of operations names these values, so that an operation without one is a type error. How they become OpenAPI is in
`openapi.py`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from pikarelay.contract import examples, schemas
from pikarelay.contract.callbacks import DEFAULT_LIMIT, LISTED_STATES
from pikarelay.contract.commands import CommandForm
from pikarelay.contract.examples import Examples
from pikarelay.contract.schemas import Schema, ref, with_code


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One status that an operation answers with."""

    status: int
    description: str
    #: None: no body.
    schema: Schema | None = None
    examples: Examples = {}
    #: Headers worth a word, by name.
    headers: dict[str, Any] = {}


class Documentation(msgspec.Struct, frozen=True, kw_only=True):
    """What callers are told of an operation, beside its method, path and summary."""

    operation_id: str
    tag: str
    description: str
    answers: Sequence[Answer]
    #: Media type to schema, the first being the usual one. Empty: the operation reads no body.
    bodies: dict[str, Schema] = {}
    #: Beside the path's own.
    parameters: Sequence[dict[str, Any]] = ()
    #: Whether the job that comes of it is POSTed to `replyUrl`.
    calls_back: bool = False


MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"

_VIDEOS, _JOBS, _ACCOUNTS, _CALLERS, _CALLBACKS = "Videos", "Jobs", "Accounts", "Callers", "Callbacks"
TAGS = {
    _VIDEOS: "Each call makes a job. It answers as soon as the bot has taken the job, long before the video is there.",
    _JOBS: "Where jobs stand. They are kept for 31 days at least.",
    _ACCOUNTS: "The Discord set-up of each channel. Needs no subscription.",
    _CALLERS: "Whoever holds the API token. Needs no subscription.",
    _CALLBACKS: "What became of the callbacks of your jobs. Extensions of this server; they need no subscription.",
}

_BROKEN = Answer(
    status=500,
    description="A defect of this server.",
    schema=with_code("Error", 500),
    examples=examples.BROKEN,
)
_UNAVAILABLE = Answer(
    status=503,
    description="Nothing can be stored right now. Try again.",
    schema=with_code("Error", 503),
    examples=examples.UNAVAILABLE,
)
_UNAUTHORIZED = Answer(
    status=401,
    description="No API token, or not one of this server.",
    schema=with_code("Error", 401),
    examples=examples.UNAUTHORIZED,
)
_RETRY_AFTER = {
    "Retry-After": {
        "description": "In how many seconds the address may send requests without a valid API token again.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 60},
    }
}
_TOO_MANY_GUESSES = Answer(
    status=429,
    description="As 401, from an address that sends many such requests. A valid API token is never answered with it.",
    schema=with_code("Error", 429),
    examples=examples.TOO_MANY_GUESSES,
    headers=_RETRY_AFTER,
)
_NO_SUBSCRIPTION = Answer(
    status=402,
    description="The subscription is over, or never was.",
    schema=with_code("Error", 402),
    examples=examples.SUBSCRIPTION_EXPIRED,
)
_NOT_FOR_USE = Answer(
    status=403,
    description="The API token was made without the scope `use`.",
    schema=with_code("Error", 403),
    examples=examples.NOT_FOR_USE,
)
_NOT_TO_ADMINISTER = Answer(
    status=403,
    description="The API token was made without the scope `administer`.",
    schema=with_code("Error", 403),
    examples=examples.NOT_TO_ADMINISTER,
)
_NO_JOB = Answer(
    status=404,
    description="No such job, no longer, or not yours.",
    schema=with_code("Error", 404),
    examples=examples.JOB_NOT_FOUND,
)
_NO_ACCOUNT = Answer(
    status=404,
    description="Nothing is configured there.",
    schema=with_code("Error", 404),
    examples=examples.CONFIGURATION_NOT_FOUND,
)
_FULL = Answer(
    status=429,
    description="Wait for 10 to 30 seconds, and send it again: no job was made. With `executingJobs`, `maxJobs` is"
    " reached; with `errorDetails`, Discord sets the limit. With neither, it is a 401 from an address that sends many such"
    " requests.",
    schema=with_code("Error", 429),
    examples={**examples.TOO_MANY_REQUESTS, **examples.TOO_MANY_GUESSES},
    headers=_RETRY_AFTER,
)
_ALWAYS = (_BROKEN, _UNAVAILABLE)
#: The operations on jobs that exist.
_SUBSCRIBERS = (_UNAUTHORIZED, _NO_SUBSCRIPTION, _NOT_FOR_USE)

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A name of your own for this request. Sent again with the same name within 24 hours, the request"
    " makes no second job: the first one is the answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}
_JOB_ID = {
    "name": "jobid",
    "in": "query",
    "required": True,
    "description": "The job, as the POST answered it.",
    "schema": {"type": "string", "minLength": 1, "pattern": r"^[^\u0000]*$"},
    "example": examples.JOB_ID,
}


def _bad(found: Examples) -> Answer:
    return Answer(
        status=400,
        description="A value is missing, too long, or can never work.",
        schema=with_code("Error", 400),
        examples=found,
    )


def _submitted(found: Examples) -> Answer:
    return Answer(
        status=200,
        description="The job has begun. `content` is the bot's first message; a silent bot is waited for ten seconds,"
        " then the job is answered without one.",
        schema=with_code("Job", 200),
        examples=found,
        headers={
            "Idempotency-Replayed": {
                "description": "Only on the answer to a request that was made before, under the same key.",
                "required": False,
                "schema": {"type": "string", "const": "true"},
            }
        },
    )


def _not_accepted(found: Examples) -> Answer:
    return Answer(
        status=502,
        description="Discord did not take it, for another reason than its rate limits. The job is kept, as `failed`.",
        schema=with_code("Job", 502),
        examples=found,
    )


def command(form: CommandForm) -> Documentation:
    """Return what is said of one of the bot's commands."""
    whole = schemas.command_form(form)
    bodies = {MULTIPART: whole}
    flat = schemas.without_files(whole)
    if flat is not None:
        bodies |= {URLENCODED: flat, JSON: flat}
    return Documentation(
        operation_id=form.name,
        tag=_VIDEOS,
        description="Without `discord` and `channel`, one of your accounts with room is taken, each as likely as the"
        " others. `channel` alone takes that channel's account. Both together need no account.",
        bodies=bodies,
        parameters=[_IDEMPOTENCY_KEY],
        calls_back=True,
        answers=[
            _submitted(examples.started_command(form)),
            _bad(examples.bad_command(form)),
            *_SUBSCRIBERS,
            _FULL,
            _not_accepted(examples.not_accepted(form)),
            *_ALWAYS,
        ],
    )


BUTTON = Documentation(
    operation_id="button",
    tag=_VIDEOS,
    description="Runs a completed job again, with all that belongs to it, on the same channel; nothing needs to be"
    " uploaded again. `retry` is the only button. `discord`, if given, is used; else the account that is now"
    " configured for the channel, else what the job was made with.",
    bodies=dict.fromkeys((MULTIPART, URLENCODED, JSON), schemas.button_form()),
    parameters=[_IDEMPOTENCY_KEY],
    calls_back=True,
    answers=[
        _submitted(examples.started_button()),
        _bad(examples.bad_button()),
        *_SUBSCRIBERS,
        _NO_JOB,
        _FULL,
        _not_accepted(examples.not_accepted()),
        *_ALWAYS,
    ],
)
JOB = Documentation(
    operation_id="job",
    tag=_JOBS,
    description="While `status` is `started` or `progress`, ask again in 10 to 30 seconds. Once it is `completed`, the"
    " video is at `attachments[0].url`. Whatever became of the job, the HTTP status is 200.",
    parameters=[_JOB_ID],
    answers=[
        Answer(
            status=200,
            description="The job as it stands.",
            schema=with_code("Job", 200),
            examples=examples.jobs_as_read(),
        ),
        _bad(examples.JOB_ID_NOT_PROVIDED),
        *_SUBSCRIBERS,
        _NO_JOB,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
JOBS = Documentation(
    operation_id="jobs",
    tag=_JOBS,
    description="Lists your jobs that have not ended, over all channels. With `?jobid=` it is the same as"
    " `/v1/pika/jobs/`.",
    answers=[
        Answer(
            status=200,
            description="The jobids.",
            schema={"type": "array", "items": {"type": "string"}},
            examples=examples.executing_jobs(),
        ),
        _bad(examples.TOO_MANY_PARAMETERS),
        *_SUBSCRIBERS,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
CANCEL = Documentation(
    operation_id="cancel",
    tag=_JOBS,
    description="Gives the job up and frees its place at once. What the bot has begun is not undone. A job that had"
    " ended keeps the status that it ended with.",
    parameters=[_JOB_ID],
    answers=[
        Answer(
            status=200,
            description="How the job stands now.",
            schema=ref("Cancelled"),
            examples=examples.cancelled_job(),
        ),
        _bad(examples.JOB_ID_NOT_PROVIDED),
        *_SUBSCRIBERS,
        _NO_JOB,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
ACCOUNTS = Documentation(
    operation_id="accounts",
    tag=_ACCOUNTS,
    description="Lists your accounts by channel, their tokens masked.",
    answers=[
        Answer(
            status=200,
            description="Channel to account.",
            schema={"type": "object", "additionalProperties": ref("Account"), "minProperties": 1},
            examples=examples.all_accounts(),
        ),
        _UNAUTHORIZED,
        _NO_ACCOUNT,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
ACCOUNT = Documentation(
    operation_id="account",
    tag=_ACCOUNTS,
    description="Shows one account, its token masked.",
    answers=[
        Answer(
            status=200, description="The account.", schema=ref("Account"), examples=examples.one_account()
        ),
        _UNAUTHORIZED,
        _NO_ACCOUNT,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
SET_ACCOUNT = Documentation(
    operation_id="setAccount",
    tag=_ACCOUNTS,
    description="Sets up the account of a channel, in place of the one it had. Jobs under way keep the token that they"
    " began with.",
    bodies=dict.fromkeys((JSON, URLENCODED, MULTIPART), schemas.account_form()),
    answers=[
        Answer(status=204, description="It is set up."),
        _bad(examples.bad_account()),
        _UNAUTHORIZED,
        _NOT_TO_ADMINISTER,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
DELETE_ACCOUNT = Documentation(
    operation_id="deleteAccount",
    tag=_ACCOUNTS,
    description="Removes the account of a channel. Jobs under way go on.",
    answers=[
        Answer(status=204, description="It is gone."),
        _UNAUTHORIZED,
        _NOT_TO_ADMINISTER,
        _NO_ACCOUNT,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
CALLER = Documentation(
    operation_id="caller",
    tag=_CALLERS,
    description="Shows who holds the token, how long the subscription lasts, and where callbacks go by default.",
    answers=[
        Answer(status=200, description="You.", schema=ref("Caller"), examples=examples.the_caller()),
        _UNAUTHORIZED,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
CALLER_V1 = Documentation(
    operation_id="callerV1",
    tag=_CALLERS,
    description="The same as `/v2/account`, without `replyUrl`.",
    answers=[
        Answer(
            status=200,
            description="You.",
            schema=ref("Caller"),
            examples=examples.the_caller(with_reply_url=False),
        ),
        _UNAUTHORIZED,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
SET_REPLY_URL = Documentation(
    operation_id="setReplyUrl",
    tag=_CALLERS,
    description="Sets where callbacks go when a call names no `replyUrl`. Empty or absent: nowhere.",
    bodies=dict.fromkeys((JSON, URLENCODED, MULTIPART), schemas.caller_form()),
    answers=[
        Answer(
            status=200,
            description="You, as you are now.",
            schema=ref("Caller"),
            examples=examples.the_caller(),
        ),
        _bad(examples.bad_caller()),
        _UNAUTHORIZED,
        _NOT_TO_ADMINISTER,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)


def _asked(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


ACCOUNTS_HEALTH = Documentation(
    operation_id="accountsHealth",
    tag=_ACCOUNTS,
    description="Tells how each of your accounts fares at Discord, and what a person has to do about it. An extension of this"
    " server.",
    answers=[
        Answer(
            status=200,
            description="Your accounts.",
            schema=ref("AccountHealthList"),
            examples=examples.accounts_health(),
        ),
        _UNAUTHORIZED,
        _NO_ACCOUNT,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
CALLBACKS = Documentation(
    operation_id="callbacks",
    tag=_CALLBACKS,
    description="Lists callbacks that are not delivered: those that wait for their next try, and dead letters, which have"
    " none. They are kept as long as their jobs.",
    parameters=[
        _asked("state", "Only these.", enum=[state.value for state in LISTED_STATES]),
        _asked("target", "Only those to this URL's origin.", pattern=schemas.HTTP_URL),
        _asked("since", "Only those that became due then or later.", format="date-time"),
        _asked("until", "Only those that became due before.", format="date-time"),
        _asked(
            "limit", f"How many at most; {DEFAULT_LIMIT} unless given.", pattern="^([1-9][0-9]{0,2}|1000)$"
        ),
    ],
    answers=[
        Answer(
            status=200,
            description="The newest first.",
            schema=ref("CallbackList"),
            examples=examples.callback_list(),
        ),
        _bad(examples.bad_listing()),
        _UNAUTHORIZED,
        _NOT_FOR_USE,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
CALLBACK = Documentation(
    operation_id="callback",
    tag=_CALLBACKS,
    description="Shows the callback of a job, delivered or not, how its target stands, and the log of its tries.",
    answers=[
        Answer(
            status=200,
            description="The callback.",
            schema=ref("Callback"),
            examples=examples.one_callback(),
        ),
        _UNAUTHORIZED,
        _NOT_FOR_USE,
        _NO_JOB,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
REPLAY = Documentation(
    operation_id="replayCallbacks",
    tag=_CALLBACKS,
    description="Sends callbacks again: one job's, or all dead letters of a target, of a range of time, or of both. The"
    " bytes and the `webhook-id` are the same as ever, and the schedule begins anew.",
    bodies=dict.fromkeys((JSON, URLENCODED, MULTIPART), schemas.replay_form()),
    answers=[
        Answer(
            status=200,
            description="They are due now.",
            schema=ref("Replay"),
            examples=examples.a_replay(),
        ),
        _bad(examples.bad_replay()),
        _UNAUTHORIZED,
        _NOT_TO_ADMINISTER,
        _NO_JOB,
        _TOO_MANY_GUESSES,
        *_ALWAYS,
    ],
)
