"""Whose press may leave; and, with everything together, that nobody ever gets somebody else's result."""

import random
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pikarelay.jobs.correlation import Ambiguous, match, related_messages, suspects
from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.job import Doubt, Job, PressPhase, Status
from pikarelay.jobs.lifecycle import Accepted, Bound, Cancelled, Sent, apply
from pikarelay.jobs.messages import BotMessage, Kind
from pikarelay.jobs.reading import event_of, late_event_of
from pikarelay.jobs.reconciliation import SLOW, Reading
from pikarelay.jobs.snowflakes import first_of
from pikarelay.jobs.turns import look_again, next_press
from tests.factories import VIDEO, a_job, a_message, a_press, a_running_job, snowflake
from tests.fakes.clock import START
from tests.fakes.discord import APPLICATION, BOT, USER

#: The bot of these tests takes any time for anything.
PATIENT = Deadlines(first_message=timedelta(days=1), whole_job=timedelta(days=1))
SOON = START + timedelta(seconds=5)


def waiting(job_id: str, prompt: str = "a red kite") -> Job:
    return a_job(job_id, prompt=prompt)


def bound(job_id: str, prompt: str = "a red kite") -> Job:
    return a_running_job(job_id, prompt=prompt, press=a_press(PressPhase.BOUND), message_id="1")


def turn(
    queue: list[Job],
    running: list[Job],
    *,
    identify: bool,
    now: datetime = SOON,
    ghosts: tuple[Job, ...] = (),
    reading: Reading | None = None,
) -> str | None:
    job = next_press(
        queue, running, results_identify=lambda _: identify, now=now, ghosts=ghosts, reading=reading
    )
    return None if job is None else job.job_id


def read(after: timedelta, floor: timedelta = timedelta(seconds=-2)) -> Reading:
    """Return a reading so long after the press, of what followed on that floor."""
    return Reading(tried=START + after, read=START + after, floor_id=snowflake(floor))


def ghost(phase: PressPhase, prompt: str = "a red kite") -> Job:
    return a_running_job("g", prompt=prompt, status=Status.CANCELLED, press=a_press(phase))


def test_first_goes_first() -> None:
    """On a quiet channel the oldest press leaves."""
    assert turn([waiting("1"), waiting("2")], [], identify=False) == "1"
    assert None is turn([], [], identify=True)


@pytest.mark.parametrize("phase", [PressPhase.SENT, PressPhase.ACCEPTED])
def test_one_unbound_at_a_time(phase: PressPhase) -> None:
    """While one press has no message, no other leaves, however well the bot identifies."""
    unbound = a_running_job("0", prompt="else", press=a_press(phase))

    assert None is turn([waiting("1")], [unbound], identify=True)


def test_slow_bot_holds_nobody_up_for_ever() -> None:
    """After twenty seconds without a message the next press goes."""
    unbound = a_running_job("0", prompt="else")

    for short, expected in ((timedelta(milliseconds=1), None), (timedelta(), "1")):
        now = START + SLOW - short
        assert expected == turn([waiting("1")], [unbound], identify=False, now=now)


def test_same_prompt_waits_while_results_do_not_identify() -> None:
    """A bot whose results say nothing of their press runs one job for each prompt."""
    assert None is turn([waiting("1")], [bound("0")], identify=False)
    assert turn([waiting("1")], [bound("0")], identify=True) == "1"


def test_same_prompt_waits_for_the_announcement() -> None:
    """A press that is only acknowledged holds up its likes until it is announced, or has ended and seems not to be, also if results identify."""
    acknowledged = msgspec.structs.replace(bound("0"), message_id=None)
    given_up = msgspec.structs.replace(acknowledged, status=Status.CANCELLED)

    for running, ghosts in (([acknowledged], ()), ([], (given_up,))):
        assert None is turn([waiting("1")], running, identify=True, ghosts=ghosts)
        assert turn([waiting("1"), waiting("2", "boat")], running, identify=True, ghosts=ghosts) == "2"
        leaves = turn(
            [waiting("1")], running, identify=True, ghosts=ghosts, now=START + SLOW, reading=read(SLOW)
        )
        assert leaves == ("1" if ghosts else None)


@pytest.mark.parametrize(
    ("phase", "now", "leaves"),
    [
        (PressPhase.BOUND, SOON, False),
        (PressPhase.BOUND, START + timedelta(minutes=20), False),
        (PressPhase.ACCEPTED, SOON, False),
        (PressPhase.ACCEPTED, START + SLOW, True),
        (PressPhase.SENT, SOON, True),
    ],
)
def test_ghost_of_the_same_prompt(phase: PressPhase, now: datetime, leaves: bool) -> None:
    """What is left of a cancelled job holds up its likes until the bot is done with it, or seems not to know of it."""
    expected = "1" if leaves else None

    assert expected == turn(
        [waiting("1")], [], identify=False, now=now, ghosts=(ghost(phase),), reading=read(SLOW)
    )
    assert turn([waiting("1")], [], identify=False, now=now, ghosts=(ghost(phase, "else"),)) == "1"
    announced = msgspec.structs.replace(ghost(phase), message_id="1")
    assert turn([waiting("1")], [], identify=True, now=now, ghosts=(announced,)) == "1"


