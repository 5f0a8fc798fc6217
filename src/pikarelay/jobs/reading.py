"""What a message of the bot does to the job it is about."""

from pikarelay.jobs.job import Job, Status
from pikarelay.jobs.lifecycle import Announced, Bound, Event, Failed, Finished, Moderated, Progressed, Settled
from pikarelay.jobs.messages import BotMessage, Kind
from pikarelay.jobs.snowflakes import is_after

#: What the bot says when it is done with a press.
LAST_WORDS = frozenset({Kind.RESULT, Kind.MODERATED, Kind.FAILED})


def is_last_word(message: BotMessage) -> bool:
    """Whether nothing more is to come of the press that the message is about, or there is a file to lose."""
    return message.kind in LAST_WORDS or bool(message.attachments)


def late_event_of(job: Job, message: BotMessage, *, weak: bool, is_known: bool) -> Event | None:
    """
    Return what the message teaches of the press of a job that has ended; None when it teaches nothing.

    `is_known` tells that the message was this job's before.
    """
    if message.kind in LAST_WORDS:
        return None if is_known and job.press.is_over else Settled(weak=weak)
    return None if is_known else Bound(weak=weak)


def event_of(job: Job, message: BotMessage, *, weak: bool) -> Event | None:
    """
    Return what the message means for the job; None when it says nothing new.

    Late and repeated messages are normal (a resumed session replays, the history is read again), so this is where
    they end: a final job hears nothing more.
    """
    if job.is_final:
        return None
    match message.kind:
        case Kind.RESULT:
            event: Event | None = Finished(message=message, weak=weak)
        case Kind.MODERATED:
            event = Moderated(message=message, weak=weak)
        case Kind.FAILED:
            event = Failed(error=message.content or "Pika failed", message=message)
        case Kind.HIDDEN:
            event = Bound() if job.press.is_unbound else None
        case Kind.UPDATE:
            event = _update(job, message, weak=weak)
    return event


def _update(job: Job, message: BotMessage, *, weak: bool) -> Event | None:
    if job.message_id is not None:
        is_repeated = (job.message_id, job.content) == (message.id, message.content)
        # Read again in the history, the "queued" note would take the place of the message that followed it.
        if is_repeated or is_after(job.message_id, message.id):
            return None
    if job.status is Status.CREATED:
        return Announced(message=message, weak=weak)
    return Progressed(message=message, weak=weak)
