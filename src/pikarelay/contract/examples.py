"""
The bodies that the API's document shows.

Nothing here is written by hand as JSON: jobs go through `job_body`, and refusals are those that the parsers raise. So an
example can't say what the server would not.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pikarelay import errors
from pikarelay.contract.accounts import (
    AccountHealthListBody,
    account_body,
    account_health_body,
    caller_body,
    parse_account,
    parse_reply_url,
)
from pikarelay.contract.bodies import cancelled_body, error_body, job_body
from pikarelay.contract.callbacks import (
    CallbackListBody,
    callback_body,
    parse_listing,
    parse_replay,
    replay_body,
)
from pikarelay.contract.commands import COMMAND_FORMS, CommandForm, parse_command
from pikarelay.contract.idempotency import parse_key
from pikarelay.contract.requests import REPLY_LIMIT, parse_button
from pikarelay.errors import ApiError, InvalidValue
from pikarelay.jobs.breaker import Health
from pikarelay.jobs.callbacks import CallbackAttempt, CallbackRecord, CallbackState, Target
from pikarelay.jobs.health import AccountHealth, HealthState
from pikarelay.jobs.images import NOT_SUPPORTED
from pikarelay.jobs.job import Account, Attachment, Button, Caller, Job, Press, Status, Upload, Verb
from pikarelay.jobs.secret import Secret

#: Name of an example to the body that it shows.
Examples = Mapping[str, Any]

JOB_ID = "01j1r2s3t4v5w6x7y8z9a0b1c2"
PARENT_JOB_ID = "01j1r0a0b1c2d3e4f5g6h7j8k9"
CHANNEL = "1180000000000000001"
_OTHER_CHANNEL = "1180000000000000002"
_TOKEN = Secret("abcDEFghiJKLmnoPQRstuvwxyz")
_PROMPT = "waves crashing over the sandy beach, overhead shot"
_AUTHOR = "<@1170000000000000001>"
_TOO_LONG = "x" * (REPLY_LIMIT + 1)
_IMAGE = Upload(size=20_480, type="image/png", key="1")
_RATE_LIMITED = '{"global":true,"message":"You are being rate limited.","retry_after":10}'
_GONE = '{"message":"Unknown Message","code":10008}'

_STARTED = Job(
    job_id=JOB_ID,
    caller_id="caller",
    verb=Verb.BUTTON,
    status=Status.STARTED,
    created=datetime(2026, 6, 1, 10, 0, 0, tzinfo=UTC),
    updated=datetime(2026, 6, 1, 10, 0, 3, 800_000, tzinfo=UTC),
    prompt=_PROMPT,
    button="retry",
    parent_job_id=PARENT_JOB_ID,
    discord_token=_TOKEN,
    channel=CHANNEL,
    max_jobs=10,
    reply_url="https://example.org/hook",
    reply_ref="my-reference",
    press=Press(nonce="1"),
    message_id="1190000000000000001",
    content=f"{_AUTHOR}  Creation job queued. (Prompt: {_PROMPT}  Author: {_AUTHOR})",
    timestamp="2026-06-01T10:00:02.100000+00:00",
)
_COMPLETED = msgspec.structs.replace(
    _STARTED,
    status=Status.COMPLETED,
    updated=datetime(2026, 6, 1, 10, 2, 0, tzinfo=UTC),
    message_id="1190000000000000002",
    content=f"{_AUTHOR} Prompt: {_PROMPT}  Author: {_AUTHOR})",
    timestamp="2026-06-01T10:01:55.500000+00:00",
    buttons=(Button(name="retry", custom_id="1"),),
    attachments=(
        Attachment(
            url="https://cdn.example.org/attachments/1/2/video.mp4",
            proxy_url="https://media.example.org/attachments/1/2/video.mp4",
            filename="video.mp4",
            content_type="video/mp4",
            size=200_000,
            width=1024,
            height=576,
            id="1190000000000000003",
        ),
    ),
)
_ACCOUNT = Account(
    caller_id="caller", channel=CHANNEL, discord_token=_TOKEN, max_jobs=10, updated=_STARTED.created
)
_CALLER = Caller(
    caller_id="caller",
    name="Ada",
    created=_STARTED.created,
    subscribed_until=datetime(2027, 6, 1, tzinfo=UTC),
    reply_url="https://example.org/hook",
)


def _plain(body: object) -> Any:
    """Return a body as JSON's own values."""
    return msgspec.json.decode(msgspec.json.encode(body))


