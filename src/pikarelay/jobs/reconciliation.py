"""
When is a channel's history to be read although nothing says that anything was missed?

The Gateway is the normal way to hear of the bot, and may lose a message without a trace. So a press of which nothing was
heard for a quarter of a minute is looked for once, and a channel with open presses is read every minute or so. A
channel, not a job: one reading is good for all its jobs, and there is never more than one in fifteen seconds.

Ghosts (`pikarelay.jobs.deadlines`) are looked for like jobs, where there are jobs that could be given what is theirs: one
of which the bot has spoken unheard would not be reckoned with. `pikarelay.jobs.turns` waits for it.

A reading that failed did not happen; the next one is due later each time, since refusals are counted against us.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from pikarelay.jobs.job import Job
from pikarelay.jobs.snowflakes import is_after

#: After that long without a word about a press, the word may have been lost.
SILENCE = timedelta(seconds=15)
#: After that long without a first message, the bot is slow rather than ambiguous. One that is not in the history by then has
#: not been said.
SLOW = timedelta(seconds=20)
#: Between two readings of a channel, at least.
SPACING = timedelta(seconds=15)
#: The same, after so many failures in a row.
_SPACINGS = (SPACING, 2 * SPACING, 4 * SPACING)
#: Between two readings of a channel on which nothing is amiss.
ROUTINE = timedelta(seconds=60)
#: How far jitter moves the routine, each way, as a share of it.
JITTER = 0.2


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the readings of a channel's history."""

    #: When one was last begun, whatever came of it.
    tried: datetime
    #: How many have failed since.
    failures: int = 0
    #: Whether the last one failed because Discord, or the network, was away: not for anything that the accounts are.
    is_away: bool = False
    #: When the last one was begun that did not fail.
    read: datetime | None = None
    #: It brought what has an id greater than this.
    floor_id: str | None = None

    def covers(self, job: Job, after: timedelta) -> bool:
        """Whether what the bot said within that time after the job's press was read."""
        sent, floor = job.press.sent, job.press.floor_id
        if sent is None or floor is None or self.read is None or self.floor_id is None:
            return False
        return self.read - sent >= after and not is_after(self.floor_id, floor)

    @property
    def next(self) -> datetime:
        """Before then the channel is not read again."""
        return self.tried + _SPACINGS[min(self.failures, len(_SPACINGS) - 1)]

    @property
    def soonest(self) -> datetime:
        """Before then the channel is not read again for anything, failures or not."""
        return self.tried + _SPACINGS[0]


def channels_due(
    jobs: Iterable[Job], readings: Mapping[str, Reading], now: datetime, jitter: Mapping[str, float]
) -> dict[str, list[Job]]:
    """
    Return the channels to read now, with their open jobs and ghosts.

    `jobs` are both, `readings` tells of channels that were read before, or were to be; `jitter` has a number from 0 to 1
    for a channel, and one half where it has none.
    """
    open_jobs: dict[str, list[Job]] = {}
    for job in jobs:
        if job.press.sent is not None:
            open_jobs.setdefault(job.channel, []).append(job)
    return {
        channel: its
        for channel, its in open_jobs.items()
        if _is_due(its, readings.get(channel), now, jitter.get(channel, 0.5))
    }


def _is_due(jobs: list[Job], last: Reading | None, now: datetime, jitter: float) -> bool:
    if last is not None and now < last.next:
        return False
    if any(_was_not_looked_for(job, last, now) for job in jobs):
        return True
    begun = min(job.press.sent for job in jobs if job.press.sent is not None)
    before = begun if last is None else max(begun, last.tried)
    return now - before >= ROUTINE * (1 - JITTER + 2 * JITTER * jitter)


def _was_not_looked_for(job: Job, last: Reading | None, now: datetime) -> bool:
    """Whether nothing was heard of the press for long enough, and the channel was not read since."""
    sent = job.press.sent
    if sent is None or not _is_unheard(job):
        return False
    patience = SLOW if job.is_final else SILENCE
    return now - sent >= patience and not (last is not None and last.covers(job, patience))


def _is_unheard(job: Job) -> bool:
    # A hidden acknowledgement is all that a job needs to be waited for. Of a ghost, the announcement is what matters.
    if job.is_final:
        return job.message_id is None and not job.press.is_over
    return job.press.is_unbound
