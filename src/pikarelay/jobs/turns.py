"""
When may a waiting press leave?

Two rules keep every answer of the bot attributable, and both only make presses wait, never jobs run slower once pressed:

1. On one channel, one press at a time is *unbound* (sent, and no message of the bot tied to it yet). The bot's first message
   then has one press it can be about. It usually comes within three seconds; after twenty the next press goes anyway.
2. As long as a bot has not shown that its *results* identify their press (by nonce, interaction or reference), no press
   leaves whose result could not be told from that of a running one on the same channel: the prompts are the same, or one
   is contained in the other. A job without a prompt thus runs alone.

The first press of a kind thus runs alone, and from its result we learn whether the bot's others may run side by side.
Also then one waits until the bot has announced those that could be mistaken for it, however long that takes: a result may name
its press by no more than a reply to that announcement. A hidden acknowledgement ends the first rule's wait, and is none.

What is left at Discord of a job that failed or was cancelled (a ghost) counts for the second rule like a running job, once the
bot has said anything about it. A ghost of which nothing was heard holds up its likes, if Discord is known to have taken its press,
for the twenty seconds in which that usually comes, and until the channel's history has nothing of it either; else nobody.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from pikarelay.jobs.correlation import normalise
from pikarelay.jobs.job import Job, PressPhase
from pikarelay.jobs.reconciliation import SLOW, Reading


def next_press(
    waiting: Sequence[Job],
    running: Sequence[Job],
    *,
    results_identify: Callable[[Job], bool],
    now: datetime,
    ghosts: Sequence[Job] = (),
    reading: Reading | None = None,
) -> Job | None:
    """
    Return the press that may leave now; None when all have to wait.

    `waiting` are the channel's presses that have not been sent, in their order; `running` its unfinished jobs that have;
    `ghosts` its ended ones of which the bot may still say something. `results_identify` tells of a waiting job whether its bot's results name their press;
    `reading`, when the channel's history was read.
    """
    if any(job.press.is_unbound and not _is_slow(job, now) for job in running):
        return None
    ahead = [normalise(job.text) for job in running]
    ahead += [normalise(job.text) for job in ghosts if _is_in_the_way(job, now, reading)]
    unannounced = [
        normalise(job.text) for job in (*running, *ghosts) if _is_to_be_announced(job, now, reading)
    ]
    for job in waiting:
        text = normalise(job.text)
        in_the_way = unannounced if results_identify(job) else ahead
        if not any(_are_alike(text, other) for other in in_the_way):
            return job
        # What could be mistaken for it does not overtake it, or it might wait for ever.
        ahead.append(text)
        unannounced.append(text)
    return None


def look_again(running: Sequence[Job], now: datetime) -> timedelta | None:
    """Return after how long time alone may free the way: when the youngest unbound press turns slow."""
    ends = [job.press.sent + SLOW for job in running if job.press.is_unbound and job.press.sent]
    waits = [end - now for end in ends if end > now]
    return max(waits, default=None)


def _is_in_the_way(ghost: Job, now: datetime, reading: Reading | None) -> bool:
    """Whether the bot's next words may well be about this ghost."""
    phase = ghost.press.phase
    if phase is PressPhase.ACCEPTED:
        return not _is_known_to_be_slow(ghost, now, reading)
    return phase is PressPhase.BOUND


def _is_to_be_announced(job: Job, now: datetime, reading: Reading | None) -> bool:
    """Whether Discord took the press, and the bot's first visible message about it is still to be expected."""
    if job.press.phase not in {PressPhase.ACCEPTED, PressPhase.BOUND} or job.message_id is not None:
        return False
    # However long it takes: that it runs is known, and a bot that is slow once announces late, not never.
    return not job.is_final or not _is_known_to_be_slow(job, now, reading)


def _are_alike(text: str, other: str) -> bool:
    """Whether a message that quotes one of the prompts may quote the other."""
    return text in other or other in text


def _is_known_to_be_slow(ghost: Job, now: datetime, reading: Reading | None) -> bool:
    """Whether the bot has not announced the ghost in time. That takes a look: it may not have been heard."""
    return _is_slow(ghost, now) and reading is not None and reading.covers(ghost, SLOW)


def _is_slow(job: Job, now: datetime) -> bool:
    sent = job.press.sent
    return sent is not None and now - sent >= SLOW
