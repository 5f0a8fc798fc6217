"""
Is this message of the bot about one of our jobs, and how sure is that?

Discord answers a press with an empty 204. What came of it must be read from messages that arrive later, by what ties
them to the press. Some ties identify a press and can belong to no other:

    OWNED        the message is known to be this job's (an edit of it)
    NONCE        it carries the nonce that we sent with the press
    INTERACTION  it names the interaction that Discord made of the press
    ORIGINAL     it follows up on a message that is this job's
    REFERENCE    it replies to a message that is this job's

Others are circumstantial: they say what the message is about, and several presses may be about the same.

    PRESSED      it names the message whose button was pressed, and us as the one who pressed
    COMMAND      it answers a command of ours, and quotes the job's prompt
    PARENT       it replies to the message whose button was pressed
    TEXT         it mentions us and quotes the job's prompt

A circumstantial tie counts only when exactly one job fits it, and nothing ties the message to a job that has ended.
Otherwise the message is `AMBIGUOUS` or nobody's, for giving a caller somebody else's video is worse than giving none.
`pikarelay.jobs.turns` sees to it that this hardly comes up: it never lets two presses run at once that only
circumstances could tell apart. Where it comes up with a first note, the jobs that it fits remember it as a `Doubt`.

Ghosts (`pikarelay.jobs.deadlines`) fit like jobs that run, so that what was started for them goes to nobody else. But a
ghost of which the bot has never said anything may be no more than a press that did not happen, and it does not stand in the
way of one that did: it yields where Discord is not even known to have taken it and took the other, and for a
result where the bot has announced the other.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec

from pikarelay.jobs.job import Job, PressPhase
from pikarelay.jobs.messages import BotMessage, Kind
from pikarelay.jobs.snowflakes import is_after

_MENTION = re.compile(r"<[@#][!&]?\d+>")


class Link(StrEnum):
    """What ties a message to a job. The module's docstring says what each means."""

    OWNED = "owned"
    NONCE = "nonce"
    INTERACTION = "interaction"
    ORIGINAL = "original"
    REFERENCE = "reference"
    PRESSED = "pressed"
    COMMAND = "command"
    PARENT = "parent"
    TEXT = "text"


IDENTIFYING = frozenset({Link.OWNED, Link.NONCE, Link.INTERACTION, Link.ORIGINAL, Link.REFERENCE})


class Match(msgspec.Struct, frozen=True):
    """The message is about this job."""

    job_id: str
    link: Link

    @property
    def is_identifying(self) -> bool:
        """Whether the link can belong to no other press."""
        return self.link in IDENTIFYING


class Ambiguous(msgspec.Struct, frozen=True):
    """The message is about one of these jobs, and nothing says about which."""

    job_ids: tuple[str, ...]


def related_messages(message: BotMessage) -> tuple[str, ...]:
    """Return the ids of all messages whose owner says something about this one."""
    ids = (message.id, message.original_response_message_id, message.referenced_message_id)
    return tuple(i for i in ids if i is not None)


def match(
    message: BotMessage,
    open_jobs: Sequence[Job],
    owners: Mapping[str, str],
    user_id: str,
    ghosts: Sequence[Job] = (),
) -> Match | Ambiguous | None:
    """
    Find the job, or the ghost, that a message seen by `user_id` is about.

    `open_jobs` are the channel's unfinished jobs whose press was sent; `owners` tells, for `related_messages`, whose they
    are, finished jobs included. None: the message is none of our business.
    """
    if (owner := owners.get(message.id)) is not None:
        return Match(owner, Link.OWNED)
    mine = [job for job in (*open_jobs, *ghosts) if job.press.user_id == user_id]
    return _identified(message, mine, owners) or _circumstantial(message, mine, owners, user_id)


def suspects(message: BotMessage, found: Ambiguous, jobs: Iterable[Job]) -> list[Job]:
    """
    Return the jobs and ghosts that the bot may just have announced, and of which that was not known.

    From now on they have to be reckoned with as if it had: they become bound, weakly and in doubt.
    """
    if message.kind is not Kind.UPDATE:
        return []
    return [
        job
        for job in jobs
        if job.job_id in found.job_ids
        and job.message_id is None
        and message.id not in {doubt.message_id for doubt in job.press.doubts}
    ]


def _identified(message: BotMessage, jobs: Sequence[Job], owners: Mapping[str, str]) -> Match | None:
    if message.nonce is not None:
        for job in jobs:
            if job.press.nonce == message.nonce:
                return Match(job.job_id, Link.NONCE)
    if message.interaction_id is not None:
        for job in jobs:
            if job.press.interaction_id == message.interaction_id:
                return Match(job.job_id, Link.INTERACTION)
    for related, link in (
        (message.original_response_message_id, Link.ORIGINAL),
        (message.referenced_message_id, Link.REFERENCE),
    ):
        owner = owners.get(related) if related is not None else None
        for job in jobs:
            # Anybody in the channel can reply to the bot's message; only the bot's replies are about the job.
            if job.job_id == owner and job.press.bot_id == message.author_id:
                return Match(owner, link)
    return None


