"""What is known of callbacks and of where they go: the values that are listed, logged and stored."""

from datetime import datetime
from enum import StrEnum

import msgspec

from pikarelay.jobs.breaker import Health


class Trigger(StrEnum):
    """What made a try due."""

    SCHEDULE = "schedule"
    #: Somebody asked for it.
    MANUAL = "manual"


class CallbackState(StrEnum):
    """Where a callback stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    #: There is no other try, unless somebody asks for one.
    DEAD = "dead"


class CallbackAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a callback's log."""

    callback_id: str
    attempt: int
    started: datetime
    duration_ms: int
    #: The receiver's HTTP status, when it gave one.
    status: int | None = None
    #: One word on what went wrong: dns, blocked, connect, tls, timeout, protocol, http_<status>. None on success.
    error: str | None = None
    #: The IP address that was dialled, when it came that far.
    address: str | None = None
    trigger: Trigger = Trigger.SCHEDULE
    #: What the receiver answered, as text, cut and masked. A stranger's words: show them as text and nothing else.
    answer: str | None = None
    #: When the next try was due, as it was decided then. None when there was to be none.
    next_try: datetime | None = None


class CallbackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as it is listed, without its body."""

    callback_id: str
    job_id: str
    caller_id: str
    target: str
    url: str
    state: CallbackState
    #: When it first became due.
    created: datetime
    #: How many tries were made or begun.
    attempt: int
    #: When the next one is due at the earliest. None unless it waits.
    due: datetime | None = None
    #: Of its last try, as in `CallbackAttempt.error`; or `disabled`, when its target was. None on success.
    error: str | None = None


class CallbackFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which callbacks somebody means. Absent parts mean all."""

    caller_id: str | None = None
    target: str | None = None
    state: CallbackState | None = None
    #: Became due then or later, and before.
    since: datetime | None = None
    until: datetime | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An origin that callbacks go to, and how it does."""

    target: str
    health: Health
    #: When one of its callbacks can next be tried. None when none waits, or it is disabled.
    due: datetime | None = None
    #: Until when the try under way holds it. None when there is none; past when its process died.
    busy_until: datetime | None = None
