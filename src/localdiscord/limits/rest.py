"""
What the REST edge asks before it serves a call: may this caller, on this route, now?

Bots are told their limits in headers and answer for breaking them; users are told only after the fact. Numbers
from Discord's documentation, as of 2026-08: 50 requests a second for one caller, and ten thousand answers of
401, 403 or 429 in ten minutes before Cloudflare bans.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import md5

from localdiscord.limits.violations import Violation, Violations
from localdiscord.limits.windows import Bucket, ClosedUntil, SlidingCount
from localdiscord.wire.errors import RateLimited

GLOBAL_REQUESTS_PER_SECOND = 50
INVALID_REQUESTS_WINDOW_SECONDS = 600.0

#: Calls and seconds of a route's bucket, by method and template; every other route has `DEFAULT_BUCKET`.
BUCKETS: Mapping[tuple[str, str], tuple[int, float]] = {
    ("POST", "/channels/{channel}/messages"): (5, 5.0),
    ("PATCH", "/channels/{channel}/messages/{message}"): (5, 5.0),
    ("DELETE", "/channels/{channel}/messages/{message}"): (5, 1.0),
    ("POST", "/webhooks/{application}/{token}"): (5, 2.0),
    ("PATCH", "/webhooks/{application}/{token}/messages/{message}"): (5, 2.0),
}
DEFAULT_BUCKET = (50, 1.0)


@dataclass(frozen=True, slots=True)
class Visit:
    """One call, as far as limits care."""

    #: User id, or the peer's address when nobody is logged in.
    caller: str
    is_bot: bool
    method: str
    #: The route's path with its parameters unfilled, such as `/channels/{channel}/messages`.
    template: str
    #: Channel, guild, or webhook with its token: each has a bucket of its own.
    major: str
    #: False on interaction callbacks and webhooks, which the global limit does not count.
    is_global: bool = True

    @property
    def bucket_key(self) -> str:
        return f"{self.caller} {self.method} {self.template} {self.major}"

    @property
    def global_key(self) -> str:
        return f"{self.caller} *"


@dataclass(slots=True)
class RestLimits:
    """All running windows and buckets of the REST edge."""

    violations: Violations
    #: Off for benchmarks with bots; the global limit and running 429 windows stay.
    with_buckets: bool = True
    invalid_request_limit: int = 10_000
    requests_per_second: int = GLOBAL_REQUESTS_PER_SECOND
    _closed: ClosedUntil = field(default_factory=ClosedUntil)
    _buckets: dict[str, Bucket] = field(default_factory=dict)
    _global: dict[str, SlidingCount] = field(default_factory=dict)
    _invalid: SlidingCount = field(
        default_factory=lambda: SlidingCount(1_000_000, INVALID_REQUESTS_WINDOW_SECONDS)
    )

    def admit(self, visit: Visit, now: float) -> None:
        """Return when the call may be served; raise `RateLimited` otherwise."""
        self._refuse_closed(visit, now)
        if visit.is_global:
            self._count_global(visit, now)
        if visit.is_bot and self.with_buckets and not self._bucket(visit).take(now):
            self.violations.count(Violation.BUCKET_EXCEEDED, visit=visit.bucket_key)
            raise self._limited(visit, self._bucket(visit).resets_at - now, "user", now)

    def _refuse_closed(self, visit: Visit, now: float) -> None:
        for key, scope in ((visit.global_key, "global"), (visit.bucket_key, "user")):
            if left := self._closed.left(key, now):
                if not self._closed.was_in_flight(key, now):
                    self.violations.count(Violation.REQUEST_INSIDE_429_WINDOW, visit=visit.bucket_key)
                raise RateLimited(left, scope)

    def _count_global(self, visit: Visit, now: float) -> None:
        counter = self._global.setdefault(visit.caller, SlidingCount(self.requests_per_second, 1.0))
        if wait := counter.add(now):
            self.violations.count(Violation.GLOBAL_RATE_EXCEEDED, visit=visit.bucket_key)
            raise self._limited(visit, wait, "global", now)

    def _limited(self, visit: Visit, seconds: float, scope: str, now: float) -> RateLimited:
        self.close(visit, seconds, scope, now)
        return RateLimited(seconds, scope)

    def close(self, visit: Visit, seconds: float, scope: str, now: float) -> None:
        """Open the window of a 429: until it ends, further calls are refused and counted."""
        self._closed.close(visit.global_key if scope == "global" else visit.bucket_key, now, seconds)

    def answered(self, status: int, scope: str | None, now: float) -> None:
        """Count the answer, when it is one of those that lead to a ban."""
        if status in {401, 403} or (status == 429 and scope != "shared"):
            self._invalid.add(now)
            if self._invalid.size(now) == self.invalid_request_limit:
                self.violations.count(Violation.INVALID_REQUESTS_EXCEEDED)

    def is_banned(self, now: float) -> bool:
        """Tell whether Cloudflare would answer in Discord's place."""
        return self._invalid.size(now) >= self.invalid_request_limit

    def invalid_requests(self, now: float) -> int:
        """Return how many answers of the last ten minutes count towards a ban."""
        return self._invalid.size(now)

    def headers(self, visit: Visit, now: float, wall: float) -> dict[str, str]:
        """Return the X-RateLimit headers of a bot's answer; users get none."""
        if not visit.is_bot or not self.with_buckets:
            return {}
        bucket = self._bucket(visit)
        left = max(bucket.resets_at - now, 0.0)
        name = f"{visit.method} {visit.template}".encode()
        return {
            "X-RateLimit-Limit": str(bucket.limit),
            "X-RateLimit-Remaining": str(bucket.remaining),
            "X-RateLimit-Reset": f"{wall + left:.3f}",
            "X-RateLimit-Reset-After": f"{left:.3f}",
            "X-RateLimit-Bucket": md5(name, usedforsecurity=False).hexdigest(),
        }

    def _bucket(self, visit: Visit) -> Bucket:
        if visit.bucket_key not in self._buckets:
            limit, seconds = BUCKETS.get((visit.method, visit.template), DEFAULT_BUCKET)
            self._buckets[visit.bucket_key] = Bucket(limit, seconds)
        return self._buckets[visit.bucket_key]
