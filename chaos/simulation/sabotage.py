"""
Promises of the core broken on purpose, to prove that the simulation notices; some of them are mistakes that were made once.

Each is applied to this process, and taken back.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import msgspec

from chaos.breaks import Break, press_before_note
from chaos.simulation.plan import Plan, draw
from pikarelay.jobs import accounts, correlation, turns
from pikarelay.jobs.correlation import Match
from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.lifecycle import Accepted
from pikarelay.jobs.messages import InteractionAnswered, Kind
from pikarelay.services import deliver_callback, expire_jobs, press_button
from pikarelay.services.answer_once import AnswerOnce
from pikarelay.services.board import Board
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.observe_message import SightingObserver
from pikarelay.services.ports import CallbackOutcome, Delivery
from pikarelay.services.press_floor import PressFloor
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.send_press import PressSender
from pikarelay.services.submit_job import Submission
from pikarelay.workers.presser import Lane, Presser
from pikarelay.workers.reconciler import Reconciler


@dataclass(frozen=True)
class Sabotage:
    """What is broken, and how a violation begins that shows it."""

    breaks: Callable[[], list[Break]]
    shows: str
    #: What a plan is made to be, where the trouble that shows it is rare.
    trouble: Mapping[str, Any] = field(default_factory=dict)

    def plan(self, seed: int) -> Plan:
        """Return the seed's history, with that trouble."""
        return replace(draw(seed), **self.trouble)


@contextmanager
def applied(name: str | None) -> Iterator[None]:
    """Break what has this name inside the block; None: nothing."""
    breaks = SABOTAGES[name].breaks() if name else []
    whole = [(where, attribute, getattr(where, attribute)) for where, attribute, _ in breaks]
    for where, attribute, broken in breaks:
        setattr(where, attribute, broken)
    try:
        yield
    finally:
        for where, attribute, value in whole:
            setattr(where, attribute, value)


# Whose message is it


def _floors_ignored() -> list[Break]:
    """A message from before a press may be about it."""
    return [(correlation, "is_after", lambda snowflake, _floor: snowflake.isdecimal())]


def _first_come() -> list[Break]:
    """What fits several is the first one's."""

    def first(_message: Any, jobs: Any, link: Any) -> Match:
        return Match(jobs[0].job_id, link)

    return [(correlation, "_only", first)]


def _ghosts_forgotten() -> list[Break]:
    """What an ended job has left at Discord is not reckoned with."""
    return [
        (Deadlines, "is_ghost", lambda _self, _job, _now: False),
        (Deadlines, "may_be_about", lambda _self, _ghost, _message_id: False),
    ]


def _ghosts_of_now() -> list[Break]:
    """What a message can be about depends on when it is heard."""
    look_for = ChannelView.look_for

    async def look_now(self: Any, message: Any) -> Any:
        known = await look_for(self, message)
        now, allowed = self._clock.now(), self._deadlines._allowed
        there = tuple(ghost for ghost in known.ghosts if now - ghost.press.sent < allowed(ghost))
        return msgspec.structs.replace(known, ghosts=there)

    return [(ChannelView, "look_for", look_now)]


def _ids_unseen() -> list[Break]:
    """What is old is told by a clock alone."""
    return [(PressFloor, "see", lambda _self, _snowflake: None)]


def _ghosts_not_looked_for() -> list[Break]:
    """A ghost of which nothing was heard for long enough is not reckoned with, read or not."""
    return [(turns, "_is_known_to_be_slow", lambda job, now, _reading: turns._is_slow(job, now))]


def _commands_not_found() -> list[Break]:
    """An answer to a command whose interaction is not known is nobody's."""
    may = correlation._may_be_the_press

    def only_buttons(message: Any, job: Any) -> bool:
        return job.press.parent_message_id is not None and may(message, job)

    return [(correlation, "_may_be_the_press", only_buttons)]


def _mentions_quoted() -> list[Break]:
    """The number of whoever is mentioned is a quotation, and a longer prompt wins over none."""

    def normalise(text: str) -> str:
        return "".join(c for c in text.casefold() if c.isalnum())

    def longest(content: str, jobs: Any) -> list[Any]:
        said = normalise(content)
        quoted = [job for job in jobs if normalise(job.text) in said]
        most = max((normalise(job.text) for job in quoted), key=len, default="")
        return [job for job in quoted if normalise(job.text) == most]

    return [(correlation, "normalise", normalise), (correlation, "_most_quoted", longest)]


def _acknowledgements_ignored() -> list[Break]:
    """That the bot acknowledged an interaction does not prove it."""
    observe = SightingObserver.observe

    async def deaf(self: Any, identity: Any, sighting: Any) -> None:
        if not isinstance(sighting, InteractionAnswered):
            await observe(self, identity, sighting)

    return [(SightingObserver, "observe", deaf)]