def _circumstantial(
    message: BotMessage, jobs: Sequence[Job], owners: Mapping[str, str], user_id: str
) -> Match | Ambiguous | None:
    possible = [job for job in jobs if _could_follow(message, job)]
    if message.interaction_user_id == user_id:
        link = Link.COMMAND if message.interacted_message_id is None else Link.PRESSED
        pressed = [job for job in possible if _may_be_the_press(message, job)]
        if link is Link.COMMAND:
            pressed = _most_quoted(message.content, pressed)
        if pressed:
            return _only(message, pressed, link, jobs)
    if message.interaction_id is not None:
        # It answers an interaction, and that is none of ours: somebody pressed or typed by hand.
        return None
    if message.referenced_message_id is not None:
        replied = [job for job in possible if job.press.parent_message_id == message.referenced_message_id]
        if replied:
            return _only(message, replied, Link.PARENT, jobs)
    if any(related in owners for related in related_messages(message)):
        # It follows up on a job that has ended, and does not come to be another's by quoting the same prompt.
        return None
    quoted = _most_quoted(message.content, possible) if user_id in message.mentions else []
    return _by_text(message, quoted, jobs) if quoted else None


def _could_follow(message: BotMessage, job: Job) -> bool:
    """Whether a message without an identifying tie may be about the job at all: its author, its age, its kind."""
    press = job.press
    if message.author_id != press.bot_id or press.floor_id is None:
        return False
    if not is_after(message.id, press.floor_id):
        return False
    # What Discord made of the press is older than all that the bot says to it.
    if press.interaction_id is not None and is_after(press.interaction_id, message.id):
        return False
    # "Queued" is said once, first. A job that has heard it is not being told again by another message; one that has only
    # had a hidden acknowledgement has not heard it.
    return job.message_id is None or message.kind is not Kind.UPDATE


def _may_be_the_press(message: BotMessage, job: Job) -> bool:
    """Whether the interaction that the message answers may be the job's press, whose own interaction is not known."""
    press = job.press
    return (
        press.parent_message_id == message.interacted_message_id
        and press.interaction_id is None
        # A nonce is some press's own, and it was not this one's.
        and message.nonce is None
        and (message.interaction_id is None or is_after(message.interaction_id, press.floor_id or ""))
    )


def _most_quoted(content: str, jobs: Iterable[Job]) -> list[Job]:
    """
    Return the jobs that the content may quote the prompt of.

    The longest wins over those it contains, because a message about "a cat on a mat" also contains "cat", and not the
    other way round. It does not win over others: a message about "dog" may contain "queued" in the bot's own words, and one
    about a job without a prompt anything. For the same reason it does not win where ghosts are, which may be about while
    their likes run.
    """
    said = normalise(content)
    quoted = [(text, job) for job in jobs if (text := normalise(job.text)) in said]
    longest = max((text for text, _ in quoted), key=len, default="")
    if all(text and text in longest and not job.is_final for text, job in quoted):
        return [job for text, job in quoted if text == longest]
    return [job for _, job in quoted]


def normalise(text: str) -> str:
    """
    Return only the letters and digits, folded: bots respace prompts, and change dashes and quotes in them.

    Without mentions, whose numbers are nobody's prompt.
    """
    plain = _MENTION.sub(" ", unicodedata.normalize("NFKC", text))
    return "".join(c for c in plain.casefold() if c.isalnum())


def _told_before(message: BotMessage, jobs: Iterable[Job]) -> list[Job]:
    """Return the running jobs that have heard they are queued, and of which this may be one more note."""
    if message.kind is not Kind.UPDATE:
        return []
    said = normalise(message.content)
    return [
        job for job in jobs if not job.is_final and job.message_id is not None and normalise(job.text) in said
    ]


def _by_text(message: BotMessage, quoted: Sequence[Job], jobs: Sequence[Job]) -> Match | Ambiguous | None:
    """A message that only ghosts fit may also be one more note about a running job."""
    if not all(job.is_final for job in quoted):
        return _only(message, quoted, Link.TEXT, jobs)
    told = _told_before(message, jobs)
    found = _only(message, [*told, *quoted], Link.TEXT, jobs)
    is_note = isinstance(found, Match) and found.job_id in {job.job_id for job in told}
    return None if is_note else found


def _only(message: BotMessage, fitting: Sequence[Job], link: Link, jobs: Sequence[Job]) -> Match | Ambiguous:
    likely = _without_faint_ghosts(message, fitting)
    if len(likely) == 1 and not _is_old_doubt(message, likely[0], fitting, jobs):
        return Match(likely[0].job_id, link)
    return Ambiguous(tuple(job.job_id for job in likely))


def _is_old_doubt(message: BotMessage, job: Job, fitting: Sequence[Job], jobs: Sequence[Job]) -> bool:
    """
    Whether the note may be another's with which the job was in doubt before.

    One that was left open comes again, with the history for one, and is no clearer when others have ended since. One that
    was not is the job's when all of those others are still there, and it fits none of them.
    """
    if message.kind is not Kind.UPDATE or job.message_id is not None:
        return False
    if message.id in {doubt.message_id for doubt in job.press.doubts}:
        return True
    others = {other for doubt in job.press.doubts for other in doubt.job_ids} - {job.job_id}
    unfit = {its.job_id for its in jobs} - {its.job_id for its in fitting}
    return not others <= unfit


def _without_faint_ghosts(message: BotMessage, jobs: Sequence[Job]) -> list[Job]:
    """Leave out the ghosts of presses that may never have happened, where one fits that did."""
    is_taken = any(not job.is_final and job.press.phase is not PressPhase.SENT for job in jobs)
    is_announced = message.kind is Kind.RESULT and any(
        not job.is_final and job.press.phase is PressPhase.BOUND for job in jobs
    )

    def is_faint(job: Job) -> bool:
        if not job.is_final or not job.press.is_unbound:
            return False
        return is_announced or (is_taken and job.press.phase is PressPhase.SENT)

    return [job for job in jobs if not is_faint(job)]