@pytest.mark.parametrize(
    "reading",
    [
        None,
        Reading(tried=START + SLOW),
        read(SLOW - timedelta(milliseconds=1)),
        read(SLOW, floor=timedelta(seconds=-1)),
    ],
    ids=["none", "failed", "too early", "not far enough"],
)
@pytest.mark.parametrize("identify", [False, True])
def test_unheard_ghost_is_looked_for_first(reading: Reading | None, identify: bool) -> None:
    """A ghost of which nothing was heard in time holds up its likes until the history that would show it was read."""
    found = turn(
        [waiting("1"), waiting("2", "boat")],
        [],
        identify=identify,
        now=START + 10 * SLOW,
        ghosts=(ghost(PressPhase.ACCEPTED),),
        reading=reading,
    )

    assert found == "2"


def test_different_prompt_overtakes() -> None:
    """A press that has to wait for its prompt holds up no other prompt."""
    assert turn([waiting("1"), waiting("2", "a blue boat")], [bound("0")], identify=False) == "2"


@pytest.mark.parametrize(
    ("one", "other"), [("cat", "a cat on a mat"), ("a cat on a mat", "cat"), ("cat", "")]
)
def test_contained_prompt_waits_like_the_same(one: str, other: str) -> None:
    """A prompt that the other's messages quote as well is as good as the same; no prompt is in every prompt."""
    assert None is turn([waiting("1", one)], [bound("0", other)], identify=False)


def test_overtaking_does_not_starve() -> None:
    """A job without a prompt, which must run alone, is not overtaken for ever by jobs that keep it waiting."""
    queue = [waiting("1", ""), waiting("2", "boat"), waiting("3", "hat")]

    assert None is turn(queue, [bound("0", "kite")], identify=False)
    assert turn(queue, [], identify=False) == "1"


def test_look_again_when_the_youngest_turns_slow() -> None:
    """Time alone frees the way when the last of the unbound presses is slow."""
    old = a_running_job("0", press=a_press(PressPhase.SENT, sent=START - timedelta(seconds=8)))

    assert timedelta(seconds=15) == look_again([old, a_running_job("1")], SOON)
    assert None is look_again([bound("2")], SOON)
    assert None is look_again([old], START + timedelta(seconds=12))


class Bot:
    """A bot of random habits, and the truth about whose messages are whose."""

    def __init__(self, *, identifies: bool, edits: bool, acknowledges: bool, frame: str) -> None:
        self.identifies = identifies
        self.edits = edits
        self.acknowledges = acknowledges
        self.frame = frame
        self.truth: dict[str, str] = {}
        self._queued: dict[str, str] = {}
        self._made = 0

    def acknowledge(self, job: Job, now: datetime) -> BotMessage:
        return self._tied(job, self._message(job, now, Kind.HIDDEN, "", is_ephemeral=True))

    def queued(self, job: Job, now: datetime) -> BotMessage:
        message = self._message(
            job, now, Kind.UPDATE, f"Creation job queued. (Prompt: {job.text} {self.frame})"
        )
        self._queued[job.job_id] = message.id
        return self._tied(job, message) if self.identifies else message

    def result(self, job: Job, now: datetime) -> BotMessage:
        message = self._message(job, now, Kind.RESULT, f"Prompt: {job.text} {self.frame}")
        if self.edits and job.job_id in self._queued:
            del self.truth[message.id]
            message = msgspec.structs.replace(message, id=self._queued[job.job_id], is_edit=True)
            self.truth[message.id] = job.job_id
        return self._tied(job, message) if self.identifies else message

    def _message(self, job: Job, now: datetime, kind: Kind, said: str, **its: bool) -> BotMessage:
        self._made += 1
        message = a_message(
            id=str(first_of(now) + self._made),
            kind=kind,
            content=f"<@{USER}> {said}",
            attachments=(VIDEO,) if kind is Kind.RESULT else (),
            **its,
        )
        self.truth[message.id] = job.job_id
        return message

    def _tied(self, job: Job, message: BotMessage) -> BotMessage:
        return msgspec.structs.replace(
            message, interaction_id=f"1{job.press.nonce}", interaction_user_id=USER, nonce=job.press.nonce
        )