# Whose turn is it


def _alike_side_by_side() -> list[Break]:
    """Presses that could be mistaken for each other run at once."""
    return [(turns, "_are_alike", lambda _one, _other: False)]


def _acknowledged_is_announced() -> list[Break]:
    """One that is only acknowledged holds up nobody."""
    return [(turns, "_is_to_be_announced", lambda _job, _now, _reading: False)]


def _given_up_in_line() -> list[Break]:
    """What was given up stays in its lane."""

    def see(self: Any, _job: Any) -> None:
        self._changed.set()

    return [(Lane, "_see", see)]


# The press


def _pressed_again() -> list[Break]:
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
    from pikarelay.services.send_press import _button_press

    if job.verb is Verb.BUTTON:
        return _button_press(job)
    return sender._command_run(job, await sender._find_command(job))


def _waiting_forgotten() -> list[Break]:
    """Presses that waited when a process ended are not taken up by the next."""

    async def idle(_self: Any, _names: Any) -> None:
        return

    return [(Presser, "take_up", idle)]


def _keys_ignored() -> list[Break]:
    """A request that is repeated makes another job."""

    async def through(_self: Any, _caller: Any, _key: Any, submit: Any) -> Any:
        return await submit()

    submit_whole = Submission.submit

    async def submit_unnamed(self: Any, caller: Any, channels: Any, decide: Any, _key: Any = None) -> Any:
        return await submit_whole(self, caller, channels, decide)

    return [(AnswerOnce, "__call__", through), (Submission, "submit", submit_unnamed)]


def _admissions_abandoned() -> list[Break]:
    """What is admitted for somebody who hangs up in that moment is not pressed."""

    async def direct(_self: Any, admission: Any) -> Any:
        return await admission

    return [(Submission, "_admit", direct)]


def _no_limit() -> list[Break]:
    """`maxJobs` is not looked at."""

    def anywhere(seats: Any, _executing: Any, _draw: Any) -> Any:
        return seats[0]

    return [(press_button, "admit", lambda *_: None), (accounts, "choose", anywhere)]


# What is looked for, and given up


def _no_reconciling() -> list[Break]:
    """Histories are read after a gap and at deadlines only."""

    async def idle(self: Any) -> None:
        await self._clock.sleep(timedelta(seconds=5))
        self._forget(set())

    return [(Reconciler, "_once", idle)]


def _no_histories() -> list[Break]:
    """What the Gateway does not bring is lost."""

    async def nothing(_self: Any, jobs: Any) -> frozenset[str]:
        list(jobs)
        return frozenset()

    return [(HistoryReader, "catch_up", nothing)]


def _no_deadlines() -> list[Break]:
    """Nobody is given up."""
    return [(Deadlines, "is_overdue", lambda *_: False)]


def _impatient() -> list[Break]:
    """Jobs are given up at half of their time."""
    overdue = Deadlines.is_overdue

    def soon(self: Any, job: Any, now: Any) -> bool:
        return overdue(self, job, now + self._allowed(job) / 2)

    return [(Deadlines, "is_overdue", soon)]


def _unread_is_empty() -> list[Break]:
    """A history that cannot be read at a deadline has nothing in it."""
    return [(expire_jobs, "GRACE", timedelta())]


# Callbacks


def _delivered_before_sent() -> list[Break]:
    """A callback is settled as delivered, and then sent."""
    deliver = CallbackDelivery.deliver

    async def settled_first(self: Any, callback: Any) -> None:
        sends = self._sender

        class Pretending:
            async def send(self, *_what: Any) -> Delivery:
                return Delivery(status=200, duration=timedelta())

        self._sender = Pretending()
        try:
            await deliver(self, callback)
        finally:
            self._sender = sends
        await sends.send(callback)

    return [(CallbackDelivery, "deliver", settled_first)]


def _new_id_each_try() -> list[Break]:
    deliver = CallbackDelivery.deliver

    async def renamed(self: Any, callback: Any) -> None:
        sends = self._sender

        class Renaming:
            async def send(self, callback: Any, secrets: Any = ()) -> Delivery:
                its = f"{callback.callback_id}-{callback.attempt}"
                return await sends.send(msgspec.structs.replace(callback, callback_id=its), secrets)  # type: ignore[no-any-return]

        other = CallbackDelivery(
            self._store, Renaming(), self._answers, self._tally, self._clock, self._schedule, self._draw
        )
        await deliver(other, callback)

    return [(CallbackDelivery, "deliver", renamed)]


def _callback_before_answer() -> list[Break]:
    """A callback does not wait for its job's POST to be answered."""

    async def at_once(_self: Any, _job_id: str) -> None:
        return

    return [(Board, "answered", at_once)]


