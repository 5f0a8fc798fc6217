"""
Copies of results: what each is called, how it stands, and when it is tried again. Pure.

A copy's name is chosen in the very change that completes its job, long before the copy is there, so everything that is ever
said about the job can carry the link that lasts.
"""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from pikarelay.jobs.job import Attachment, Job, Status
from pikarelay.jobs.media import extension_of

#: A copy that cannot be made is tried again, less and less often, for so long.
GIVE_UP_AFTER = timedelta(days=7)
SHORTEST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(hours=1)
#: How far jitter moves a wait, each way, as a share of it.
_JITTER = 0.2


class CopyState(StrEnum):
    """Where a copy stands."""

    WAITING = "waiting"
    DONE = "done"
    #: There is no other try, unless somebody asks for one.
    FAILED = "failed"


class KeptCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A copy that was made."""

    #: Which mirror holds it, by `services.ports.Mirror.name`.
    mirror: str
    #: In bytes.
    size: int
    media_type: str


class CopyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a copy."""

    #: Unguessable, and unique: `<26 letters and digits>.mp4`.
    name: str
    #: None once its job is pruned.
    job_id: str | None
    #: Which of the job's attachments it is of; 0 is the first.
    number: int
    state: CopyState
    #: When its first try was due: as the job completed, or as somebody asked for it again.
    begun: datetime
    #: How many tries were made or begun.
    attempt: int
    #: While it waits: when it may be tried, or when the claim of the try under way ends.
    due: datetime | None = None
    #: What was wrong with the last try, in a sentence. None while one is under way.
    error: str | None = None
    #: Set when it is done.
    kept: KeptCopy | None = None


class CopyCount(msgspec.Struct, frozen=True):
    """How many copies there are of one state, and how many bytes they have together."""

    copies: int
    size: int


def with_copies(job: Job, file_id: str) -> Job:
    """Return a completed job whose files each have a name for their copy. Any other is returned as it is."""
    if job.status is not Status.COMPLETED:
        return job
    named = tuple(
        msgspec.structs.replace(attachment, copy_name=_name(file_id, number, attachment))
        for number, attachment in enumerate(job.attachments)
    )
    return msgspec.structs.replace(job, attachments=named)


def _name(file_id: str, number: int, attachment: Attachment) -> str:
    return f"{file_id}{f'-{number}' if number else ''}.{extension_of(attachment)}"


def copies_of(job: Job) -> tuple[str, ...]:
    """Return the names of a job's copies, in the order of its attachments."""
    return tuple(attachment.copy_name for attachment in job.attachments if attachment.copy_name is not None)


def is_mirrored(job: Job) -> bool:
    """Whether every file of the job has a copy, made or to be made."""
    return all(attachment.copy_name is not None for attachment in job.attachments)


def next_try(begun: datetime, now: datetime, jitter: float) -> datetime | None:
    """
    Return when a copy that has been tried since `begun` is tried again. None when it has been tried for long enough.

    Half as long again as it has waited by now: 5 s at first, an hour at last. `jitter` is a random number from 0 to 1.
    """
    elapsed = now - begun
    if elapsed >= GIVE_UP_AFTER:
        return None
    wait = min(max(elapsed / 2, SHORTEST_WAIT), LONGEST_WAIT)
    return now + wait * (1 - _JITTER + 2 * _JITTER * jitter)
