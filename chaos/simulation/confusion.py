"""
What the server cannot know: when may a video be given to nobody, and when to the wrong one?

A bot that only quotes prompts cannot be told which press its words are about, where two fit. The server does not let such
presses run side by side (docs/decisions/0012), and gives to nobody what it cannot tell (0014). So a job may end without its
video where something was left at Discord by another that could be mistaken for it, and where the bot had shown that it
names its presses and then did not.

A bot that names the interaction it answers is understood by who heard from Discord which press that was. Where a death, or a lost
notice, kept the server from hearing it, such a bot's words are as good as a quote, and not better.

And one thing cannot be known by anybody: a press that Discord answered untruly, of which no notice named it, and whose bot only
quotes its prompt. Its words are taken for those of the next press with that prompt (0014).
"""

from chaos.simulation.book import Book, Interaction
from chaos.simulation.plan import FOLLOWING, IDENTIFYING, QUOTING, Plan
from pikarelay.jobs.correlation import normalise
from pikarelay.jobs.job import Job, Status

#: What the simulated bot says beside prompts.
_BOT_WORDS = normalise("Creation job queued in progress: 33% 66% (Prompt: Author: Image: 1 Attachment)")


def may_confuse(plan: Plan, book: Book, job: Job, ended: float) -> bool:
    """Whether the bot's words about the job, which ended then, could be another's, for no fault of the server."""
    kinds = set(plan.manners)
    is_heard = book.heard.get(job.press.nonce, ended) < ended
    if is_heard and not kinds & {*QUOTING, *FOLLOWING}:
        return False
    alike = [
        other
        for other in map(book.last, book.commits)
        if other.job_id != job.job_id and _are_alike(job, other)
    ]
    is_moody = bool(kinds & set(QUOTING)) and bool(kinds & {*IDENTIFYING, *FOLLOWING})
    if is_moody and any(_overlap(book, other, ended) for other in alike):
        return True
    return any(_is_ghost(book, other, ended) for other in alike)


def are_alike(text: str, other: str) -> bool:
    """Whether what the bot says about one prompt may quote the other."""
    one, two = normalise(text), normalise(other)
    return one in two or two in one or one in _BOT_WORDS or two in _BOT_WORDS


def _are_alike(job: Job, other: Job) -> bool:
    if job.channel != other.channel or other.press.sent is None:
        return False
    return are_alike(job.text, other.text)


def _overlap(book: Book, other: Job, ended: float) -> bool:
    """Whether the other was pressed before this one ended."""
    sent = min((at for at, its in book.commits[other.job_id] if its.press.sent is not None), default=ended)
    return sent < ended


def _is_ghost(book: Book, other: Job, ended: float) -> bool:
    """Whether the other had ended before, and left something behind of which it may not have been known what."""
    if other.job_id in book.withdrawn:
        return book.withdrawn[other.job_id] < ended
    if other.status not in {Status.FAILED, Status.CANCELLED}:
        return False
    return any(at < ended for at, its in book.commits[other.job_id] if its.is_final)


#: Answers to a press that happened all the same.
_UNTRUE = frozenset({"lost_after", "5xx_after", "false_429"})


def is_past_knowing(book: Book, job: Job, cause: Interaction | None) -> bool:
    """Whether nobody could have known that what the job was given was another's."""
    taken = {attempt.nonce: attempt.fate for attempt in book.attempts if attempt.has_happened}
    jobs = book.by_nonce()
    seen = {job.job_id}
    while cause is not None and (fate := taken.get(cause.nonce)) is not None:
        given = next((at for at, its in book.commits[job.job_id] if its.is_final), book.now)
        if fate in _UNTRUE and book.heard.get(cause.nonce, given) >= given:
            return True
        # Its own words had gone to another before; this is what follows from that.
        job = book.last(jobs[cause.nonce])
        if job.job_id in seen or job.message_id is None:
            return False
        seen.add(job.job_id)
        cause = book.cause_of_message.get(job.message_id)
    return False