def _refused(parse: Callable[[Mapping[str, str]], object], texts: Mapping[str, str]) -> Any:
    """Return the body of the refusal that these texts meet."""
    try:
        parse(texts)
    except ApiError as error:
        return _plain(error_body(error))
    raise AssertionError(f"nobody refused {texts}")


def refusals(*conditions: ApiError) -> Examples:
    """Return the bodies of conditions, each under its class's name."""
    return {type(condition).__name__: _plain(error_body(condition)) for condition in conditions}


UNAUTHORIZED = refusals(errors.Unauthorized())
TOO_MANY_GUESSES = refusals(errors.TooManyGuesses(timedelta(minutes=1)))
SUBSCRIPTION_EXPIRED = refusals(errors.SubscriptionExpired())
NOT_FOR_USE = refusals(errors.ScopeMissing("use"))
NOT_TO_ADMINISTER = refusals(errors.ScopeMissing("administer"))
JOB_NOT_FOUND = refusals(errors.JobNotFound(JOB_ID))
JOB_ID_NOT_PROVIDED = refusals(errors.JobIdNotProvided())
CONFIGURATION_NOT_FOUND = refusals(errors.ConfigurationNotFound())
ROUTE_NOT_FOUND = refusals(errors.RouteNotFound())
MALFORMED_REQUEST = refusals(errors.MalformedRequest())
TOO_MANY_PARAMETERS = refusals(errors.MalformedRequest("too many query parameters"))
METHOD_NOT_ALLOWED = refusals(errors.MethodNotAllowed(["POST"]))
TOO_MANY_REQUESTS = refusals(
    errors.TooManyJobs(10, [JOB_ID, PARENT_JOB_ID]), errors.DiscordRateLimited(_RATE_LIMITED)
)
BROKEN = refusals(errors.ApiError())
UNAVAILABLE = refusals(errors.Unavailable())


#: What every POST that makes a job may also be refused for.
_BAD_POST = {
    "BadKey": _refused(lambda given: parse_key([given["key"].encode()]), {"key": "\u2026"}),
    "KeyReused": _plain(error_body(InvalidValue("Idempotency-Key was used with another request"))),
    **refusals(errors.MalformedBody()),
}


def bad_button() -> Examples:
    """Return each 400 of POST /button, in the order in which they are looked for."""
    whole = {"jobid": JOB_ID, "button": "retry"}
    return {
        "Missing": _refused(parse_button, {}),
        "TooLong": _refused(parse_button, whole | {"replyRef": _TOO_LONG}),
        "BadReplyUrl": _refused(parse_button, whole | {"replyUrl": "ftp://example.org"}),
        "BadToken": _refused(parse_button, whole | {"discord": "two words"}),
        "ButtonNotSupported": _refused(parse_button, whole | {"button": "remix"}),
        **_BAD_POST,
    }


def bad_command(form: CommandForm) -> Examples:
    """Return each 400 of a command, in the order in which they are looked for."""
    texts = {name: "x" for name in form.required if name in form.texts}
    files = {name: _IMAGE for name in form.required if name in form.files}

    def refused(**more: str) -> Any:
        return _refused(lambda given: parse_command(form, given, files), texts | more)

    examples = {
        "Missing": _refused(lambda given: parse_command(form, given, {}), {}),
        "TooLong": refused(replyRef=_TOO_LONG),
        "BadReplyUrl": refused(replyUrl="ftp://example.org"),
        "BadToken": refused(discord="two words"),
        "BadChannel": refused(channel="general"),
        "BadImage": _plain(error_body(InvalidValue(NOT_SUPPORTED))),
    }
    if "font" in form.texts:
        examples["FontNotSupported"] = refused(font="ARIAL")
    return examples | _BAD_POST


