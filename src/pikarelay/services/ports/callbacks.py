"""Callbacks: as they are kept, and the way out to callers' servers."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from pikarelay.jobs.breaker import Health
from pikarelay.jobs.callbacks import (
    CallbackAttempt,
    CallbackFilter,
    CallbackRecord,
    Target,
    Trigger,
)
from pikarelay.jobs.secret import Secret


class CallbackDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as it becomes due: rendered once, so that every try sends the same bytes."""

    callback_id: str
    job_id: str
    #: The origin of `url`; its callbacks are tried one after the other.
    target: str
    url: str
    body: bytes
    #: The clock's time, not the job's: a job's `updated` never goes back, but a clock that was wrong does.
    due: datetime


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that somebody has claimed, to try it now."""

    callback_id: str
    job_id: str
    url: str
    body: bytes
    #: Which try this is; 1 is the first.
    attempt: int
    #: When it first became due.
    created: datetime
    caller_id: str = ""
    #: How many tries of its schedule are used up, this one not counted. Starts anew with a replay.
    tries: int = 0
    #: When the schedule began: as it became due, or was last replayed. None stands for `created`.
    begun: datetime | None = None
    trigger: Trigger = Trigger.SCHEDULE
    #: Whether the last try of its target failed, as it was claimed.
    target_is_failing: bool = False


class CallbackOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one try, and what follows from it. Exactly one of the first three is set."""

    #: True when the receiver took it.
    delivered: bool = False
    #: When to try again.
    retry_at: datetime | None = None
    #: True when there will be no other try.
    given_up: bool = False
    #: Whether it used up a try of the schedule.
    is_counted: bool = True
    #: What the try says of the target.
    health: Health = Health()


#: What follows from a try, once it is known how the target stands. Must be pure.
DecideOutcome = Callable[[Health], CallbackOutcome]


class CallbackSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller's callbacks are signed with."""

    secret_id: str
    caller_id: str
    #: `whsec_` and base64.
    secret: Secret
    created: datetime
    #: When it stops being used. None for the newest.
    expires: datetime | None = None


class CallbackStore(Protocol):
    """The outbox of callbacks, and the targets that they go to."""

    async def claim_callbacks(
        self, now: datetime, lease: timedelta, fresh: int, failing: int
    ) -> tuple[Callback, ...]:
        """
        Take the oldest due callback of each of up to `fresh` targets that do well or are new, and of up to `failing`
        whose last try failed. Oldest first.

        A claim holds its target, so that there is one try of it at a time. A claim whose outcome is not recorded within
        `lease` is due again, so a killed process loses none.
        """
        ...

    async def renew_claim(self, callback_id: str, attempt: int, until: datetime) -> bool:
        """Keep a claim, and its target, until then. False when another try has been claimed since."""
        ...

    async def release_claims(self, now: datetime) -> int:
        """Make all that is claimed due at once: whoever claimed it is known to be dead. Returns how many callbacks."""
        ...

    async def finish_callback(
        self, attempt: CallbackAttempt, decide: DecideOutcome
    ) -> CallbackOutcome | None:
        """
        Log the try, and let `decide` say what follows from it, for the callback and for its target.

        When the target is disabled by it, all that waits for it is dead. `next_try` of the attempt is written as decided.
        None when the callback is gone, or another try has been claimed since: then nothing is decided.
        """
        ...

    async def next_callback(self) -> datetime | None:
        """Return when the next callback can be tried. None when none is waiting."""
        ...

    async def attempts(self, job_id: str) -> tuple[CallbackAttempt, ...]:
        """Return the log of a job's callback, oldest try first."""
        ...

    async def callback(self, job_id: str) -> CallbackRecord | None: ...

    async def undelivered(self, which: CallbackFilter, limit: int) -> tuple[CallbackRecord, ...]:
        """Return callbacks that wait or are dead, newest first."""
        ...

    async def replay_callback(self, job_id: str, now: datetime) -> bool:
        """
        Make a job's callback due now, whatever became of it, with a fresh schedule.

        False when there is none, or the operator has switched its target off. Its target gets another chance if it was disabled by failures.
        """
        ...

    async def replay_dead(self, which: CallbackFilter, now: datetime, limit: int) -> tuple[str, ...]:
        """Do so with up to `limit` dead callbacks, oldest first. Returns their jobs."""
        ...

    async def targets(self, limit: int, target: str | None = None) -> tuple[Target, ...]:
        """Return the targets, failing ones first, or the one."""
        ...

    async def put_health(self, target: str, health: Health) -> bool:
        """
        Set how a target stands. False when there is no such target.

        Disabled, all that waits for it is dead; else it is due when the first of its callbacks is.
        """
        ...

    async def rotate_callback_secret(self, secret: CallbackSecret, old_until: datetime) -> None:
        """Add a secret. Those that the caller had and that have no end yet end at `old_until`."""
        ...

    async def remove_callback_secrets(self, caller_id: str) -> int:
        """Forget all of the caller's. Returns how many."""
        ...

    async def callback_secrets(self, caller_id: str, now: datetime) -> tuple[CallbackSecret, ...]:
        """Return the caller's secrets that are in use, newest first."""
        ...


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one POST to a receiver."""

    #: The receiver's HTTP status, when it gave one.
    status: int | None = None
    #: As in `CallbackAttempt.error`. None when the receiver took it.
    error: str | None = None
    #: What the receiver asked us to wait, when it did.
    retry_after: timedelta | None = None
    address: str | None = None
    duration: timedelta
    #: As in `CallbackAttempt.answer`.
    answer: str | None = None


class CallbackSender(Protocol):
    """The only way out to callers' servers."""

    async def send(self, callback: Callback, secrets: Sequence[Secret] = ()) -> Delivery:
        """
        POST the stored bytes once, signed with each of the secrets.

        Never raises for anything that the receiver or the network does. Raises `Unavailable` when nothing was sent, because
        this machine lacks what that takes.
        """
        ...


class TargetGuard(Protocol):
    """What keeps callbacks from going where they must not."""

    async def refusal(self, url: str) -> str | None:
        """Return in a sentence why nothing may be sent there now; None when it may. Dials nothing."""
        ...
