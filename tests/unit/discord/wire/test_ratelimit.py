import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pikarelay.discord.wire.ratelimit import (
    CLOUDFLARE_SECONDS,
    DEFAULT_SECONDS,
    JITTER_SECONDS,
    LONGEST_STRETCH_SECONDS,
    MARGIN_SECONDS,
    AddressLimits,
    Limited,
    RateLimits,
    Route,
    Scope,
    is_slow_mode,
)
from tests.unit.discord.wire import recorded

ROUTE = Route("GET /channels/{}/messages", "1")
OTHER = Route("GET /channels/{}", "1")
ELSEWHERE = Route("GET /channels/{}/messages", "2")
VIA = {"Via": "1.1 discord"}


def learn(
    limits: RateLimits,
    status: int = 200,
    body: Any = None,
    now: float = 0.0,
    route: Route = ROUTE,
    **headers: str,
) -> Limited | None:
    said = CIMultiDict(VIA | {name.replace("_", "-"): value for name, value in headers.items()})
    return limits.learn(route, status, said, json.dumps(body or {}).encode(), now, 0.0)


def seconds(limits: RateLimits, now: float = 0.0, route: Route = ROUTE) -> float:
    running = limits.running(route, now)
    return 0.0 if running is None else running.seconds


def test_the_end_of_a_refusal_is_known() -> None:
    """Of the account's limit and the route's, the later end counts, and stays the same while it comes nearer."""
    limits = RateLimits()
    assert limits.refused_until(ROUTE, 0.0) is None
    learn(limits, 429, {"retry_after": 20})
    learn(limits, 429, {"retry_after": 60, "global": True}, now=5.0, route=OTHER)

    assert [65.0 + MARGIN_SECONDS] * 2 == [limits.refused_until(ROUTE, now) for now in (5.0, 60.0)]
    assert limits.refused_until(ROUTE, 66.0) is None


def test_an_announced_limit_refused_nobody() -> None:
    """A limit that Discord announced, and that nobody met, is no refusal."""
    limits = RateLimits()
    learn(limits, X_RateLimit_Remaining="0", X_RateLimit_Reset_After="9")

    assert seconds(limits) > 9
    assert limits.refused_until(ROUTE, 0.0) is None


def test_nothing_runs_at_first() -> None:
    """A request may be sent as long as nobody objected."""
    assert seconds(RateLimits()) == 0.0


def test_a_429_holds_its_route_back() -> None:
    """The delay of the body holds for that route of that channel, and its body is kept."""
    limits = RateLimits()
    body = recorded.encoded("rate_limited")
    limited = limits.learn(ROUTE, 429, CIMultiDict(VIA), body, 10.0, 1.0)

    assert limited is not None
    assert limited.scope is Scope.USER
    assert limited.delay == pytest.approx(2.06 + MARGIN_SECONDS + JITTER_SECONDS)
    running = limits.running(ROUTE, 10.0)
    assert running is not None
    assert running.body == body.decode()
    assert seconds(limits, 13.0) == 0.0
    assert seconds(limits, 10.0, OTHER) == 0.0
    assert seconds(limits, 10.0, ELSEWHERE) == 0.0


@pytest.mark.parametrize(
    ("header", "body"), [("3", {"retry_after": 1.5}), ("1", {"retry_after": 3.0}), ("3", {})]
)
def test_the_longer_delay_counts(header: str, body: Any) -> None:
    """Of header and body the longer delay is kept."""
    limited = learn(RateLimits(), 429, body, Retry_After=header)

    assert limited is not None
    assert limited.delay == pytest.approx(3 + MARGIN_SECONDS)


@pytest.mark.parametrize("body", [{}, {"retry_after": -1}, {"retry_after": "soon"}])
def test_a_silent_429_waits_all_the_same(body: Any) -> None:
    """A 429 that names no usable delay waits for a default one."""
    limited = learn(RateLimits(), 429, body, Retry_After="nan")

    assert limited is not None
    assert limited.delay == pytest.approx(DEFAULT_SECONDS + MARGIN_SECONDS)


@pytest.mark.parametrize(
    ("body", "header"),
    [({"global": True, "retry_after": 1}, ""), ({"retry_after": 1}, "true")],
)
def test_a_global_429_holds_everything_back(body: Any, header: str) -> None:
    """A global limit, said by body or header, holds for every route."""
    limits = RateLimits()
    limited = learn(limits, 429, body, X_RateLimit_Global=header)

    assert limited is not None
    assert limited.scope is Scope.GLOBAL
    assert seconds(limits, 0.0, ELSEWHERE) > 1


