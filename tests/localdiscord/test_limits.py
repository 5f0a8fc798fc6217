"""Windows, buckets and the REST limits, without a socket."""

from typing import Any

import pytest

from localdiscord.limits.rest import RestLimits, Visit
from localdiscord.limits.violations import DETAILS_KEPT, RefusedTokens, Violation, Violations
from localdiscord.limits.windows import Bucket, ClosedUntil, SlidingCount
from localdiscord.wire.errors import RateLimited

USER = Visit("1", is_bot=False, method="POST", template="/interactions", major="")
BOT = Visit("2", is_bot=True, method="POST", template="/channels/{channel}/messages", major="7")


def limits(**options: Any) -> RestLimits:
    return RestLimits(Violations(), **options)


def test_sliding_count_forgets_what_is_old() -> None:
    """The third call of a second waits until the first is a second old."""
    count = SlidingCount(2, 1.0)

    assert [count.add(10.0), count.add(10.25), count.add(10.5)] == [0.0, 0.0, 0.5]
    assert count.add(11.0) == 0.0
    assert count.size(11.0) == 2


def test_bucket_refills_when_its_window_ends() -> None:
    """A bucket of one is empty after one call, and full again in the next window."""
    bucket = Bucket(1, 5.0)

    assert [bucket.take(0.0), bucket.take(4.9), bucket.take(5.0)] == [True, False, True]


def test_closed_window_ends_by_itself() -> None:
    """What a 429 closed is open again when its time is over, and young windows forgive."""
    closed = ClosedUntil()
    closed.close("key", 10.0, 2.0)

    assert 0.0 < closed.left("key", 11.0) < 1.0
    assert [closed.was_in_flight("key", 10.05), closed.was_in_flight("key", 11.0)] == [True, False]
    assert 0.0 == closed.left("key", 12.0) == closed.left("other", 10.0)


@pytest.mark.parametrize(("scope", "other_is_open"), [("user", True), ("global", False)])
def test_scope_says_how_much_is_closed(scope: str, other_is_open: bool) -> None:
    """A user's 429 closes one bucket, a global one everything of that user, and nothing of others."""
    rest = limits()
    rest.close(USER, 5.0, scope, now=0.0)
    other = Visit("1", is_bot=False, method="GET", template="/users/@me", major="")

    with pytest.raises(RateLimited):
        rest.admit(USER, now=1.0)
    if other_is_open:
        rest.admit(other, now=1.0)
    else:
        with pytest.raises(RateLimited):
            rest.admit(other, now=1.0)
    rest.admit(BOT, now=1.0)


def test_in_flight_request_is_refused_and_not_counted() -> None:
    """Within the first tenth of a second nobody is blamed."""
    rest = limits()
    rest.close(USER, 5.0, "user", now=0.0)
    for now, total in ((0.05, 0), (0.5, 1)):
        with pytest.raises(RateLimited):
            rest.admit(USER, now=now)

        assert total == rest.violations.total


def test_waiting_out_the_window_is_no_violation() -> None:
    """A request right after `retry_after` is admitted, even from a timer that fires a little early."""
    rest = limits()
    rest.close(USER, 2.0, "user", now=0.0)
    rest.admit(USER, now=1.99)

    assert rest.violations.total == 0


def test_global_limit_leaves_webhooks_out() -> None:
    """Interaction callbacks do not count towards a bot's requests a second."""
    rest = limits(requests_per_second=1)
    callback = Visit("2", is_bot=False, method="POST", template="/callback", major="", is_global=False)
    for _ in range(5):
        rest.admit(callback, now=0.0)
    rest.admit(BOT, now=0.0)
    with pytest.raises(RateLimited) as caught:
        rest.admit(BOT, now=0.0)

    assert caught.value.scope == "global"


def test_buckets_are_apart_by_major_parameter() -> None:
    """Each channel has a bucket of its own."""
    rest = limits()
    for _ in range(5):
        rest.admit(BOT, now=0.0)
    elsewhere = Visit("2", is_bot=True, method=BOT.method, template=BOT.template, major="8")
    rest.admit(elsewhere, now=0.0)
    with pytest.raises(RateLimited):
        rest.admit(BOT, now=0.0)

    assert rest.headers(BOT, now=0.0, wall=100.0)["X-RateLimit-Remaining"] == "0"
    assert rest.headers(elsewhere, now=0.0, wall=100.0)["X-RateLimit-Remaining"] == "4"
    assert rest.headers(USER, now=0.0, wall=100.0) == {}


@pytest.mark.parametrize(
    ("status", "scope", "counts"),
    [(401, None, 1), (403, None, 1), (429, "user", 1), (429, "shared", 0), (404, None, 0), (500, None, 0)],
)
def test_invalid_requests(status: int, scope: str | None, counts: int) -> None:
    """401, 403 and 429 count towards a ban, but shared limits do not; ten minutes later all is forgotten."""
    rest = limits(invalid_request_limit=1)
    rest.answered(status, scope, now=0.0)

    assert (counts, bool(counts)) == (rest.invalid_requests(now=1.0), rest.is_banned(now=1.0))
    assert rest.invalid_requests(now=601.0) == 0
    assert counts == rest.violations.total


def test_violations_keep_the_last_hundred_details() -> None:
    """Counts are complete, details bounded."""
    violations = Violations()
    for number in range(DETAILS_KEPT + 5):
        violations.count(Violation.NONCE_REPEATED, nonce=number)
    report = violations.report()

    assert (report["total"], len(report["details"])) == (DETAILS_KEPT + 5, DETAILS_KEPT)
    assert report["details"][0]["nonce"] == 5


def test_token_is_refused_a_first_time_once() -> None:
    """The second time it is known."""
    refused = RefusedTokens()

    assert [refused.first_time("x"), refused.first_time("x")] == [True, False]
