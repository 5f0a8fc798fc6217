"""
The closed list of conditions the API can answer with.

    ApiError                      what a caller did, or what stands in the way
    ├── MissingValue              400  a required form field is absent or empty
    ├── InvalidValue              400  a form field has a value that can never work
    │   └── TooLong               400  or one that is longer than allowed
    ├── ButtonNotSupported        400  not a button of that job, or not one we press
    ├── MalformedRequest          400  what came in is no request, so nobody knows where the next one begins
    ├── MalformedBody             400  the body is not the form it claims to be
    ├── JobIdNotProvided          400  GET without ?jobid=
    ├── Unauthorized              401
    ├── SubscriptionExpired       402
    ├── ScopeMissing              403  the API token is not good for that
    ├── JobNotFound               404  unknown, expired, or somebody else's
    ├── ConfigurationNotFound     404  no account on that channel
    ├── RouteNotFound             404
    ├── MethodNotAllowed          405
    ├── TooManyGuesses            429  no valid API token, once more from an address with too many such requests
    ├── TooManyJobs               429  our limit, with the jobs that hold the places
    ├── DiscordRateLimited        429  Discord's limit, with Discord's own words
    └── Unavailable               503  we cannot store anything right now
        └── OutcomeUnknown        503  or do not know whether we did

The class carries `code`, which is also the HTTP status. Where the contract's sentence has no blanks it is the
class's docstring, and the docstring is the message. Everything that is not an `ApiError` is a bug and is
answered with 500.

Discord refusing a press with any other status is not in this list on purpose: then not the request failed but
the job, and the answer is the job (see `pikarelay.jobs.lifecycle`). The three `Discord…` exceptions below are
how `pikarelay.discord` tells the services about it.
"""

import errno
import inspect
from collections.abc import Sequence
from datetime import timedelta

#: What a caller sent comes back in an error no longer than any real value.
_SHOWN_CHARACTERS = 64


def _shown(text: str) -> str:
    """Return what a caller sent as it may stand on a terminal or in a log: printable and short."""
    return "".join(c for c in text if c.isprintable())[:_SHOWN_CHARACTERS]


class ApiError(Exception):
    """Internal Server Error"""

    #: The HTTP status, and the `code` of the body.
    code = 500

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or ""))

    @property
    def message(self) -> str:
        """The `error` of the body."""
        return str(self.args[0])


class MissingValue(ApiError):
    """A required value is absent or empty; the message names the candidates in the contract's words."""

    code = 400

    def __init__(self, names: str) -> None:
        super().__init__(f"{names} value is missing")


class InvalidValue(ApiError):
    """A value can never work. The message is the whole sentence."""

    code = 400


class TooLong(InvalidValue):
    """One of several texts is longer than the contract allows."""

    def __init__(self, names: str) -> None:
        super().__init__(f"{names} is too long")


class ButtonNotSupported(ApiError):
    """The parent is not completed, has no such button, or has one that this API does not press (remix)."""

    code = 400

    def __init__(self, button: str) -> None:
        super().__init__(f"button {_shown(button)} not supported")


class MalformedRequest(ApiError):
    """malformed request"""

    code = 400


class MalformedBody(ApiError):
    """malformed request body"""

    code = 400


class JobIdNotProvided(ApiError):
    """Query param jobid not provided"""

    code = 400


class Unauthorized(ApiError):
    """Unauthorized"""

    code = 401


class SubscriptionExpired(ApiError):
    """Account has no subscription or subscription expired"""

    code = 402


class ScopeMissing(ApiError):
    """The API token is valid, and was made for other things than this. The message names the scope that it lacks."""

    code = 403

    def __init__(self, scope: str) -> None:
        super().__init__(f"API token has no scope {scope}")


class JobNotFound(ApiError):
    """No such job, no longer, or not this caller's: the three are not told apart."""

    code = 404

    def __init__(self, job_id: str) -> None:
        super().__init__(f"Unable to locate job {_shown(job_id)}")


