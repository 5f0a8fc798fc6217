"""
Discord's rate limits as arithmetic: which requests must wait, and for how long.

Discord counts per *bucket* (a group of routes) and *major parameter* (a channel or a guild), per account over all routes
(*global*), and per IP address. Which routes share a bucket is learnt from `X-RateLimit-Bucket`; until then each route
is its own. User accounts are rarely told of a limit before they hit it. From Discord's documentation, as of 2026-08.

Times are seconds since any fixed start. Nothing here waits.
"""

from collections import deque
from collections.abc import Mapping
from enum import Enum
from math import isfinite
from typing import Final, NamedTuple

import msgspec

#: Added to a limit that Discord announced, since its clock and ours tick apart.
MARGIN_SECONDS: Final = 0.05
#: Up to so much is added at random to every wait after a 429.
JITTER_SECONDS: Final = 0.25
#: What repeated 429s can stretch a delay to; Discord's own delay is kept when it is longer.
LONGEST_STRETCH_SECONDS: Final = 300.0
#: When a 429 says nothing about its length.
DEFAULT_SECONDS: Final = 5.0
#: After a block by Cloudflare that names no end.
CLOUDFLARE_SECONDS: Final = 600.0

_SLOW_MODE = 20016


class Scope(Enum):
    """Whom a 429 is about."""

    USER = "user"
    #: Everybody who uses that resource; not held against us.
    SHARED = "shared"
    #: The account, on all routes.
    GLOBAL = "global"
    #: This IP address. The answer is Cloudflare's, not Discord's.
    CLOUDFLARE = "cloudflare"


class Route(NamedTuple):
    """What a request is counted under, as long as Discord has named no bucket."""

    #: Method and path with its parameters left out: `GET /channels/{}/messages`.
    template: str
    #: The channel's or the guild's id; empty when the path has none.
    major: str = ""


class Limited(NamedTuple):
    """A 429."""

    scope: Scope
    #: Seconds until the next try, ours and not only Discord's wish.
    delay: float


class Running(NamedTuple):
    """A limit that has not ended yet."""

    seconds: float
    #: The body of the 429 that began it; one in its likeness when the limit was announced before it was hit.
    body: str


class _Block(NamedTuple):
    until: float
    delay: float
    body: str

    def seconds_left(self, now: float) -> float:
        # Never longer than it was at first: a wall clock may be set back.
        return min(self.until - now, self.delay)


class RateLimits:
    """The limits of one account."""

    def __init__(self) -> None:
        self._buckets: dict[str, str] = {}
        self._blocks: dict[Route | None, _Block] = {}
        self._strikes: dict[Route | None, int] = {}

    def running(self, route: Route, now: float) -> Running | None:
        """Return the limit that a request must wait for; None when it may be sent."""
        longest = max(self._running(route, now), key=lambda block: block.seconds_left(now), default=None)
        if longest is None:
            return None
        seconds = longest.seconds_left(now)
        return Running(seconds, longest.body or announced_body(seconds))

    def refused_until(self, route: Route, now: float) -> float | None:
        """Return when the last limit ends that began with a 429; None when none runs. It stays the same while none is added."""
        return max((block.until for block in self._running(route, now) if block.body), default=None)

    def learn(
        self, route: Route, status: int, headers: Mapping[str, str], body: bytes, now: float, jitter: float
    ) -> Limited | None:
        """
        Take an answer. Returns the 429 that it was, if it was one.

        `headers` must find names in any letter case. `jitter` is between 0 and 1.
        """
        self._learn_bucket(route, headers)
        if status == 429:
            return self._limited(route, headers, body, now, jitter)
        if status < 400:
            self._strikes.pop(self._key(route), None)
            self._strikes.pop(None, None)
        self._look_ahead(route, headers, now)
        self._drop_old(now)
        return None

    def _running(self, route: Route, now: float) -> list[_Block]:
        blocks = [self._blocks[key] for key in (None, self._key(route)) if key in self._blocks]
        return [block for block in blocks if block.seconds_left(now) > 0]

    def _learn_bucket(self, route: Route, headers: Mapping[str, str]) -> None:
        if bucket := headers.get("X-RateLimit-Bucket"):
            self._buckets[route.template] = bucket

    def _look_ahead(self, route: Route, headers: Mapping[str, str], now: float) -> None:
        if headers.get("X-RateLimit-Remaining") == "0":
            delay = (seconds_in(headers.get("X-RateLimit-Reset-After")) or 0.0) + MARGIN_SECONDS
            self._blocks[self._key(route)] = _Block(now + delay, delay, "")

    def _limited(
        self, route: Route, headers: Mapping[str, str], body: bytes, now: float, jitter: float
    ) -> Limited:
        scope = scope_of(headers, body)
        asked = asked_delay(headers, body)
        if scope is Scope.CLOUDFLARE:
            return Limited(scope, CLOUDFLARE_SECONDS if asked is None else asked)
        key = None if scope is Scope.GLOBAL else self._key(route)
        strikes = self._strikes[key] = self._strikes.get(key, 0) + 1
        asked = DEFAULT_SECONDS if asked is None else asked
        stretched = min(asked * 2.0 ** min(strikes - 1, 10), LONGEST_STRETCH_SECONDS)
        delay = max(asked, stretched) + MARGIN_SECONDS + JITTER_SECONDS * jitter
        self._blocks[key] = _Block(now + delay, delay, body.decode(errors="replace"))
        return Limited(scope, delay)

    def _drop_old(self, now: float) -> None:
        self._blocks = {key: block for key, block in self._blocks.items() if block.seconds_left(now) > 0}

    def _key(self, route: Route) -> Route:
        bucket = self._buckets.get(route.template)
        return route if bucket is None else Route(bucket, route.major)


