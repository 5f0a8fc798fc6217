"""
Everything that changes a job is in this file.

A job begins `CREATED`: admitted, holding a place of its channel, its press not answered by the bot. The bot's first
visible message makes it `STARTED`, any later one without an ending `PROGRESS`. It ends once, in one of four
ways: `COMPLETED` (the video is there), `MODERATED` (the bot refused the content), `FAILED` (anything else went
wrong, a deadline included) or `CANCELLED` (its caller gave up). Nothing leaves a final status, ever.

Callers see six of the seven: `CREATED` is shown as `started`.

Two kinds of events change a job. *Facts* add what was learnt of its press and leave the status alone. *Steps* move
the status by the table below. Both are named for what happened in the world, not for what we do about it.

What was started at Discord may outlive its job, and then must not be taken for another's. So an ended job still learns
facts about its press, and those alone: nothing that callers are shown changes, not even `updated`.

A step that the table does not know raises `IllegalTransition`, which is our bug. A late or repeated message is not
impossible, it is normal: ask `is_final` first.
"""

from datetime import datetime

import msgspec

from pikarelay.jobs.job import Attachment, Button, Doubt, Job, PressPhase, Status
from pikarelay.jobs.messages import BotMessage


class IllegalTransition(Exception):
    """An event that cannot happen to a job in this status. A defect of ours."""

    def __init__(self, status: Status, event: "Event") -> None:
        super().__init__(f"{type(event).__name__} cannot happen to a job that is {status.value}")


# Facts: what is known of the press. No status changes.


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The press is about to leave for Discord. Committed first, so that it can never leave twice."""

    user_id: str
    floor_id: str
    application_id: str
    #: The bot's own user, who will answer.
    bot_id: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """Discord took the press: it answered 204, or named the interaction."""

    #: None when Discord's HTTP answer came before the interaction's name.
    interaction_id: str | None = None


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A message that callers are not shown (a hidden acknowledgement, or a late word) belongs to this job."""

    weak: bool = False
    #: It may as well belong to another.
    doubt: Doubt | None = None


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The bot has said its last word about the press of a job that had ended before."""

    weak: bool = False


FACTS = (Sent, Accepted, Bound, Settled)


# Steps: these move the status.


class Announced(msgspec.Struct, frozen=True, kw_only=True):
    """The bot's first visible message about the job is there."""

    message: BotMessage
    weak: bool = False


class Progressed(msgspec.Struct, frozen=True, kw_only=True):
    """Another message, or an edit, without an ending."""

    message: BotMessage
    weak: bool = False


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The video is there."""

    message: BotMessage
    weak: bool = False


class Moderated(msgspec.Struct, frozen=True, kw_only=True):
    """The bot refused the content, in its own words."""

    message: BotMessage
    weak: bool = False


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The job cannot come to a good end."""

    error: str
    details: str | None = None
    #: The bot's message about it, when it said so itself.
    message: BotMessage | None = None
    #: What this says of the press: `REFUSED` when Discord refused it for certain, `SETTLED` when the bot is known to do
    #: nothing more about it. None when it may still come to something.
    press: PressPhase | None = None


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """The caller gave up. What Discord runs goes on, and nothing here claims otherwise."""


Fact = Sent | Accepted | Bound | Settled
Step = Announced | Progressed | Finished | Moderated | Failed | Cancelled
Event = Fact | Step

ENDINGS: dict[type[Step], Status] = {
    Finished: Status.COMPLETED,
    Moderated: Status.MODERATED,
    Failed: Status.FAILED,
    Cancelled: Status.CANCELLED,
}

#: A Gateway reconnect may cost us any message but the last, so every unfinished status can end.
TRANSITIONS: dict[Status, dict[type[Step], Status]] = {
    Status.CREATED: {Announced: Status.STARTED, Progressed: Status.PROGRESS, **ENDINGS},
    Status.STARTED: {Progressed: Status.PROGRESS, **ENDINGS},
    Status.PROGRESS: {Progressed: Status.PROGRESS, **ENDINGS},
    Status.COMPLETED: {},
    Status.MODERATED: {},
    Status.FAILED: {},
    Status.CANCELLED: {},
}


