"""Tell a caller's server how its job ended: one try of one callback, and what follows from it."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from pikarelay.jobs.backoff import Failure, GiveUp, after_attempt
from pikarelay.services.board import Board
from pikarelay.services.ports import (
    Callback,
    CallbackAttempt,
    CallbackOutcome,
    CallbackSender,
    Clock,
    Delivery,
    Store,
)

_log = structlog.get_logger(__name__)


class CallbackDelivery:
    """Carries out tries that were claimed from the store."""

    def __init__(
        self,
        store: Store,
        sender: CallbackSender,
        board: Board,
        clock: Clock,
        schedule: Sequence[timedelta],
        draw: Callable[[], float],
    ) -> None:
        self._store = store
        self._sender = sender
        self._board = board
        self._clock = clock
        self._schedule = schedule
        #: Returns a random number in [0, 1), which spreads the retries.
        self._draw = draw

    async def deliver(self, callback: Callback) -> None:
        """Try once, write down how it went, and when the next try is due."""
        # A receiver that hears of a job before the POST has told its id would take the older answer for the newer one.
        await self._board.answered(callback.job_id)
        started = self._clock.now()
        delivery = await self._sender.send(callback)
        outcome = self._outcome(callback, delivery)
        attempt = CallbackAttempt(
            callback_id=callback.callback_id,
            attempt=callback.attempt,
            started=started,
            duration_ms=round(delivery.duration / timedelta(milliseconds=1)),
            status=delivery.status,
            error=delivery.error,
            address=delivery.address,
        )
        await self._store.finish_callback(attempt, outcome)
        _log.info(
            "callback.attempted",
            job_id=callback.job_id,
            callback_id=callback.callback_id,
            attempt=callback.attempt,
            error=delivery.error,
            given_up=outcome.given_up,
        )

    def _outcome(self, callback: Callback, delivery: Delivery) -> CallbackOutcome:
        if delivery.error is None:
            return CallbackOutcome(delivered=True)
        failure = Failure(status=delivery.status, error=delivery.error, retry_after=delivery.retry_after)
        verdict = after_attempt(callback.attempt, failure, self._schedule, self._draw(), self._clock.now())
        if isinstance(verdict, GiveUp):
            return CallbackOutcome(given_up=True)
        return CallbackOutcome(retry_at=verdict)