class AddressLimits:
    """
    What is held against this IP address, over all accounts.

    10,000 refused requests (401, 403, 429 unless shared) in ten minutes get the address banned. This stops all
    requests at a tenth of that, and says so at a hundredth.
    """

    WINDOW_SECONDS: Final = 600.0
    ALERT_AT: Final = 100
    STOP_AT: Final = 1000

    def __init__(self) -> None:
        self._refused: deque[float] = deque()
        self._ban: _Block | None = None

    def learn(self, status: int, limited: Limited | None, now: float) -> bool:
        """Count an answer. True when this very one reaches the number that somebody should hear of."""
        if limited is not None and limited.scope is Scope.CLOUDFLARE:
            self._ban = _Block(now + limited.delay, limited.delay, "")
        is_shared = limited is not None and limited.scope is Scope.SHARED
        if status not in {401, 403, 429} or is_shared:
            return False
        self._refused.append(now)
        return self.count(now) == self.ALERT_AT

    def count(self, now: float) -> int:
        """Return how many requests were refused in the last ten minutes."""
        while self._refused and self._refused[0] <= now - self.WINDOW_SECONDS:
            self._refused.popleft()
        return len(self._refused)

    def seconds_stopped(self, now: float) -> float:
        """Return for how long nothing may be sent; 0 when everything may."""
        until = self.stopped_until(now)
        return 0.0 if until is None else max(0.0, until - now)

    def stopped_until(self, now: float) -> float | None:
        """Return until when nothing may be sent; None when everything may. It stays the same while nothing is added."""
        ends = []
        if self._ban is not None and self._ban.seconds_left(now) > 0:
            ends.append(min(self._ban.until, now + self._ban.delay))
        if self.count(now) >= self.STOP_AT:
            ends.append(self._refused[-self.STOP_AT] + self.WINDOW_SECONDS)
        return max(ends, default=None)


class _Body(msgspec.Struct, frozen=True):
    code: int = 0
    retry_after: float | None = None
    is_global: bool = msgspec.field(name="global", default=False)


def scope_of(headers: Mapping[str, str], body: bytes) -> Scope:
    """Return whom a 429 is about. Discord's own answers carry a `Via` header; Cloudflare's do not."""
    if "Via" not in headers:
        return Scope.CLOUDFLARE
    if headers.get("X-RateLimit-Global", "").lower() == "true" or _read(body).is_global:
        return Scope.GLOBAL
    named = headers.get("X-RateLimit-Scope", "").lower()
    return Scope(named) if named in {"global", "shared"} else Scope.USER


def asked_delay(headers: Mapping[str, str], body: bytes) -> float | None:
    """Return the seconds an answer asks us to wait, the longer of its header and its body; None when it says neither."""
    asked = [seconds_in(headers.get("Retry-After")), _read(body).retry_after]
    return max((each for each in asked if each is not None and each >= 0 and isfinite(each)), default=None)


def is_slow_mode(body: bytes) -> bool:
    """Whether a 429 is the channel's slow mode, which leaves the account's other channels alone."""
    return _read(body).code == _SLOW_MODE


def announced_body(seconds: float) -> str:
    """Return what Discord would answer to a request that is held back because a limit was announced."""
    said = {"message": "You are being rate limited.", "retry_after": round(seconds, 3), "global": False}
    return msgspec.json.encode(said).decode()


def seconds_in(text: str | None) -> float | None:
    """Return a header's number of seconds; None when it is absent or no such number."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if isfinite(seconds) and seconds >= 0 else None


def _read(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Body()
