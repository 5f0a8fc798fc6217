"""
The world's own book: what truly happened, written by the world itself. The judge reads nothing else.

The server's part in it is what it let out: what it committed, what it sent, what it answered.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from chaos.simulation.loop import VirtualLoop
from pikarelay.jobs.job import Job
from pikarelay.services.ports import Callback


@dataclass(eq=False)
class Interaction:
    """One press or command that Discord took, and what the bot made of it: the cause of all it says about it."""

    id: str
    #: As it was sent; somebody's own when it was made by hand.
    nonce: str
    user_id: str
    channel: str
    prompt: str
    at: float
    #: The pressed message.
    parent: str | None
    manner: str
    is_by_hand: bool = False
    #: When the bot first said something about it to be seen.
    announced: float | None = None
    #: When the bot had said its last word, or was known not to say any.
    over: float | None = None
    #: The file that was made of it, the message that it is in, and when that came into the channel.
    video: str | None = None
    message_id: str | None = None
    shown: float | None = None


@dataclass(frozen=True)
class Attempt:
    """One POST of an interaction that left the server."""

    nonce: str
    at: float
    #: How Discord answered.
    fate: str
    has_happened: bool


@dataclass(frozen=True)
class Answer:
    """What a caller was answered to a POST."""

    at: float
    order: int
    job: Job
    code: int
    is_repeat: bool


@dataclass(frozen=True)
class Try:
    """One try of a callback, as it came in at its receiver."""

    at: float
    order: int
    callback: Callback
    #: The server's process that sent it; 1 is the first.
    life: int
    #: Whether the receiver took it, and whether the server was told so.
    was_taken: bool
    was_told: bool


@dataclass
class Request:
    """Something that a caller asked for, until it was answered or given up."""

    number: int
    reply_url: str | None
    max_jobs: int
    #: The name by which it is repeated. None when it has none.
    key: str | None = None
    answers: list[Answer] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


class Book:
    """See the module."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._order = count(1)
        self._lines: list[tuple[float, str, str, tuple[object, ...]]] = []
        self.interactions: list[Interaction] = []
        self.attempts: list[Attempt] = []
        #: By message and by attachment: whose work it is.
        self.cause_of_message: dict[str, Interaction] = {}
        self.cause_of_video: dict[str, Interaction] = {}
        #: By job: everything that was committed about it, in order.
        self.commits: dict[str, list[tuple[float, Job]]] = {}
        #: By job, as it was admitted: how many ran then on its channel, itself included.
        self.admissions: dict[str, int] = {}
        self.withdrawn: dict[str, float] = {}
        #: By nonce: when a server first took in something that names the press by it.
        self.heard: dict[str, float] = {}
        self.requests: list[Request] = []
        #: By job: the request that made it.
        self.request_of: dict[str, Request] = {}
        self.tries: dict[str, list[Try]] = defaultdict(list)
        #: By job: how many tries left the server.
        self.sends: Counter[str] = Counter()
        #: Jobs whose receiver said that it is gone.
        self.gone: set[str] = set()
        #: By job: what GET said in the end.
        self.shown: dict[str, bytes | None] = {}
        #: By channel: when its history was read, and whether Discord gave it.
        self.reads: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        #: When the server's processes began, and when they ended.
        self.starts: list[float] = []
        self.ends: list[float] = []
        #: Of a process that was still there at the end: what it had not let go.
        self.leaks: list[str] = []
        #: Exceptions that nothing in the world explains.
        self.defects: list[str] = []
        #: When the trouble was over, and when everything was.
        self.calm: float | None = None
        self.quiet: float | None = None
        #: What is called at each moment that a process may die at.
        self.on_moment: Callable[[str], object] = lambda _moment: None
        self.moments: Counter[str] = Counter()

    @property
    def now(self) -> float:
        return self._loop.time()

    def next_order(self) -> int:
        """Return a number that says of two entries which was made first."""
        return next(self._order)

    def note(self, who: str, what: str, *its: object) -> None:
        """Write a line for a reader, `what` being a format for the rest."""
        self._lines.append((self._loop.time(), who, what, its))

    def moment(self, name: str) -> None:
        """Say that something has come about at which a process may die."""
        self.moments[name] += 1
        self.on_moment(name)

    def committed(self, job: Job) -> None:
        its = self.commits.setdefault(job.job_id, [])
        if its and its[-1][1] == job:
            return
        its.append((self._loop.time(), job))
        self.note("store", "{} is {}, its press {}", job.job_id, job.status.value, job.press.phase.value)
        self.moment("changed")

    def admitted(self, job: Job, running: int) -> None:
        self.admissions[job.job_id] = running
        self.committed(job)
        self.moment("admitted")

    def last(self, job_id: str) -> Job:
        """Return the job as it was last committed."""
        return self.commits[job_id][-1][1]

    def by_nonce(self) -> dict[str, str]:
        """Return which job each nonce is of."""
        return {its[0][1].press.nonce: job_id for job_id, its in self.commits.items()}

    def told(self) -> str:
        """Return the story, a line an entry."""
        return "\n".join(f"{at:9.3f}  {who:<9} {what.format(*its)}" for at, who, what, its in self._lines)

    def facts(self) -> list[Any]:
        """Return what two runs of one seed have in common."""
        return [(at, who, what, tuple(map(str, its))) for at, who, what, its in self._lines]