def apply(job: Job, event: Event, now: datetime) -> Job:
    """
    Return the job as it is after `event`.

    `updated` never goes back, also when the clock does. Raises `IllegalTransition` for a step that the table does
    not know, and for a press that leaves twice, or after its job has ended.
    """
    if job.is_final:
        if isinstance(event, Sent) or not isinstance(event, FACTS):
            raise IllegalTransition(job.status, event)
        return _learn(job, event, now)
    changed = _learn(job, event, now) if isinstance(event, FACTS) else _move(job, event)
    return msgspec.structs.replace(changed, updated=max(now, job.updated))


def _learn(job: Job, fact: Fact, now: datetime) -> Job:
    press = job.press
    if isinstance(fact, Sent):
        if press.phase is not PressPhase.WAITING:
            raise IllegalTransition(job.status, fact)
        press = msgspec.structs.replace(
            press,
            phase=PressPhase.SENT,
            user_id=fact.user_id,
            floor_id=fact.floor_id,
            application_id=fact.application_id,
            bot_id=fact.bot_id,
            sent=now,
        )
    elif isinstance(fact, Accepted):
        press = msgspec.structs.replace(
            press,
            phase=_forward(press.phase, PressPhase.ACCEPTED),
            interaction_id=press.interaction_id or fact.interaction_id,
        )
    else:
        phase = PressPhase.SETTLED if isinstance(fact, Settled) else PressPhase.BOUND
        doubts = (fact.doubt,) if isinstance(fact, Bound) and fact.doubt is not None else ()
        press = msgspec.structs.replace(
            press,
            phase=_forward(press.phase, phase),
            weak=press.weak or fact.weak,
            doubts=(*press.doubts, *doubts),
        )
    return msgspec.structs.replace(job, press=press)


def _move(job: Job, step: Step) -> Job:
    status = TRANSITIONS[job.status].get(type(step))
    if status is None:
        raise IllegalTransition(job.status, step)
    return msgspec.structs.replace(_show(job, step), status=status)


def _show(job: Job, step: Step) -> Job:
    """Take over from a step what callers are shown."""
    match step:
        case Announced(message=message, weak=weak) | Progressed(message=message, weak=weak):
            return _with_message(job, message, weak=weak)
        case Finished(message=message, weak=weak):
            told = _with_message(
                job, message, weak=weak, buttons=message.buttons, attachments=message.attachments
            )
            return _at(told, PressPhase.SETTLED)
        case Moderated(message=message, weak=weak):
            told = _at(_with_message(job, message, weak=weak), PressPhase.SETTLED)
            return msgspec.structs.replace(told, error=message.content or "Moderated")
        case Failed(error=error, details=details, message=message, press=phase):
            told = job if message is None else _with_message(job, message, weak=False)
            told = _at(told, phase or (job.press.phase if message is None else PressPhase.SETTLED))
            return msgspec.structs.replace(told, error=error, error_details=details)
        case Cancelled():
            return job


def _with_message(
    job: Job,
    message: BotMessage,
    *,
    weak: bool,
    buttons: tuple[Button, ...] = (),
    attachments: tuple[Attachment, ...] = (),
) -> Job:
    press = msgspec.structs.replace(
        job.press,
        phase=_forward(job.press.phase, PressPhase.BOUND),
        weak=job.press.weak or weak,
        interaction_id=job.press.interaction_id or message.interaction_id,
    )
    if message.is_ephemeral and job.message_id is not None and not attachments:
        # A hidden note about a job that has a visible message must not take that message's place; a result may.
        return msgspec.structs.replace(job, press=press)
    return msgspec.structs.replace(
        job,
        press=press,
        message_id=message.id,
        message_flags=message.flags,
        content=message.content,
        timestamp=message.timestamp,
        buttons=buttons,
        attachments=attachments,
        embeds=message.embeds,
    )


def _at(job: Job, phase: PressPhase) -> Job:
    press = msgspec.structs.replace(job.press, phase=_forward(job.press.phase, phase))
    return msgspec.structs.replace(job, press=press)


def _forward(now: PressPhase, then: PressPhase) -> PressPhase:
    order = list(PressPhase)
    return max(now, then, key=order.index)