def bad_account() -> Examples:
    """Return each 400 of POST /account/<channel>, in the order in which they are looked for."""
    whole = {"discord": "token", "channel": CHANNEL, "maxJobs": "10"}

    def refused(**changed: str) -> Any:
        return _refused(lambda given: parse_account(given, CHANNEL), whole | changed)

    return {
        "MissingDiscord": refused(discord=""),
        "MissingChannel": refused(channel=""),
        "BadChannel": refused(channel="general"),
        "OtherChannel": refused(channel=_OTHER_CHANNEL),
        "BadToken": refused(discord="two words"),
        "MissingMaxJobs": refused(maxJobs="0"),
        "TooManyJobs": refused(maxJobs="11"),
        "SameToken": _plain(
            error_body(InvalidValue(f"Channel {_OTHER_CHANNEL} configuration has same discord value"))
        ),
        **refusals(errors.MalformedBody()),
    }


def bad_caller() -> Examples:
    """Return each 400 of POST /v2/account."""
    return {
        "TooLong": _refused(parse_reply_url, {"replyUrl": _TOO_LONG}),
        "BadReplyUrl": _refused(parse_reply_url, {"replyUrl": "ftp://example.org"}),
        **refusals(errors.MalformedBody()),
    }


def started_button() -> Examples:
    """Return the 200 of POST /button."""
    return {"Started": _plain(job_body(_STARTED))}


def started_command(form: CommandForm) -> Examples:
    """Return the 200 of a command."""
    return {"Started": _plain(job_body(_of_command(_STARTED, form)))}


def not_accepted(form: CommandForm | None = None) -> Examples:
    """Return the two ways in which Discord does not take a press; the answer is then the failed job."""
    unknown = msgspec.structs.replace(
        _STARTED, status=Status.FAILED, message_id=None, content=None, timestamp=None
    )
    job = unknown if form is None else _of_command(unknown, form)
    refused = msgspec.structs.replace(
        job, error="Discord /interactions failed with HTTP status 404", error_details=_GONE
    )
    unreached = msgspec.structs.replace(job, error="Discord /interactions could not be reached")
    return {
        "DiscordRefused": _plain(job_body(refused, 502)),
        "DiscordUnreachable": _plain(job_body(unreached, 502)),
    }


def jobs_as_read() -> Examples:
    """Return the 200 of GET /jobs/: a job under way, and one for each ending."""
    command = _of_command(_COMPLETED, COMMAND_FORMS[0])
    progress = msgspec.structs.replace(_STARTED, status=Status.PROGRESS)
    moderated = msgspec.structs.replace(
        _STARTED, status=Status.MODERATED, error="The prompt was moderated", error_details=None
    )
    failed = msgspec.structs.replace(_STARTED, status=Status.FAILED, error="Pika did not answer in time")
    cancelled = msgspec.structs.replace(_STARTED, status=Status.CANCELLED)
    return {
        "Completed": _plain(job_body(command)),
        "CompletedButton": _plain(job_body(_COMPLETED)),
        "Progress": _plain(job_body(progress)),
        "Moderated": _plain(job_body(moderated)),
        "Failed": _plain(job_body(failed)),
        "Cancelled": _plain(job_body(cancelled)),
    }


def cancelled_job() -> Examples:
    cancelled = msgspec.structs.replace(_STARTED, status=Status.CANCELLED)
    return {"Cancelled": _plain(cancelled_body(cancelled)), "HadEnded": _plain(cancelled_body(_COMPLETED))}


def executing_jobs() -> Examples:
    return {"Two": [JOB_ID, PARENT_JOB_ID], "None": []}


