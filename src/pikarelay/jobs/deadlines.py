"""
How long a job, and what is left of one, is waited for.

A job that has ended as failed or cancelled may have left work at Discord: a *ghost*. What the bot says of it later must not
be taken for another job's, so it is remembered as long as the bot can be expected to say something: a press that never
had a message for as long as a first message may take, any other as long as a whole job may.
"""

from datetime import datetime, timedelta

import msgspec

from pikarelay.jobs.job import Job, PressPhase, Status


class Deadlines(msgspec.Struct, frozen=True, kw_only=True):
    """How long a job may take."""

    #: From the press to the bot's first message, a hidden acknowledgement included.
    first_message: timedelta
    #: From the press to the end; for a press that waits, from the admission to the press.
    whole_job: timedelta

    def is_overdue(self, job: Job, now: datetime) -> bool:
        """Whether an unfinished job's time is up."""
        return now - (job.press.sent or job.created) >= self._allowed(job)

    def is_ghost(self, job: Job, now: datetime) -> bool:
        """Whether the bot may still say something about the press of an ended job."""
        press = job.press
        if job.status not in {Status.FAILED, Status.CANCELLED} or press.is_over:
            return False
        return press.sent is not None and now - press.sent < self._allowed(job)

    def _allowed(self, job: Job) -> timedelta:
        return self.first_message if job.press.is_unbound else self.whole_job


#: The phases of a press that may still come to something.
OPEN_PHASES = (PressPhase.SENT, PressPhase.ACCEPTED, PressPhase.BOUND)
