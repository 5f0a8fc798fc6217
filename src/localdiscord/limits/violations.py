"""The count of what clients did wrong. Only their own doing counts, never the consequence of an armed fault."""

from collections import Counter, deque
from enum import StrEnum
from typing import Any

DETAILS_KEPT = 100


class Violation(StrEnum):
    """Everything a client can do wrong, by the name it is counted under."""

    AUTHORIZATION_MISSING = "authorization_missing"
    #: A request or IDENTIFY with a token that had been refused before.
    REFUSED_TOKEN_REUSED = "refused_token_reused"  # noqa: S105 - a name of a mistake
    #: A user on a route for bots only, or a bot on one for users only.
    ROUTE_NOT_ALLOWED = "route_not_allowed"
    AUTHORIZATION_SENT_TO_CDN = "authorization_sent_to_cdn"
    REQUEST_INSIDE_429_WINDOW = "request_inside_429_window"
    #: A bot ignored the remaining count its headers told.
    BUCKET_EXCEEDED = "bucket_exceeded"
    GLOBAL_RATE_EXCEEDED = "global_rate_exceeded"
    #: Too many 401, 403 and 429 answers in ten minutes.
    INVALID_REQUESTS_EXCEEDED = "invalid_requests_exceeded"
    #: A second press with a nonce already used.
    NONCE_REPEATED = "nonce_repeated"
    HEARTBEAT_MISSED = "heartbeat_missed"
    FRAME_RATE_EXCEEDED = "frame_rate_exceeded"
    FRAME_TOO_LARGE = "frame_too_large"
    FRAME_UNREADABLE = "frame_unreadable"
    OPCODE_UNKNOWN = "opcode_unknown"
    NOT_IDENTIFIED = "not_identified"
    IDENTIFIED_TWICE = "identified_twice"
    IDENTIFY_TOO_FAST = "identify_too_fast"
    SEQUENCE_INVALID = "sequence_invalid"
    TOO_MANY_SESSIONS = "too_many_sessions"


class Violations:
    """Counts by kind, and the details of the last hundred."""

    def __init__(self) -> None:
        self.by_kind: Counter[Violation] = Counter()
        self.details: deque[dict[str, Any]] = deque(maxlen=DETAILS_KEPT)

    def count(self, kind: Violation, **details: Any) -> None:
        self.by_kind[kind] += 1
        self.details.append({"kind": kind.value, **details})

    @property
    def total(self) -> int:
        return sum(self.by_kind.values())

    def report(self) -> dict[str, Any]:
        """Return what /admin/violations answers."""
        return {
            "total": self.total,
            "by_kind": {kind.value: count for kind, count in self.by_kind.items()},
            "details": list(self.details),
        }

    def clear(self) -> None:
        self.by_kind.clear()
        self.details.clear()


class RefusedTokens:
    """Tokens that were refused once: whoever was told and comes again misbehaves."""

    def __init__(self) -> None:
        self._tokens: set[str] = set()

    def first_time(self, token: str) -> bool:
        """Remember the token; False when it had been refused before."""
        if token in self._tokens:
            return False
        self._tokens.add(token)
        return True
