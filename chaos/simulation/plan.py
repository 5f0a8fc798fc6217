"""
What a seed stands for: how its world is made, and what goes wrong in it.

Each history has some kinds of trouble and not others, because trouble of all kinds at once hides what one kind alone would show.
Nothing is decided here about single events; that is drawn when they happen, from streams of chance of the same seed.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

#: Behaviours of the bot that name their press in all they say; those whose result only follows what they said first; and
#: those that only quote the prompt.
IDENTIFYING = ("respond", "edit_in_place")
FOLLOWING = ("reply",)
QUOTING = ("plain", "delete_queued")
#: Behaviours without a result.
BARREN = ("moderated", "failed", "silent", "modal")

#: Prompts of which some are contained in others, and one is none at all.
PROMPTS = ("a red kite", "kite", "a dog", "A red  KITE, flying", "the sea at night", "queued", "7", "")
#: One for each request, none like another.
LATE_PROMPTS = tuple(
    f"{word} by the river" for word in ["ant", "bee", "cow", "doe", "eel", "fox", "gnu", "hen", "ibis", "jay"]
)
#: How Discord may answer a press; see `discord.Interactions`.
PRESS_FATES = (
    "lost_after", "lost_before", "unsent", "5xx_after", "5xx_before", "429", "false_429", "refused", "blocked", "stale",
)  # fmt: skip
#: What may become of an event on its way; see `stream.Streams`.
EVENT_FATES = ("lost", "lost_with_gap", "duplicated", "delayed")
#: What may become of a try to call a receiver; see `receivers.Receivers`.
RECEIVER_FATES = ("connect", "http_500", "http_429", "timeout", "protocol_taken", "http_410")
#: At which of the world's moments a process may die.
MOMENTS = (
    "admitted", "press leaves", "press arrives", "press answered", "said", "changed", "callback leaves", "callback arrives",
    "callback answered", "answer leaves", "history read",
)  # fmt: skip


@dataclass(frozen=True)
class Death:
    """One end of the server's process, and when the next one begins."""

    #: A moment of the world, or `steps`.
    moment: str
    #: It dies at the so-manieth such moment, and after so many steps more.
    number: int
    steps: int
    #: Seconds until the next one.
    pause: float
    #: Whether it is asked to stop, instead of being killed.
    is_stop: bool = False


