"""Ways to break how the core presses, keeps the time, ends jobs and calls back."""

from datetime import timedelta
from typing import Any

import msgspec

from chaos.breaks import Break
from pikarelay.jobs import accounts
from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.lifecycle import Accepted
from pikarelay.jobs.messages import Kind
from pikarelay.services import deliver_callback, press_button
from pikarelay.services.answer_once import AnswerOnce
from pikarelay.services.board import Board
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.expire_jobs import JobExpirer
from pikarelay.services.ports import CallbackOutcome, Delivery
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.send_press import PressSender
from pikarelay.services.submit_job import Submission
from pikarelay.workers.presser import Presser
from pikarelay.workers.reconciler import Reconciler

# The press


def pressed_again() -> list[Break]:
    """A press whose answer was lost is sent once more."""
    doubt = PressSender._doubt

    async def again(self: Any, job: Any, trouble: Any) -> Any:
        if trouble.may_have_happened and trouble.status is None:
            await self._discord.run_command(job.discord_token, await _command_again(self, job))
            return await self._recorder.decide(job.job_id, lambda _now: Accepted())
        return await doubt(self, job, trouble)

    return [(PressSender, "_doubt", again)]


async def _command_again(sender: Any, job: Any) -> Any:
    from pikarelay.jobs.job import Verb
    from pikarelay.services.send_press import _button_press, _command_run

    if job.verb is Verb.BUTTON:
        return _button_press(job)
    return _command_run(job, await sender._find_command(job), await sender._upload(job))


def waiting_forgotten() -> list[Break]:
    """Presses that waited when a process ended are not taken up by the next."""

    async def idle(_self: Any, _names: Any) -> None:
        return

    return [(Presser, "take_up", idle)]


def keys_ignored() -> list[Break]:
    """A request that is repeated makes another job."""

    async def through(_self: Any, _caller: Any, _key: Any, submit: Any) -> Any:
        return await submit()

    submit_whole = Submission.submit

    async def submit_unnamed(self: Any, caller: Any, channels: Any, decide: Any, _key: Any = None) -> Any:
        return await submit_whole(self, caller, channels, decide)

    return [(AnswerOnce, "__call__", through), (Submission, "submit", submit_unnamed)]


def admissions_abandoned() -> list[Break]:
    """What is admitted for somebody who hangs up in that moment is not pressed."""

    async def direct(_self: Any, admission: Any) -> Any:
        return await admission

    return [(Submission, "_admit", direct)]


def no_limit() -> list[Break]:
    """`maxJobs` is not looked at."""

    def anywhere(seats: Any, _executing: Any, _draw: Any) -> Any:
        return seats[0]

    return [(press_button, "admit", lambda *_: None), (accounts, "choose", anywhere)]


# What is looked for, and given up


def no_reconciling() -> list[Break]:
    """Histories are read after a gap and at deadlines only."""

    async def idle(self: Any) -> None:
        await self._clock.sleep(timedelta(seconds=5))
        self._forget(set())

    return [(Reconciler, "_once", idle)]


def no_histories() -> list[Break]:
    """What the Gateway does not bring is lost."""

    async def nothing(_self: Any, jobs: Any) -> frozenset[str]:
        list(jobs)
        return frozenset()

    return [(HistoryReader, "catch_up", nothing)]


def no_deadlines() -> list[Break]:
    """Nobody is given up."""
    return [(Deadlines, "is_overdue", lambda *_: False)]


def impatient() -> list[Break]:
    """Jobs are given up at half of their time."""
    overdue = Deadlines.is_overdue

    def soon(self: Any, job: Any, now: Any) -> bool:
        return overdue(self, job, now + self.allowed(job) / 2)

    return [(Deadlines, "is_overdue", soon)]


def unread_is_empty() -> list[Break]:
    """A history that cannot be read at a deadline has nothing in it."""
    return [(JobExpirer, "_is_spared", lambda _self, _job, _now: False)]


# Callbacks


def delivered_before_sent() -> list[Break]:
    """A callback is settled as delivered, and then sent."""
    deliver = CallbackDelivery.deliver

    async def settled_first(self: Any, callback: Any, claim: Any) -> None:
        sends = self._sender

        class Pretending:
            async def send(self, *_what: Any) -> Delivery:
                return Delivery(status=200, duration=timedelta())

        self._sender = Pretending()
        try:
            await deliver(self, callback, claim)
        finally:
            self._sender = sends
        await sends.send(callback)

    return [(CallbackDelivery, "deliver", settled_first)]


def new_id_each_try() -> list[Break]:
    deliver = CallbackDelivery.deliver

    async def renamed(self: Any, callback: Any, claim: Any) -> None:
        sends = self._sender

        class Renaming:
            async def send(self, callback: Any, secrets: Any = ()) -> Delivery:
                its = f"{callback.callback_id}-{callback.attempt}"
                return await sends.send(msgspec.structs.replace(callback, callback_id=its), secrets)  # type: ignore[no-any-return]

        other = CallbackDelivery(
            self._store, Renaming(), self._answers, self._tally, self._clock, self._schedule, self._draw
        )
        await deliver(other, callback, claim)

    return [(CallbackDelivery, "deliver", renamed)]


def callback_before_answer() -> list[Break]:
    """A callback does not wait for its job's POST to be answered."""

    async def at_once(_self: Any, _job_id: str) -> None:
        return

    return [(Board, "answered", at_once)]


def dropped_while_paused() -> list[Break]:
    """What fails while its target is paused is given up."""
    outcome_of = deliver_callback.outcome_of

    def drop(*its: Any) -> CallbackOutcome:
        outcome = outcome_of(*its)
        if outcome.health.is_tripped:
            return msgspec.structs.replace(outcome, retry_at=None, given_up=True)
        return outcome

    return [(deliver_callback, "outcome_of", drop)]


def endings_overwritten() -> list[Break]:
    """A result that comes late completes the job all the same."""
    from pikarelay.jobs import lifecycle
    from pikarelay.jobs.job import Job, Status
    from pikarelay.services import observe_message

    def revive(job: Any, message: Any, *, weak: bool) -> Any:
        if job.status is Status.CANCELLED and message.kind is Kind.RESULT:
            return lifecycle.Finished(message=message, weak=weak)
        return event_of(job, message, weak=weak)

    event_of = observe_message.event_of
    late = observe_message.late_event_of

    def late_or_revived(job: Any, message: Any, *, weak: bool, is_known: bool) -> Any:
        if message.kind is Kind.RESULT and not job.press.is_over:
            return revive(job, message, weak=weak)
        return late(job, message, weak=weak, is_known=is_known)

    def apply(job: Any, event: Any, now: Any) -> Any:
        if job.is_final and isinstance(event, lifecycle.Finished):
            job = msgspec.structs.replace(job, status=Status.PROGRESS)
        return applied_event(job, event, now)

    from pikarelay.services import record_event

    applied_event = record_event.apply
    del Job
    return [(observe_message, "late_event_of", late_or_revived), (record_event, "apply", apply)]
