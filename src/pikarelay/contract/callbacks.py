"""
Callbacks as callers see them, and what they ask about them. Extensions of this server: Pika API v1 has no such calls.

Addresses are shown without user information and query, for both may be secret. What a receiver answered is a stranger's
text: it was masked as it came in, and whoever shows it must show it as text.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from pikarelay.contract.bodies import iso_time
from pikarelay.contract.urls import is_deliverable, masked_url, origin_of
from pikarelay.errors import InvalidValue, MissingValue
from pikarelay.jobs.callbacks import CallbackAttempt, CallbackFilter, CallbackRecord, CallbackState, Target

#: In place of what went wrong: the server was stopped or killed during the try, and nobody knows.
INTERRUPTED = "interrupted"
REPLAY_FIELDS = frozenset({"jobid", "target", "since", "until"})
#: As long as jobs are kept.
LONGEST_RANGE = timedelta(days=31)
#: Where the store's times begin. Nothing was due before.
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULT_LIMIT = 100
HIGHEST_LIMIT = 1000
#: States that can be asked for: what was delivered is known by its job only.
LISTED_STATES = (CallbackState.WAITING, CallbackState.DEAD)


class AttemptBody(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One try. Of one that was interrupted, only that is known."""

    attempt: int
    trigger: str | None = None
    started: str | None = None
    duration_ms: int | None = msgspec.field(name="durationMs", default=None)
    address: str | None = None
    status: int | None = None
    error: str | None = None
    answer: str | None = None
    next_try: str | None = msgspec.field(name="nextTry", default=None)


class CallbackBody(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A callback. `targetState` and `log` are there when one is asked for by its job."""

    id: str
    jobid: str
    url: str
    target: str
    state: str
    created: str
    attempts: int
    next_try: str | None = msgspec.field(name="nextTry", default=None)
    error: str | None = None
    target_state: str | None = msgspec.field(name="targetState", default=None)
    log: tuple[AttemptBody, ...] = ()


class CallbackListBody(msgspec.Struct, frozen=True, kw_only=True):
    """Callbacks that are not delivered, newest first."""

    callbacks: tuple[CallbackBody, ...]


class RefusedTargetBody(msgspec.Struct, frozen=True, kw_only=True):
    """A target that nothing is sent to."""

    target: str
    error: str


class ReplayBody(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay."""

    replayed: tuple[str, ...]
    refused: tuple[RefusedTargetBody, ...]


def callback_body(
    record: CallbackRecord,
    target: Target | None = None,
    attempts: Iterable[CallbackAttempt] | None = None,
    now: datetime | None = None,
) -> CallbackBody:
    """Return a callback, with its log when that is given. A target's state depends on `now`."""
    return CallbackBody(
        id=record.callback_id,
        jobid=record.job_id,
        url=masked_url(record.url),
        target=record.target,
        state=record.state.value,
        created=iso_time(record.created),
        attempts=record.attempt,
        next_try=None if record.due is None else iso_time(record.due),
        error=record.error,
        target_state=None if target is None or now is None else target_state(target, now),
        log=() if attempts is None else tuple(_log(record.attempt, {its.attempt: its for its in attempts})),
    )


def target_state(target: Target, now: datetime) -> str:
    """Return the word for how a target stands: healthy, failing, paused, disabled or off."""
    health = target.health
    if health.disabled is not None:
        return "off" if health.is_held else "disabled"
    if health.paused_until is not None and health.paused_until > now:
        return "paused"
    return "failing" if health.is_failing else "healthy"


def replay_body(replayed: Iterable[str], refused: Mapping[str, str]) -> ReplayBody:
    return ReplayBody(
        replayed=tuple(replayed),
        refused=tuple(RefusedTargetBody(target=target, error=reason) for target, reason in refused.items()),
    )


def parse_listing(texts: Mapping[str, str], caller_id: str | None) -> tuple[CallbackFilter, int]:
    """Return what is to be listed, and how much of it at most. Raises the refusal of what can't be meant."""
    limit = texts.get("limit") or str(DEFAULT_LIMIT)
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= 4 and 1 <= int(limit) <= HIGHEST_LIMIT):
        raise InvalidValue(f"limit is not a number from 1 to {HIGHEST_LIMIT}")
    state = texts.get("state") or None
    if state is not None and state not in {its.value for its in LISTED_STATES}:
        raise InvalidValue(f"state is not one of {', '.join(its.value for its in LISTED_STATES)}")
    meant = CallbackFilter(
        caller_id=caller_id,
        target=_target(texts),
        state=None if state is None else CallbackState(state),
        since=_moment(texts, "since"),
        until=_moment(texts, "until"),
    )
    return meant, int(limit)


def parse_replay(texts: Mapping[str, str], caller_id: str | None, now: datetime) -> str | CallbackFilter:
    """Return the one job's id, or which dead letters are meant. Raises the refusal of what can't be meant."""
    target, since, until = _target(texts), _moment(texts, "since"), _moment(texts, "until")
    if texts.get("jobid"):
        return texts["jobid"]
    if target is None and since is None:
        raise MissingValue("jobid, target or since")
    if since is not None and (until or now) - since > LONGEST_RANGE:
        raise InvalidValue(f"since and until are more than {LONGEST_RANGE.days} days apart")
    return CallbackFilter(caller_id=caller_id, target=target, since=since, until=until)


def _target(texts: Mapping[str, str]) -> str | None:
    text = texts.get("target")
    if not text:
        return None
    if not is_deliverable(text):
        raise InvalidValue("target is not a valid URL")
    return origin_of(text)


def _moment(texts: Mapping[str, str], name: str) -> datetime | None:
    text = texts.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"{name} is not a time like 2026-08-01T12:00:00Z") from None
    try:
        aware = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        # Within a day of the first or the last moment that there is.
        aware = moment.replace(tzinfo=UTC)
    return max(aware, _FIRST)


def _log(last: int, known: Mapping[int, CallbackAttempt]) -> Iterator[AttemptBody]:
    """Return the tries in order. One without an outcome that others came after was cut off with its server."""
    for number in range(1, last + 1):
        if number in known:
            yield _attempt(known[number])
        elif number < last:
            yield AttemptBody(attempt=number, error=INTERRUPTED)


def _attempt(attempt: CallbackAttempt) -> AttemptBody:
    return AttemptBody(
        attempt=attempt.attempt,
        trigger=attempt.trigger.value,
        started=iso_time(attempt.started),
        duration_ms=attempt.duration_ms,
        address=attempt.address,
        status=attempt.status,
        error=attempt.error,
        answer=attempt.answer,
        next_try=None if attempt.next_try is None else iso_time(attempt.next_try),
    )
