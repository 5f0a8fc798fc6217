"""Tell a caller's server how its job ended: one try of one callback, and what follows from it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from pikarelay.contract.callbacks import INTERRUPTED
from pikarelay.errors import Unavailable
from pikarelay.jobs.backoff import Failure, GiveUp, after_attempt, is_too_old
from pikarelay.jobs.breaker import Health, after_exhaustion, after_failure, after_success
from pikarelay.jobs.callbacks import (
    CallbackAttempt,
)
from pikarelay.services.answers import Answers
from pikarelay.services.ports import (
    Callback,
    CallbackOutcome,
    CallbackSender,
    Clock,
    DecideOutcome,
    Delivery,
    Store,
)
from pikarelay.services.tally import Tally

_log = structlog.get_logger(__name__)

#: How long between two tries to write down how a try went.
_NOTE_AGAIN = timedelta(seconds=1)
#: What is said of a try that was not made because the caller's signing secrets cannot be read.
SECRET_UNREADABLE = "secret_unreadable"  # noqa: S105 -- a class of failures


class ClaimLost(Exception):
    """Somebody else has claimed the callback, or may have."""


class Claim(Protocol):
    """What keeps everybody else from a callback's target."""

    async def confirm(self) -> None:
        """Return while nobody else can have it. Raises `ClaimLost`, or `Unavailable` when that cannot be found out."""
        ...

    def held(self) -> AbstractAsyncContextManager[None]:
        """Cut short what is done in the block when the claim is lost meanwhile, with `ClaimLost`."""
        ...


class CallbackDelivery:
    """Carries out tries that were claimed from the store."""

    def __init__(
        self,
        store: Store,
        sender: CallbackSender,
        answers: Answers,
        tally: Tally,
        clock: Clock,
        schedule: Sequence[timedelta],
        draw: Callable[[], float],
    ) -> None:
        self._store = store
        self._sender = sender
        self._answers = answers
        self._tally = tally
        self._clock = clock
        self._schedule = schedule
        #: Returns a random number in [0, 1), which spreads the retries.
        self._draw = draw

    async def deliver(self, callback: Callback, claim: Claim) -> None:
        """Try once, write down how it went, and when the next try is due. Nothing is sent without the claim."""
        # A receiver that hears of a job before the POST has told its id would take the older answer for the newer one.
        await self._answers.left(callback.job_id)
        started = self._clock.now()
        try:
            delivery = await self._send(callback, started, claim)
        except ClaimLost:
            _log.warning("callback.claim_lost", callback_id=callback.callback_id, attempt=callback.attempt)
            return
        self._tally.callback(delivery)
        now, jitter = self._clock.now(), self._draw()
        attempt = CallbackAttempt(
            callback_id=callback.callback_id,
            attempt=callback.attempt,
            started=started,
            duration_ms=round(delivery.duration / timedelta(milliseconds=1)),
            status=delivery.status,
            error=delivery.error,
            address=delivery.address,
            trigger=callback.trigger,
            answer=delivery.answer,
        )
        outcome = await self._noted(
            attempt, lambda health: outcome_of(callback, delivery, health, self._schedule, jitter, now)
        )
        _log.info(
            "callback.attempted",
            job_id=callback.job_id,
            callback_id=callback.callback_id,
            attempt=callback.attempt,
            trigger=callback.trigger.value,
            error=delivery.error,
            given_up=outcome is not None and outcome.given_up,
        )

    async def _noted(self, attempt: CallbackAttempt, decide: DecideOutcome) -> CallbackOutcome | None:
        """Write down how it went, however long the store cannot: to forget it is to send the same again."""
        while True:
            try:
                return await self._store.finish_callback(attempt, decide)
            except Unavailable:
                # Whether it was written or not: the number of the try lets it be written once only.
                _log.warning("callback.not_noted", callback_id=attempt.callback_id, attempt=attempt.attempt)
            await self._clock.sleep(_NOTE_AGAIN)

    async def _send(self, callback: Callback, now: datetime, claim: Claim) -> Delivery:
        """
        Send it, signed if its caller has secrets. Where none of them can be read, nothing is sent: it would be unsigned.

        Raises `ClaimLost` before anything is sent. What is cut short later may have arrived, and is a try.
        """
        kept = await self._store.callback_secrets(callback.caller_id, now)
        readable = [its.secret for its in kept if its.secret.is_readable]
        if kept and not readable:
            return Delivery(error=SECRET_UNREADABLE, duration=timedelta())
        # This process may have stood still since it claimed it, or waited long for the POST's answer to leave.
        await claim.confirm()
        try:
            async with claim.held():
                return await self._sender.send(callback, readable)
        except ClaimLost:
            return Delivery(error=INTERRUPTED, duration=self._clock.now() - now)


def outcome_of(
    callback: Callback,
    delivery: Delivery,
    health: Health,
    schedule: Sequence[timedelta],
    jitter: float,
    now: datetime,
) -> CallbackOutcome:
    """Say what follows from a try, for its callback and for its target, which stood as `health` says. Pure."""
    if delivery.error is None:
        return CallbackOutcome(delivered=True, health=after_success(health))
    after = health
    if delivery.error not in {SECRET_UNREADABLE, INTERRUPTED}:
        after = after_failure(health, status=delivery.status, error=delivery.error, now=now)
    # A paused target costs no tries: the next one is due when the pause is over, whoever's it is. Nor does one that we cut short.
    is_counted = delivery.error != INTERRUPTED and not (health.is_tripped and after.is_tripped)
    verdict: datetime | GiveUp = now
    if is_counted:
        failure = Failure(status=delivery.status, error=delivery.error, retry_after=delivery.retry_after)
        verdict = after_attempt(callback.tries + 1, failure, schedule, jitter, now)
    if is_too_old(callback.begun or callback.created, schedule, now):
        verdict = GiveUp.EXHAUSTED
    if verdict is GiveUp.EXHAUSTED:
        after = after_exhaustion(after, now)
    if isinstance(verdict, GiveUp) or after.disabled is not None:
        return CallbackOutcome(given_up=True, is_counted=is_counted, health=after)
    return CallbackOutcome(retry_at=verdict, is_counted=is_counted, health=after)
