"""
The scripts. Each is played to every peer with the same bot times, words and disturbances.

A peer that cannot play one by its nature is named with the reason, which stands in the table in place of a figure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Disturbance = Literal["none", "refuse_gateway", "untrue_429", "kill"]

#: Seconds between the requests of calls that are started close together.
CLOSE = 0.15
ONE_AT_A_TIME = "mutiny-sdk"


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One script."""

    name: str
    title: str
    #: How many calls are made, and how long after each other.
    calls: int = 1
    spacing: float = CLOSE
    #: Whether all calls have the same words.
    equal: bool = False
    #: Press the button of one earlier result instead of sending prompts.
    again: bool = False
    #: Settings of the bot; see `bench.peers.bot.Settings`.
    bot: Mapping[str, Any] = field(default_factory=dict)
    disturbance: Disturbance = "none"
    #: Seconds after the last request.
    disturbed_after: float = 0.0
    #: Whether jobs per second and memory are of interest.
    is_load: bool = False
    #: Fewer calls for a peer that would take too long, by the peer's name.
    fewer: Mapping[str, int] = field(default_factory=dict)
    #: Why a peer does not play, by its name.
    not_for: Mapping[str, str] = field(default_factory=dict)

    def calls_of(self, peer: str) -> int:
        return self.fewer.get(peer, self.calls)

    def prompt(self, number: int) -> str:
        """Return a call's prompt. None is contained in another."""
        return "a lantern over the harbour" if self.equal else f"lantern {number:04d} over the harbour"


def reversed_finish(calls: int, first: float, apart: float) -> list[float]:
    """Return durations with which calls that are started `CLOSE` together finish in reverse, `apart` seconds apart."""
    return [round(first + apart * (calls - 1 - n) - CLOSE * n, 3) for n in range(calls)]


OUTAGE_SECONDS = 3.0

BEHAVIOUR = (
    Scenario(
        name="equal-apart",
        title="4 equal prompts, finished in reverse, 1 s apart",
        calls=4,
        equal=True,
        bot={"durations": reversed_finish(4, 2.0, 1.0)},
    ),
    Scenario(
        name="equal-at-once",
        title="4 equal prompts, finished in reverse, 0.05 s apart",
        calls=4,
        equal=True,
        bot={"durations": reversed_finish(4, 2.0, 0.05)},
    ),
    Scenario(
        name="button",
        title="1 button pressed 4 times, finished in reverse, 1 s apart",
        calls=4,
        again=True,
        bot={"durations": reversed_finish(4, 2.0, 1.0)},
    ),
    Scenario(
        name="gateway",
        title="Gateway cut and refused for 3 s in the middle of jobs",
        calls=3,
        bot={"usual": 2.5},
        disturbance="refuse_gateway",
        disturbed_after=0.9,
    ),
    Scenario(
        name="untrue-429",
        title="429 once, and the job runs all the same",
        bot={"usual": 2.0},
        disturbance="untrue_429",
    ),
    Scenario(
        name="refused-ephemeral",
        title="prompt refused, in an answer that only the presser sees",
        bot={"refusal": "ephemeral"},
    ),
    Scenario(
        name="refused-reply",
        title="prompt refused, in a reply to the first message",
        bot={"refusal": "reply", "usual": 1.5},
    ),
    Scenario(
        name="killed",
        title="process killed in the middle of a job, and started again",
        bot={"usual": 3.0},
        disturbance="kill",
        disturbed_after=1.2,
    ),
)

_FEW = {ONE_AT_A_TIME: 40}


def loads(*, quick: bool) -> tuple[Scenario, ...]:
    """Return the scripts that are timed."""
    few, many = (50, 200) if quick else (200, 1000)
    return (
        Scenario(
            name=f"load-{few}",
            title=f"{few} distinct jobs, first message at once",
            calls=few,
            spacing=0.0,
            bot={"first": 0.0, "usual": 0.5},
            is_load=True,
            fewer=_FEW,
        ),
        Scenario(
            name=f"load-{few}-slow",
            title=f"{few} distinct jobs, first message after 0.1 s",
            calls=few,
            spacing=0.0,
            bot={"first": 0.1, "usual": 0.5},
            is_load=True,
            fewer=_FEW,
        ),
        Scenario(
            name=f"load-{many}",
            title=f"{many:,} distinct jobs, first message at once",
            calls=many,
            spacing=0.0,
            bot={"first": 0.0, "usual": 0.5},
            is_load=True,
            not_for={ONE_AT_A_TIME: "runs one job at a time; see the rows above"},
        ),
    )
