"""
How long a job, and what is left of one, is waited for.

A job that has ended as failed or cancelled may have left work at Discord: a *ghost*. What the bot says of it later must not
be taken for another job's, so it is remembered as long as the bot can be expected to say something. What it can be about
was said before its time was up, and may be heard long afterwards: a session that is resumed, or the history, brings it.
"""

from datetime import datetime, timedelta

import msgspec

from pikarelay.jobs.job import Job, PressPhase, Status
from pikarelay.jobs.snowflakes import CLOCK_DOUBT, moment_of


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job may take."""

    #: From the press to the bot's first message, a hidden acknowledgement included.
    first_message: timedelta
    #: From the press to the end; for a press that waits, from the admission to the press.
    whole_job: timedelta

    def is_overdue(self, job: Job, now: datetime) -> bool:
        """Whether an unfinished job's time is up."""
        return now - (job.press.sent or job.created) >= self.allowed(job)

    @property
    def longest(self) -> timedelta:
        """For how long after its press anything may be said of any job."""
        return max(self.first_message, self.whole_job)

    def is_ghost(self, job: Job, now: datetime) -> bool:
        """Whether words of the bot about the press of an ended job may be under way, heard or not."""
        sent = job.press.sent
        return _has_left_work(job) and sent is not None and now - sent < self.longest

    def may_be_about(self, ghost: Job, message_id: str) -> bool:
        """
        Whether the bot may have spoken of the ghost when it said that message.

        For as long as a first message may take, of one of which it had said nothing; else for as long as a whole job may.
        """
        floor = ghost.press.floor_id
        if not _has_left_work(ghost) or floor is None:
            return False
        # The floor is the press's time less a doubt, by a clock that may be wrong by as much.
        return moment_of(message_id) - moment_of(floor) < self.allowed(ghost) + 2 * CLOCK_DOUBT

    def allowed(self, job: Job) -> timedelta:
        """Return for how long after its press a job is waited for, as it is."""
        return self.first_message if job.press.is_unbound else self.whole_job


def _has_left_work(job: Job) -> bool:
    return job.status in {Status.FAILED, Status.CANCELLED} and not job.press.is_over


#: The phases of a press that may still come to something.
OPEN_PHASES = (PressPhase.SENT, PressPhase.ACCEPTED, PressPhase.BOUND)