class Channel:
    """Presses, the bot and the feed of one channel, in one random order of events."""

    def __init__(self, jobs: list[Job], bot: Bot, seed: int) -> None:
        self.jobs = {job.job_id: job for job in jobs}
        self.bot = bot
        self.now = START
        self.owners: dict[str, str] = {}
        self.heard: dict[str, BotMessage] = {}
        self._random = random.Random(seed)
        self._learnt: bool | None = None
        self._waiting = list(jobs)
        self.cancels = False
        #: What the bot still has to say, job by job; jobs in any order, each one's messages in theirs.
        self._coming: dict[str, list[str]] = {}

    def run(self) -> None:
        for _ in range(len(self.jobs) * 12):
            self.now += timedelta(milliseconds=self._random.choice([10, 900, 7000]))
            self._press()
            if self.cancels and self._random.random() < 0.15:
                self._cancel()
            if self._coming and self._random.random() < 0.8:
                self._hear()

    def _cancel(self) -> None:
        """Give up one of the running jobs, of which the bot goes on to speak."""
        if running := self._running():
            job = self._random.choice(running)
            self.jobs[job.job_id] = apply(job, Cancelled(), self.now)

    def _running(self) -> list[Job]:
        return [j for j in self.jobs.values() if j.press.phase is not PressPhase.WAITING and not j.is_final]

    def _ghosts(self) -> list[Job]:
        return [job for job in self.jobs.values() if PATIENT.is_ghost(job, self.now)]

    def _press(self) -> None:
        job = next_press(
            self._waiting,
            self._running(),
            results_identify=lambda _: self._learnt is True,
            now=self.now,
            ghosts=self._ghosts(),
        )
        if job is None:
            return
        self._waiting.remove(job)
        floor = str(first_of(self.now - timedelta(seconds=2)))
        sent = Sent(user_id=USER, floor_id=floor, application_id=APPLICATION, bot_id=BOT)
        self.jobs[job.job_id] = apply(job, sent, self.now)
        accepted = Accepted(interaction_id=f"1{job.press.nonce}" if self._random.random() < 0.5 else None)
        self.jobs[job.job_id] = apply(self.jobs[job.job_id], accepted, self.now)
        said = ["acknowledge"] if self.bot.acknowledges else []
        self._coming[job.job_id] = [*said, "queued", "result"]

    def _hear(self) -> None:
        job_id = self._random.choice(sorted(self._coming))
        what = self._coming[job_id].pop(0)
        if not self._coming[job_id]:
            del self._coming[job_id]
        message: BotMessage = getattr(self.bot, what)(self.jobs[job_id], self.now)
        self._observe(message)
        if self._random.random() < 0.2:
            self._observe(message)

    def _observe(self, message: BotMessage) -> None:
        ghosts = self._ghosts()
        owners = {i: self.owners[i] for i in related_messages(message) if i in self.owners}
        found = match(message, self._running(), owners, USER, ghosts)
        if isinstance(found, Ambiguous):
            doubtful = Bound(weak=True, doubt=Doubt(message_id=message.id, job_ids=found.job_ids))
            for job in suspects(message, found, [*self._running(), *ghosts]):
                self.jobs[job.job_id] = apply(job, doubtful, self.now)
            return
        if found is None:
            return
        assert self.bot.truth[message.id] == found.job_id
        job = self.jobs[found.job_id]
        weak = not found.is_identifying
        if job.is_final:
            event = late_event_of(job, message, weak=weak, is_known=message.id in self.owners)
        else:
            event = event_of(job, message, weak=weak)
        if event is None:
            return
        self.jobs[job.job_id] = apply(job, event, self.now)
        self.owners[message.id] = job.job_id
        if message.kind is Kind.RESULT:
            identified = found.is_identifying and not self.jobs[job.job_id].press.weak
            self._learnt = identified and self._learnt is not False


PROMPTS = [
    "a red kite",
    "kite",
    "a cat on a mat",
    "cat",
    "prompt",
    "prompt: cat",
    "creation job",
    "author",
    "",
]


@settings(max_examples=400)
@given(
    prompts=st.lists(st.sampled_from(PROMPTS), min_size=2, max_size=8),
    identifies=st.booleans(),
    edits=st.booleans(),
    acknowledges=st.booleans(),
    frame=st.sampled_from(["", "Author: me", "-w 2 Image: 1 Attachment Author: me"]),
    cancels=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_no_result_is_ever_given_to_the_wrong_job(
    prompts: list[str],
    identifies: bool,
    edits: bool,
    acknowledges: bool,
    frame: str,
    cancels: bool,
    seed: int,
) -> None:
    """
    Whatever the prompts, the bot's habits, the order in which its messages come, and which jobs are given up on the way,
    none is taken for another job's.
    """
    jobs = [a_job(f"j{n}", prompt=text, press=a_press(nonce=str(9000 + n))) for n, text in enumerate(prompts)]
    channel = Channel(
        jobs, Bot(identifies=identifies, edits=edits, acknowledges=acknowledges, frame=frame), seed
    )
    channel.cancels = cancels

    channel.run()

    assert all(channel.bot.truth[message_id] == owner for message_id, owner in channel.owners.items())
    assert all(later.created >= earlier.created for earlier, later in pairwise(channel.jobs.values()))


@pytest.mark.parametrize("identifies", [True, False])
def test_different_prompts_all_complete(identifies: bool) -> None:
    """With prompts that are not contained in one another, every job gets its result, whatever the bot's habits."""
    prompts = ["red kite", "blue boat", "green hat", "old tree"]
    jobs = [a_job(f"j{n}", prompt=text, press=a_press(nonce=str(9000 + n))) for n, text in enumerate(prompts)]
    for seed in range(40):
        channel = Channel(
            jobs, Bot(identifies=identifies, edits=seed % 2 == 0, acknowledges=seed % 3 == 0, frame=""), seed
        )
        for _ in range(6):
            channel.run()

        assert all(job.is_final for job in channel.jobs.values())