def _dropped_while_paused() -> list[Break]:
    """What fails while its target is paused is given up."""
    outcome_of = deliver_callback.outcome_of

    def drop(*its: Any) -> CallbackOutcome:
        outcome = outcome_of(*its)
        if outcome.health.is_tripped:
            return msgspec.structs.replace(outcome, retry_at=None, given_up=True)
        return outcome

    return [(deliver_callback, "outcome_of", drop)]


def _endings_overwritten() -> list[Break]:
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


#: Many jobs alike, and a bot that is always in time.
_ONE_PROMPT: dict[str, Any] = {
    "prompts": ("a red kite",),
    "requests": 9,
    "max_jobs": 10,
    "by_hand": False,
    "is_late": False,
    "slow_share": 0.0,
    "announcing": (0.5, 3.0),
    "working": (3.0, 20.0),
}
_LOST = {"event_fates": ("lost",), "event_trouble": 0.4}
#: Many cancelled jobs of a bot that quotes, and enough time for all of them.
_GHOSTS: dict[str, Any] = {
    **_ONE_PROMPT,
    "manners": ("plain",),
    "cancelling": 0.7,
    "working": (25.0, 60.0),
    "first_message": timedelta(seconds=20),
    "whole_job": timedelta(seconds=240),
}

SABOTAGES: dict[str, Sabotage] = {
    "floors_ignored": Sabotage(_floors_ignored, "video"),
    "first_come": Sabotage(_first_come, "video"),
    "ghosts_forgotten": Sabotage(_ghosts_forgotten, "video"),
    "ghosts_of_now": Sabotage(_ghosts_of_now, "video", {**_GHOSTS, "announcing": (4.0, 9.0)}),
    "ghosts_not_looked_for": Sabotage(
        _ghosts_not_looked_for,
        "video",
        {
            **_GHOSTS,
            "requests": 4,
            "event_fates": ("lost_with_gap", "lost"),
            "event_trouble": 0.6,
            "read_trouble": 0.3,
        },
    ),
    "ids_unseen": Sabotage(
        _ids_unseen,
        "message",
        {
            **_ONE_PROMPT,
            "manners": ("plain",),
            "event_fates": ("delayed",),
            "event_trouble": 0.4,
            "press_interval": timedelta(seconds=0.02),
            "announcing": (0.1, 0.5),
            "working": (0.3, 0.8),
        },
    ),
    "commands_not_found": Sabotage(_commands_not_found, "video"),
    "mentions_quoted": Sabotage(_mentions_quoted, "video", {"prompts": ("7", ""), "requests": 9}),
    "acknowledgements_ignored": Sabotage(
        _acknowledgements_ignored,
        "video",
        {
            **_ONE_PROMPT,
            **_LOST,
            "manners": ("plain",),
            "press_fates": ("false_429", "5xx_after"),
            "press_trouble": 0.6,
        },
    ),
    "alike_side_by_side": Sabotage(_alike_side_by_side, "video"),
    "acknowledged_is_announced": Sabotage(
        _acknowledged_is_announced,
        "video",
        {**_ONE_PROMPT, "manners": ("respond", "respond", "respond", "reply"), "announcing": (5.0, 9.0)},
    ),
    "given_up_in_line": Sabotage(
        _given_up_in_line, "leak", {**_ONE_PROMPT, **_LOST, "manners": ("plain",), "cancelling": 0.7}
    ),
    "marked_after": Sabotage(press_before_note, "press"),
    "pressed_again": Sabotage(_pressed_again, "press"),
    "waiting_forgotten": Sabotage(_waiting_forgotten, "turn"),
    "keys_ignored": Sabotage(_keys_ignored, "request"),
    "no_limit": Sabotage(_no_limit, "capacity"),
    "no_reconciling": Sabotage(_no_reconciling, "video"),
    "no_histories": Sabotage(_no_histories, "video"),
    "no_deadlines": Sabotage(_no_deadlines, "liveness"),
    "impatient": Sabotage(_impatient, "deadline"),
    "unread_is_empty": Sabotage(
        _unread_is_empty, "video", {"read_trouble": 0.6, "event_fates": ("lost",), "event_trouble": 0.9}
    ),
    "delivered_before_sent": Sabotage(_delivered_before_sent, "callback"),
    "new_id_each_try": Sabotage(_new_id_each_try, "callback"),
    "callback_before_answer": Sabotage(_callback_before_answer, "callback"),
    "dropped_while_paused": Sabotage(_dropped_while_paused, "callback"),
    "endings_overwritten": Sabotage(_endings_overwritten, "status"),
    "admissions_abandoned": Sabotage(_admissions_abandoned, "turn", {"hanging_up": 0.9, "store_wait": 0.5}),
}
