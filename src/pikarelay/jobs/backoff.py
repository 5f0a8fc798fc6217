"""
When a callback that failed is tried again, and when no more.

A lost callback leaves its caller waiting for ever, a repeated one is harmless: so every failure is tried again,
timeouts too, over a little more than three days. One refusal is final: 410, with which a receiver says that it is
gone. A blocked address is tried at each step like any other, since its name may point elsewhere by then.

Tries that a paused target costs are not counted (see `breaker`), so time is a bound of its own: after a week, or a longer
schedule's end, a callback is given up however few of its tries it has had.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

#: The wait before each try, the first included; its length is the number of tries. After Standard Webhooks.
SCHEDULE: tuple[timedelta, ...] = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)

#: How far jitter moves a step, each way, as a share of it.
JITTER = 0.2
#: A receiver that did not answer in time may still be at work on it.
AFTER_TIMEOUT = timedelta(seconds=300)
#: The most a receiver's own hint can put a try off.
LONGEST_HINT = timedelta(hours=10)
#: No step is shorter or longer than these, whatever the schedule says.
SHORTEST_STEP = timedelta(seconds=1)
LONGEST_STEP = timedelta(days=7)

#: How long a callback is tried at least, while its target is paused.
LONGEST_LIFE = timedelta(days=7)

TIMEOUT = "timeout"
GONE = 410


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a try that did not deliver, in the words of `services.ports.Delivery`."""

    status: int | None = None
    error: str
    retry_after: timedelta | None = None


class GiveUp(StrEnum):
    """Why there is no other try."""

    #: The receiver said that it is gone.
    GONE = "gone"
    #: That was the last try of the schedule.
    EXHAUSTED = "exhausted"


def after_attempt(
    attempt: int, failure: Failure, schedule: Sequence[timedelta], jitter: float, now: datetime
) -> datetime | GiveUp:
    """
    Return when to try again after try number `attempt` (1 is the first) failed, or why not to.

    `jitter` is a random number from 0 to 1; it spreads receivers that failed together.
    """
    if failure.status == GONE:
        return GiveUp.GONE
    if attempt >= len(schedule):
        return GiveUp.EXHAUSTED
    return now + delay_of(schedule[attempt], failure, jitter)


def is_too_old(begun: datetime, schedule: Sequence[timedelta], now: datetime) -> bool:
    """Whether a callback that became due at `begun` has been tried for long enough, whatever its tries."""
    planned = sum((min(step, LONGEST_STEP) for step in schedule), timedelta())
    return now - begun > max(LONGEST_LIFE, planned * (1 + JITTER) + LONGEST_HINT)


def delay_of(step: timedelta, failure: Failure, jitter: float) -> timedelta:
    """Return one step's wait: spread, kept in bounds, and stretched where the failure asks for it."""
    spread = min(step, LONGEST_STEP) * (1 - JITTER + 2 * JITTER * jitter)
    delay = max(min(spread, LONGEST_STEP), SHORTEST_STEP)
    if failure.error == TIMEOUT:
        delay = max(delay, AFTER_TIMEOUT)
    if failure.retry_after is not None:
        # A hint stretches a step and never shortens it.
        delay = max(delay, min(failure.retry_after, LONGEST_HINT))
    return delay
