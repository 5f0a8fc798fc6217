"""
When is a channel's history to be read although nothing says that anything was missed?

The Gateway is the normal way to hear of the bot, and may lose a message without a trace. So a press of which nothing was
heard for a quarter of a minute is looked for once, and a channel with open presses is read every minute or so. A
channel, not a job: one reading is good for all its jobs, and there is never more than one in fifteen seconds.

Ghosts (`pikarelay.jobs.deadlines`) are looked for like jobs, where there are jobs that could be given what is theirs: one
of which the bot has spoken unheard would not be reckoned with.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from pikarelay.jobs.job import Job, PressPhase

#: After that long without a word about a press, the word may have been lost.
SILENCE = timedelta(seconds=15)
#: Between two readings of a channel, at least.
SPACING = timedelta(seconds=15)
#: Between two readings of a channel on which nothing is amiss.
ROUTINE = timedelta(seconds=60)
#: How far jitter moves the routine, each way, as a share of it.
JITTER = 0.2


def channels_due(
    jobs: Iterable[Job], last_read: Mapping[str, datetime], now: datetime, jitter: Mapping[str, float]
) -> dict[str, list[Job]]:
    """
    Return the channels to read now, with their open jobs and ghosts.

    `jobs` are both, `last_read` tells of channels that were read before; `jitter` has a number from 0 to 1 for a
    channel, and one half where it has none.
    """
    open_jobs: dict[str, list[Job]] = {}
    for job in jobs:
        if job.press.sent is not None:
            open_jobs.setdefault(job.channel, []).append(job)
    return {
        channel: its
        for channel, its in open_jobs.items()
        if _is_due(its, last_read.get(channel), now, jitter.get(channel, 0.5))
    }


def _is_due(jobs: list[Job], last: datetime | None, now: datetime, jitter: float) -> bool:
    begun = min(job.press.sent for job in jobs if job.press.sent is not None)
    if last is not None and now - last < SPACING:
        return False
    if any(_was_not_looked_for(job, last, now) for job in jobs):
        return True
    return now - max(begun, last or begun) >= ROUTINE * (1 - JITTER + 2 * JITTER * jitter)


def _was_not_looked_for(job: Job, last: datetime | None, now: datetime) -> bool:
    """Whether nothing was heard of the press for long enough, and the channel was not read since."""
    sent = job.press.sent
    if sent is None or job.press.phase not in {PressPhase.SENT, PressPhase.ACCEPTED}:
        return False
    return now - sent >= SILENCE and (last is None or last - sent < SILENCE)