def one_account() -> Examples:
    return {"Account": _plain(account_body(_ACCOUNT))}


def all_accounts() -> Examples:
    return {"Accounts": {CHANNEL: _plain(account_body(_ACCOUNT))}}


def accounts_health() -> Examples:
    blocked = AccountHealth(
        state=HealthState.CAPTCHA, reason="Discord wants a captcha solved: use the official client once"
    )
    paused = AccountHealth(
        state=HealthState.PAUSED, reason="Discord limits all requests", until=_STARTED.created + 5 * _SECOND
    )
    found = tuple(
        account_health_body(_ACCOUNT, health)
        for health in (AccountHealth(state=HealthState.READY), paused, blocked)
    )
    return {"Accounts": _plain(AccountHealthListBody(accounts=found))}


def the_caller(*, with_reply_url: bool = True) -> Examples:
    return {"Caller": _plain(caller_body(_CALLER, with_reply_url=with_reply_url))}


def _of_command(job: Job, form: CommandForm) -> Job:
    """Return the job as if a command had made it."""
    return msgspec.structs.replace(
        job,
        verb=form.verb,
        button=None,
        parent_job_id=None,
        message="Ahoy" if "message" in form.texts else None,
        message_image=_IMAGE if "message" in form.files else None,
        font="RETRO" if "font" in form.texts else None,
        image=_IMAGE if "image" in form.required else None,
    )


_SECOND = timedelta(seconds=1)
_ENDED = _COMPLETED.updated
_ATTEMPT = CallbackAttempt(
    callback_id="cb_01j1r2v0a1b2c3d4e5f6g7h8j9",
    attempt=1,
    started=_ENDED,
    duration_ms=42,
    status=500,
    error="http_500",
    address="192.0.2.10",
    answer="Internal Server Error",
    next_try=_ENDED + 5 * _SECOND,
)
_RECORD = CallbackRecord(
    callback_id=_ATTEMPT.callback_id,
    job_id=JOB_ID,
    caller_id="caller",
    target="https://example.org:443",
    url="https://example.org/hook?key=k",
    state=CallbackState.WAITING,
    created=_ENDED,
    attempt=1,
    due=_ENDED + 5 * _SECOND,
    error="http_500",
)


def callback_list() -> Examples:
    dead = msgspec.structs.replace(
        _RECORD, state=CallbackState.DEAD, job_id=PARENT_JOB_ID, due=None, attempt=10, error="connect"
    )
    shown = CallbackListBody(callbacks=(callback_body(_RECORD), callback_body(dead)))
    return {"one waits, one is dead": _plain(shown), "none": _plain(CallbackListBody(callbacks=()))}


def one_callback() -> Examples:
    target = Target(target=_RECORD.target, health=Health(failing_since=_ENDED))
    return {"tried once": _plain(callback_body(_RECORD, target, [_ATTEMPT], _ENDED))}


def a_replay() -> Examples:
    refused = {"http://10.0.0.1:80": "target address is not public"}
    return {
        "one": _plain(replay_body([JOB_ID], {})),
        "a day's dead letters": _plain(replay_body([JOB_ID, PARENT_JOB_ID], refused)),
    }


def bad_listing() -> Examples:
    def refused(**texts: str) -> Any:
        return _refused(lambda its: parse_listing(its, None), texts)

    return {
        "state": refused(state="lost"),
        "target": refused(target="example.org"),
        "since": refused(since="yesterday"),
        "limit": refused(limit="0"),
    }


def bad_replay() -> Examples:
    def refused(**texts: str) -> Any:
        return _refused(lambda its: parse_replay(its, None, _ENDED), texts)

    return {
        "nothing": refused(),
        "since": refused(since="yesterday"),
        "range": refused(since="2026-01-01T00:00:00Z", until="2026-03-01T00:00:00Z"),
        "closed": _plain(error_body(InvalidValue("callback is not sent: target address is not public"))),
    }