@dataclass(frozen=True)
class Outage:
    """A time in which something is not there, in seconds from the start."""

    begin: float
    end: float
    #: Of a session: whether Discord goes on with it afterwards, and brings what was missed.
    is_resumable: bool = True


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A history before it happens. Times are in seconds unless they say otherwise."""

    seed: int
    #: How long callers ask for jobs and trouble is made. Then all is well, and everything must come to its end.
    length: float
    requests: int

    users: int = 1
    channels: int = 1
    #: Whether all users share the channels, as in a guild.
    is_guild: bool = False
    manners: tuple[str, ...] = ("plain",)
    prompts: tuple[str, ...] = PROMPTS
    #: From a press to the bot's first words, and from there to the result: at least, at most.
    announcing: tuple[float, float] = (0.5, 3.0)
    working: tuple[float, float] = (3.0, 40.0)
    #: The share of presses that the bot is slow to announce: 20 to 30 seconds.
    slow_share: float = 0.0
    #: Whether the bot may say its words after the times that jobs are given. Then every request has a prompt of its own: what
    #: comes so late is not reckoned with any more, and could not be told from what another with its prompt has.
    is_late: bool = False
    #: Whether the account's owner also uses the bot by hand, before a request comes for the same prompt.
    by_hand: bool = False

    first_message: timedelta = timedelta(seconds=30)
    whole_job: timedelta = timedelta(seconds=120)
    answer_wait: timedelta = timedelta(seconds=10)
    press_interval: timedelta = timedelta(seconds=1.5)
    schedule: tuple[timedelta, ...] = ()
    max_jobs: int = 4
    #: How far Discord's clock is ahead of ours, and how wrong we are about that.
    skew: float = 0.0
    doubt: float = 0.0

    #: Shares of what happens to.
    press_trouble: float = 0.0
    press_fates: tuple[str, ...] = ()
    event_trouble: float = 0.0
    event_fates: tuple[str, ...] = ()
    read_trouble: float = 0.0
    receiver_trouble: float = 0.0
    receiver_fates: tuple[str, ...] = ()
    cancelling: float = 0.0
    hanging_up: float = 0.0
    repeating: float = 0.0
    #: The longest that a transaction takes.
    store_wait: float = 0.01

    session_outages: tuple[Outage, ...] = ()
    receiver_outages: tuple[Outage, ...] = ()
    deaths: tuple[Death, ...] = ()
    #: Whether what sessions can be gone on with outlives a process.
    keeps_sessions: bool = False


@dataclass
class _Drawer:
    chance: Random
    drawn: dict[str, object] = field(default_factory=dict)

    def flip(self, share: float) -> bool:
        return self.chance.random() < share

    def some(self, of: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.chance.sample(of, self.chance.randint(1, min(3, len(of)))))


def draw(seed: int) -> Plan:
    """Return the history that the seed stands for."""
    its = _Drawer(chance := Random(f"{seed} plan"))
    length = chance.choice((20.0, 40.0, 80.0))
    users = chance.choice((1, 1, 1, 2))
    is_quiet = its.flip(0.1)
    trouble = {} if is_quiet else _trouble(its, length)
    is_late = its.flip(0.15)
    first_message, whole_job = chance.choice((20, 30, 60, 120)), chance.choice((60, 120, 120, 240))
    announcing = chance.choice(((0.1, 0.5), (0.5, 3.0), (1.0, 8.0)))
    working = chance.choice(((0.5, 3.0), (3.0, 20.0), (2.0, 60.0), (10.0, 200.0)))
    slow = its.flip(0.15) and (is_late or first_message > 30)
    if not is_late:
        most = whole_job - 15 - (30 if slow else 8)
        working = (min(working[0], most), min(working[1], most))
    return Plan(
        seed=seed,
        length=length,
        requests=chance.randint(2, 9),
        users=users,
        channels=users + chance.choice((0, 0, 1)),
        is_guild=its.flip(0.3),
        manners=_manners(its),
        prompts=tuple(chance.sample(PROMPTS, chance.choice((1, 1, 2, 3, 5)))),
        announcing=announcing,
        working=working,
        slow_share=0.3 if slow else 0.0,
        is_late=is_late,
        by_hand=its.flip(0.15),
        first_message=timedelta(seconds=first_message),
        whole_job=timedelta(seconds=whole_job),
        answer_wait=timedelta(seconds=chance.choice((0.5, 10, 10))),
        press_interval=timedelta(seconds=chance.choice((0.02, 1.5))),
        schedule=tuple(timedelta(seconds=s) for s in (0, 1, 2, 3, 5, 5, 8, 10, 15, 20, 30, 60)),
        max_jobs=chance.choice((1, 2, 4, 10)),
        skew=chance.choice((0.0, 0.0, -20.0, 45.0)),
        doubt=chance.uniform(-0.9, 0.9),
        **trouble,  # type: ignore[arg-type]
    )


def _manners(its: _Drawer) -> tuple[str, ...]:
    kinds = its.chance.random()
    if kinds < 0.35:
        # A bot that only quotes, as the one that is known to us seems to.
        some: tuple[str, ...] = (its.chance.choice(QUOTING),)
    elif kinds < 0.6:
        some = (its.chance.choice(IDENTIFYING + FOLLOWING),)
    else:
        some = tuple(its.chance.sample(QUOTING + IDENTIFYING + FOLLOWING, its.chance.randint(2, 4)))
    return some + its.some(BARREN) if its.flip(0.4) else some


def _trouble(its: _Drawer, length: float) -> dict[str, object]:
    chance, trouble = its.chance, its.drawn
    if its.flip(0.4):
        trouble |= {"press_trouble": chance.choice((0.15, 0.4)), "press_fates": its.some(PRESS_FATES)}
    if its.flip(0.4):
        trouble |= {"event_trouble": chance.choice((0.05, 0.2, 0.5)), "event_fates": its.some(EVENT_FATES)}
    if its.flip(0.25):
        trouble |= {"receiver_trouble": chance.choice((0.2, 0.6)), "receiver_fates": its.some(RECEIVER_FATES)}
    if its.flip(0.2):
        begin = chance.uniform(0, length)
        trouble["receiver_outages"] = (Outage(begin, begin + chance.uniform(5, 40)),)
    if its.flip(0.3):
        trouble["session_outages"] = tuple(_outages(chance, length))
    if its.flip(0.4):
        trouble["deaths"] = tuple(_death(its) for _ in range(chance.choice((1, 1, 2, 4))))
        trouble["keeps_sessions"] = its.flip(0.5)
    trouble["read_trouble"] = chance.choice((0.0, 0.0, 0.0, 0.3))
    trouble["cancelling"] = chance.choice((0.0, 0.0, 0.1, 0.4))
    trouble["hanging_up"] = chance.choice((0.0, 0.0, 0.0, 0.3))
    trouble["repeating"] = chance.choice((0.0, 0.0, 0.5))
    trouble["store_wait"] = chance.choice((0.0, 0.01, 0.01, 0.5))
    return trouble


def _outages(chance: Random, length: float) -> list[Outage]:
    begins = sorted(chance.uniform(0, length) for _ in range(chance.choice((1, 1, 2, 3))))
    return [Outage(b, b + chance.choice((0.5, 5.0, 25.0)), chance.random() < 0.5) for b in begins]


def _death(its: _Drawer) -> Death:
    chance = its.chance
    moment = "steps" if its.flip(0.3) else chance.choice(MOMENTS)
    return Death(
        moment=moment,
        number=chance.randint(1, 6),
        steps=chance.randint(1, 3000) if moment == "steps" else chance.choice((0, 0, 1, 2, 5)),
        pause=chance.choice((0.1, 1.0, 15.0)),
        is_stop=its.flip(0.2),
    )
