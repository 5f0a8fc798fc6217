"""
What is known of the place that callbacks go to, and when it is left alone for a while. Pure.

A *target* is an origin: scheme, host and port. Its callbacks are tried one after the other. When ten of them in a row find
nobody there, the target is paused: for a minute, then, as long as the one try after each pause finds nobody either, for
twice the time, up to an hour. Tries that a paused target costs are not taken from the callback's schedule, so an outage
uses up nobody's tries, however many callbacks wait.

After five days of nothing but failures *and* ten callbacks given up, the target is disabled: what waits for it, and what
comes, goes straight to the dead letters, where it can be replayed from. One callback that never works disables nothing.
A single success makes everything good again.
"""

from datetime import datetime, timedelta

import msgspec

#: Connection failures in a row before the first pause.
FAILURES_TO_PAUSE = 10
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
#: Both of these disable a target.
FAILING_TO_DISABLE = timedelta(hours=120)
EXHAUSTED_TO_DISABLE = 10

#: Errors that say that nobody was there to hear of the callback.
UNREACHED = frozenset({"dns", "connect", "tls"})

#: After more doublings than this a pause is the longest one anyway.
_DOUBLINGS = 16


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """How a target has done lately. A new one is like one that has just succeeded."""

    #: Connection failures in a row.
    failures: int = 0
    #: Pauses in a row, without a success between them.
    pauses: int = 0
    #: No try before then. May be past; None before the first pause.
    paused_until: datetime | None = None
    #: The first failure since the last success. None when there was none.
    failing_since: datetime | None = None
    #: Callbacks given up since the last success.
    exhausted: int = 0
    #: When it was disabled. None while it is not.
    disabled: datetime | None = None
    #: Whether the operator disabled it: then nothing but the operator enables it.
    is_held: bool = False

    @property
    def is_tripped(self) -> bool:
        """Whether the last tries found nobody, so that the next one is a mere question."""
        return self.pauses > 0

    @property
    def is_failing(self) -> bool:
        """Whether the last try failed."""
        return self.failing_since is not None


def after_success(health: Health) -> Health:
    """Return a clean slate; what the operator has switched off stays off."""
    return Health(disabled=health.disabled, is_held=True) if health.is_held else Health()


def after_failure(health: Health, *, status: int | None, error: str, now: datetime) -> Health:
    """Return what a failed try makes of it, `error` being as in `services.ports.Delivery`."""
    failing = msgspec.structs.replace(health, failing_since=health.failing_since or now)
    if status is not None:
        # Somebody is there, if only to say no.
        return msgspec.structs.replace(failing, failures=0, pauses=0, paused_until=None)
    if error not in UNREACHED:
        return failing
    failures = health.failures + 1
    if failures < FAILURES_TO_PAUSE and not health.is_tripped:
        return msgspec.structs.replace(failing, failures=failures)
    return msgspec.structs.replace(
        failing,
        failures=failures,
        pauses=health.pauses + 1,
        paused_until=now + pause_after(health.pauses),
    )


def after_exhaustion(health: Health, now: datetime) -> Health:
    """Return what it makes of it that a callback was given up, after `after_failure` of its last try."""
    counted = msgspec.structs.replace(health, exhausted=health.exhausted + 1)
    is_dead = (
        counted.exhausted >= EXHAUSTED_TO_DISABLE
        and counted.failing_since is not None
        and now - counted.failing_since >= FAILING_TO_DISABLE
    )
    return msgspec.structs.replace(counted, disabled=now) if is_dead and not counted.disabled else counted


def another_chance(health: Health) -> Health:
    """Return it ready to be tried at once. One more callback given up disables it again, as does nothing else."""
    return msgspec.structs.replace(health, disabled=None, paused_until=None)


def held(now: datetime) -> Health:
    """Return a target that the operator has switched off."""
    return Health(disabled=now, is_held=True)


def pause_after(pauses: int) -> timedelta:
    """Return how long the pause is that follows so many others."""
    doubled: timedelta = FIRST_PAUSE * (1 << min(pauses, _DOUBLINGS))
    return min(doubled, LONGEST_PAUSE)
