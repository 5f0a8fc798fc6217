"""Every condition of the list, with its status and its sentence."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from pikarelay import errors
from pikarelay.errors import ApiError

#: One of each, with what the contract says of it.
CASES: list[tuple[ApiError, int, str]] = [
    (errors.ApiError(), 500, "Internal Server Error"),
    (errors.MissingValue("jobid or button"), 400, "jobid or button value is missing"),
    (errors.InvalidValue("replyUrl is not a valid URL"), 400, "replyUrl is not a valid URL"),
    (errors.TooLong("replyRef or replyUrl"), 400, "replyRef or replyUrl is too long"),
    (errors.ButtonNotSupported("remix"), 400, "button remix not supported"),
    (errors.MalformedRequest(), 400, "malformed request"),
    (errors.MalformedBody(), 400, "malformed request body"),
    (errors.JobIdNotProvided(), 400, "Query param jobid not provided"),
    (errors.Unauthorized(), 401, "Unauthorized"),
    (errors.TooManyGuesses(timedelta(seconds=40)), 429, "Too Many Requests"),
    (errors.SubscriptionExpired(), 402, "Account has no subscription or subscription expired"),
    (errors.ScopeMissing("administer"), 403, "API token has no scope administer"),
    (errors.JobNotFound("J9"), 404, "Unable to locate job J9"),
    (errors.ConfigurationNotFound(), 404, "Configuration not found"),
    (errors.RouteNotFound(), 404, "Not Found"),
    (errors.MethodNotAllowed(["GET"]), 405, "Method Not Allowed"),
    (errors.TooManyJobs(10, ["J1"]), 429, "Maximum of 10 jobs executing in parallel supported"),
    (errors.DiscordRateLimited("{}"), 429, "Discord /interactions failed with HTTP status 429"),
    (errors.Unavailable(), 503, "Service Unavailable"),
    (errors.OutcomeUnknown(), 503, "Service Unavailable"),
]


def classes(root: type[ApiError] = ApiError) -> Iterator[type[ApiError]]:
    yield root
    for child in root.__subclasses__():
        yield from classes(child)


@pytest.mark.parametrize(("error", "code", "message"), CASES, ids=lambda value: type(value).__name__)
def test_code_and_message(error: ApiError, code: int, message: str) -> None:
    """Each condition answers with its status and its sentence."""
    assert (code, message) == (error.code, error.message)
    assert message == str(error)


def test_list_is_closed() -> None:
    """Every condition is in this module, in its tree, and tested above."""
    declared = {c for c in classes() if c.__module__.startswith("pikarelay")}

    assert {type(error) for error, _, _ in CASES} == declared
    for condition in declared:
        assert errors.__name__ == condition.__module__
        assert condition.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("make", [errors.ButtonNotSupported, errors.JobNotFound])
def test_what_a_caller_sent_is_tamed(make: type[errors.ButtonNotSupported]) -> None:
    """Control characters of a caller's value are dropped, and long values cut."""
    message = make("\x1b[31m\r\n" + "x" * 500).message

    assert message.isprintable()
    assert len(message) < 100
