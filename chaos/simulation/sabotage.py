"""
Promises of the core broken on purpose, to prove that the simulation notices; some of them are mistakes that were made once.

Each is applied to this process, and taken back.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from chaos.breaks import Break, press_before_note
from chaos.simulation import broken_correlation as correlation
from chaos.simulation import broken_lifecycle as lifecycle
from chaos.simulation.plan import Plan, draw


@dataclass(frozen=True)
class Sabotage:
    """What is broken, and how a violation begins that shows it."""

    breaks: Callable[[], list[Break]]
    shows: str
    #: What a plan is made to be, where the trouble that shows it is rare.
    trouble: Mapping[str, Any] = field(default_factory=dict)

    def plan(self, seed: int) -> Plan:
        """Return the seed's history, with that trouble."""
        return replace(draw(seed), **self.trouble)


@contextmanager
def applied(name: str | None) -> Iterator[None]:
    """Break what has this name inside the block; None: nothing."""
    breaks = SABOTAGES[name].breaks() if name else []
    whole = [(where, attribute, getattr(where, attribute)) for where, attribute, _ in breaks]
    for where, attribute, broken in breaks:
        setattr(where, attribute, broken)
    try:
        yield
    finally:
        for where, attribute, value in whole:
            setattr(where, attribute, value)


#: Many jobs alike, and a bot that is always in time.
_ONE_PROMPT: dict[str, Any] = {
    "prompts": ("a red kite",),
    "requests": 9,
    "max_jobs": 10,
    "by_hand": False,
    "is_late": False,
    "slow_share": 0.0,
    "announcing": (0.5, 3.0),
    "working": (3.0, 20.0),
}
_LOST = {"event_fates": ("lost",), "event_trouble": 0.4}
#: Many cancelled jobs of a bot that quotes, and enough time for all of them.
_GHOSTS: dict[str, Any] = {
    **_ONE_PROMPT,
    "manners": ("plain",),
    "cancelling": 0.7,
    "working": (25.0, 60.0),
    "first_message": timedelta(seconds=20),
    "whole_job": timedelta(seconds=240),
}

SABOTAGES: dict[str, Sabotage] = {
    "floors_ignored": Sabotage(correlation.floors_ignored, "video"),
    "first_come": Sabotage(correlation.first_come, "video"),
    "ghosts_forgotten": Sabotage(correlation.ghosts_forgotten, "video"),
    "ghosts_of_now": Sabotage(correlation.ghosts_of_now, "video", {**_GHOSTS, "announcing": (4.0, 9.0)}),
    "ghosts_not_looked_for": Sabotage(
        correlation.ghosts_not_looked_for,
        "video",
        {
            **_GHOSTS,
            "requests": 4,
            "event_fates": ("lost_with_gap", "lost"),
            "event_trouble": 0.6,
            "read_trouble": 0.3,
        },
    ),
    "ids_unseen": Sabotage(
        correlation.ids_unseen,
        "message",
        {
            **_ONE_PROMPT,
            "manners": ("plain",),
            "event_fates": ("delayed",),
            "event_trouble": 0.4,
            "press_interval": timedelta(seconds=0.02),
            "announcing": (0.1, 0.5),
            "working": (0.3, 0.8),
        },
    ),
    "commands_not_found": Sabotage(correlation.commands_not_found, "video"),
    "mentions_quoted": Sabotage(correlation.mentions_quoted, "video", {"prompts": ("7", ""), "requests": 9}),
    "acknowledgements_ignored": Sabotage(
        correlation.acknowledgements_ignored,
        "video",
        {
            **_ONE_PROMPT,
            **_LOST,
            "manners": ("plain",),
            "press_fates": ("false_429", "5xx_after"),
            "press_trouble": 0.6,
        },
    ),
    "alike_side_by_side": Sabotage(correlation.alike_side_by_side, "video"),
    "acknowledged_is_announced": Sabotage(
        correlation.acknowledged_is_announced,
        "video",
        {**_ONE_PROMPT, "manners": ("respond", "respond", "respond", "reply"), "announcing": (5.0, 9.0)},
    ),
    "given_up_in_line": Sabotage(
        correlation.given_up_in_line,
        "leak",
        {**_ONE_PROMPT, **_LOST, "manners": ("plain",), "cancelling": 0.7},
    ),
    "marked_after": Sabotage(press_before_note, "press"),
    "pressed_again": Sabotage(lifecycle.pressed_again, "press"),
    "waiting_forgotten": Sabotage(lifecycle.waiting_forgotten, "turn"),
    "keys_ignored": Sabotage(lifecycle.keys_ignored, "request"),
    "no_limit": Sabotage(lifecycle.no_limit, "capacity"),
    "no_reconciling": Sabotage(lifecycle.no_reconciling, "video"),
    "no_histories": Sabotage(lifecycle.no_histories, "video"),
    "no_deadlines": Sabotage(lifecycle.no_deadlines, "liveness"),
    "impatient": Sabotage(lifecycle.impatient, "deadline"),
    "unread_is_empty": Sabotage(
        lifecycle.unread_is_empty,
        "video",
        {"read_trouble": 0.6, "event_fates": ("lost",), "event_trouble": 0.9},
    ),
    "delivered_before_sent": Sabotage(lifecycle.delivered_before_sent, "callback"),
    "new_id_each_try": Sabotage(lifecycle.new_id_each_try, "callback"),
    "callback_before_answer": Sabotage(lifecycle.callback_before_answer, "callback"),
    "dropped_while_paused": Sabotage(lifecycle.dropped_while_paused, "callback"),
    "endings_overwritten": Sabotage(lifecycle.endings_overwritten, "status"),
    "admissions_abandoned": Sabotage(
        lifecycle.admissions_abandoned, "turn", {"hanging_up": 0.9, "store_wait": 0.5}
    ),
}