def test_routes_of_one_bucket_wait_together() -> None:
    """Once Discord named a bucket, all its routes share a limit, for each channel apart."""
    limits = RateLimits()
    learn(limits, X_RateLimit_Bucket="abc")
    learn(limits, X_RateLimit_Bucket="abc", route=OTHER)
    learn(limits, X_RateLimit_Bucket="abc", X_RateLimit_Remaining="0", X_RateLimit_Reset_After="2.5")

    assert seconds(limits, 0.0, OTHER) == pytest.approx(2.5 + MARGIN_SECONDS)
    assert seconds(limits, 0.0, ELSEWHERE) == 0.0
    running = limits.running(OTHER, 0.0)
    assert running is not None
    assert json.loads(running.body)["retry_after"] == pytest.approx(2.55)


def test_repeated_429s_stretch() -> None:
    """Each 429 in a row doubles the delay up to five minutes; a success starts over."""
    limits = RateLimits()
    delays = []
    for _ in range(6):
        limited = learn(limits, 429, {"retry_after": 20})
        assert limited is not None
        delays.append(limited.delay - MARGIN_SECONDS)
    assert delays == pytest.approx([20, 40, 80, 160, LONGEST_STRETCH_SECONDS, LONGEST_STRETCH_SECONDS])
    learn(limits)
    again = learn(limits, 429, {"retry_after": 20})

    assert again is not None
    assert again.delay == pytest.approx(20 + MARGIN_SECONDS)


def test_a_longer_wish_than_the_stretch_is_kept() -> None:
    """What Discord asks for is never cut down."""
    limited = learn(RateLimits(), 429, {"retry_after": 4000})

    assert limited is not None
    assert limited.delay == pytest.approx(4000 + MARGIN_SECONDS)


def test_a_clock_set_back_does_not_prolong() -> None:
    """A limit never lasts longer than it did at first."""
    limits = RateLimits()
    learn(limits, 429, {"retry_after": 2}, now=1000.0)

    assert seconds(limits, 0.0) == pytest.approx(2 + MARGIN_SECONDS)


def test_slow_mode_is_recognised() -> None:
    """A channel's slow mode is known by its code."""
    assert is_slow_mode(b'{"code":20016,"retry_after":3}')
    assert not is_slow_mode(b"<html>")


# The address


def test_cloudflare_stops_the_address() -> None:
    """A 429 without Via is a ban of the address, for ten minutes when it names no end."""
    limited = RateLimits().learn(ROUTE, 429, CIMultiDict(), b"error code: 1015", 0.0, 0.0)
    address = AddressLimits()
    address.learn(429, limited, 0.0)

    assert limited == Limited(Scope.CLOUDFLARE, CLOUDFLARE_SECONDS)
    assert address.seconds_stopped(0.0) == CLOUDFLARE_SECONDS
    assert address.seconds_stopped(CLOUDFLARE_SECONDS) == 0.0


def test_refusals_add_up() -> None:
    """The hundredth refusal in ten minutes is told once; the thousandth stops everything until enough are old."""
    address = AddressLimits()
    told = [address.learn(401, None, float(number) / 10) for number in range(999)]

    assert [number for number, alert in enumerate(told, 1) if alert] == [100]
    assert address.seconds_stopped(100.0) == 0.0
    address.learn(403, None, 100.0)
    assert address.seconds_stopped(100.0) == pytest.approx(500.0)
    assert address.seconds_stopped(600.0) == 0.0


@pytest.mark.parametrize("status", [200, 204, 400, 404, 500])
def test_other_answers_are_not_held_against_us(status: int) -> None:
    """Only 401, 403 and 429 count."""
    address = AddressLimits()
    address.learn(status, None, 0.0)

    assert address.count(0.0) == 0


def test_a_shared_limit_is_not_held_against_us() -> None:
    """A 429 that others caused does not count."""
    limited = learn(RateLimits(), 429, {"retry_after": 1}, X_RateLimit_Scope="shared")
    address = AddressLimits()
    address.learn(429, limited, 0.0)

    assert limited is not None
    assert limited.scope is Scope.SHARED
    assert address.count(0.0) == 0


@given(
    st.binary(max_size=60),
    st.dictionaries(
        st.sampled_from(["Retry-After", "X-RateLimit-Scope", "Via", "X-RateLimit-Bucket"]),
        st.text(max_size=8),
    ),
)
def test_any_429_has_a_delay(body: bytes, headers: dict[str, str]) -> None:
    """Whatever a 429 says, a delay comes of it that is positive and ends."""
    limited = RateLimits().learn(ROUTE, 429, CIMultiDict(headers), body, 0.0, 0.5)

    assert limited is not None
    assert 0 <= limited.delay < float("inf")