class ConfigurationNotFound(ApiError):
    """Configuration not found"""

    code = 404


class RouteNotFound(ApiError):
    """Not Found"""

    code = 404


class MethodNotAllowed(ApiError):
    """Method Not Allowed"""

    code = 405

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__()
        #: For the Allow header.
        self.allowed = tuple(allowed)


class TooManyGuesses(ApiError):
    """Too Many Requests"""

    # Never told to whoever brings a valid API token. Everything that is wrong with a token is this same refusal too.
    code = 429

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__()
        #: Until its address may fail again.
        self.retry_after = retry_after


class TooManyJobs(ApiError):
    """
    The channel already executes as many jobs as the caller allows.

    Not an error of ours: callers are told to wait 10 to 30 seconds and retry. `executing` is never empty, for
    clients recognise this refusal by it.
    """

    code = 429

    def __init__(self, max_jobs: int, executing: Sequence[str]) -> None:
        super().__init__(f"Maximum of {max_jobs} jobs executing in parallel supported")
        self.max_jobs = max_jobs
        self.executing = tuple(executing)


class DiscordRateLimited(ApiError):
    """Discord answered 429 to an interaction, or is known to be about to. No job exists."""

    code = 429

    def __init__(self, details: str, retry_after: float | None = None, *, was_sent: bool = True) -> None:
        super().__init__("Discord /interactions failed with HTTP status 429")
        #: False when Discord was not even asked, because its last 429 still holds.
        self.was_sent = was_sent
        #: Discord's own body, as text.
        self.details = details
        #: Seconds until the next try makes sense, when Discord said so.
        self.retry_after = retry_after


class Unavailable(ApiError):
    """Service Unavailable"""

    code = 503


class OutcomeUnknown(Unavailable):
    """Service Unavailable"""

    # The connection broke while the engine was told to commit. It did, or it did not.


class DiscordRefused(Exception):
    """
    Discord answered, and the answer is no. Nothing was pressed.

    `status` is the HTTP status, `details` Discord's body as text (never longer than 4,096 characters).
    """

    def __init__(self, status: int, details: str, *, is_stale: bool = False) -> None:
        super().__init__(f"Discord answered HTTP status {status}")
        self.status = status
        self.details = details
        #: Whether Discord said that the component or command has changed since we read it. Reading it again and
        #: pressing what it is now is then not a second press, for the first one never happened.
        self.is_stale = is_stale


class DiscordUnavailable(Exception):
    """
    No usable answer from Discord.

    `may_have_happened` is False only when the request certainly never reached Discord (the connection could not
    be made). When it is True, the request may have taken effect and must not be repeated: HTTP 5xx, a lost answer, a
    timeout.
    """

    def __init__(
        self, reason: str, *, may_have_happened: bool, status: int | None = None, details: str = ""
    ) -> None:
        super().__init__(reason)
        self.may_have_happened = may_have_happened
        #: The 5xx, when there was one.
        self.status = status
        self.details = details


class SessionElsewhere(DiscordUnavailable):
    """The account's session is another worker's now, and so will be what is to be pressed. Nothing was asked of Discord."""

    def __init__(self) -> None:
        super().__init__("The account's session is another worker's", may_have_happened=False)


class AccountUnusable(Exception):
    """
    The account cannot press anything until a person acts, and Discord has not been asked again.

    `reason` is a sentence for that person; `status` and `details` are Discord's, when a refusal of Discord's
    led here.
    """

    def __init__(self, reason: str, *, status: int | None = None, details: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.details = details


#: What the system says when this process, or its machine, has no more of something.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def is_shortage(error: BaseException) -> bool:
    """Whether nothing left this machine because it lacked descriptors or memory: nobody else's failure."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or (isinstance(seen, OSError) and seen.errno in _SHORTAGES):
            return True
        seen = seen.__cause__
    return False
