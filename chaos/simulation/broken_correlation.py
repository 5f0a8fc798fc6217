"""Ways to break how the core tells whose a message is."""

from typing import Any

import msgspec

from chaos.breaks import Break
from pikarelay.jobs import correlation, turns
from pikarelay.jobs.correlation import Match
from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.messages import InteractionAnswered
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.observe_message import SightingObserver
from pikarelay.services.press_floor import PressFloor
from pikarelay.workers.presser import Lane


def floors_ignored() -> list[Break]:
    """A message from before a press may be about it."""
    return [(correlation, "is_after", lambda snowflake, _floor: snowflake.isdecimal())]


def first_come() -> list[Break]:
    """What fits several is the first one's."""

    def first(_message: Any, fitting: Any, link: Any, _jobs: Any) -> Match:
        return Match(fitting[0].job_id, link)

    return [(correlation, "_only", first)]


def ghosts_forgotten() -> list[Break]:
    """What an ended job has left at Discord is not reckoned with."""
    return [
        (Deadlines, "is_ghost", lambda _self, _job, _now: False),
        (Deadlines, "may_be_about", lambda _self, _ghost, _message_id: False),
    ]


def ghosts_of_now() -> list[Break]:
    """What a message can be about depends on when it is heard."""
    look_for = ChannelView.look_for

    async def look_now(self: Any, message: Any) -> Any:
        known = await look_for(self, message)
        now, allowed = self._clock.now(), self._deadlines.allowed
        there = tuple(ghost for ghost in known.ghosts if now - ghost.press.sent < allowed(ghost))
        return msgspec.structs.replace(known, ghosts=there)

    return [(ChannelView, "look_for", look_now)]


def ids_unseen() -> list[Break]:
    """What is old is told by a clock alone."""
    return [(PressFloor, "see", lambda _self, _snowflake: None)]


def ghosts_not_looked_for() -> list[Break]:
    """A ghost of which nothing was heard for long enough is not reckoned with, read or not."""
    return [(turns, "_is_known_to_be_slow", lambda job, now, _reading: turns._is_slow(job, now))]


def commands_not_found() -> list[Break]:
    """An answer to a command whose interaction is not known is nobody's."""
    may = correlation._may_be_the_press

    def only_buttons(message: Any, job: Any) -> bool:
        return job.press.parent_message_id is not None and may(message, job)

    return [(correlation, "_may_be_the_press", only_buttons)]


def mentions_quoted() -> list[Break]:
    """The number of whoever is mentioned is a quotation, and a longer prompt wins over none."""

    def normalise(text: str) -> str:
        return "".join(c for c in text.casefold() if c.isalnum())

    def longest(content: str, jobs: Any) -> list[Any]:
        said = normalise(content)
        quoted = [job for job in jobs if normalise(job.text) in said]
        most = max((normalise(job.text) for job in quoted), key=len, default="")
        return [job for job in quoted if normalise(job.text) == most]

    return [(correlation, "normalise", normalise), (correlation, "_most_quoted", longest)]


def acknowledgements_ignored() -> list[Break]:
    """That the bot acknowledged an interaction does not prove it."""
    observe = SightingObserver.observe

    async def deaf(self: Any, identity: Any, sighting: Any) -> None:
        if not isinstance(sighting, InteractionAnswered):
            await observe(self, identity, sighting)

    return [(SightingObserver, "observe", deaf)]


# Whose turn is it


def alike_side_by_side() -> list[Break]:
    """Presses that could be mistaken for each other run at once."""
    return [(turns, "_are_alike", lambda _one, _other: False)]


def acknowledged_is_announced() -> list[Break]:
    """One that is only acknowledged holds up nobody."""
    return [(turns, "_is_to_be_announced", lambda _job, _now, _reading: False)]


def given_up_in_line() -> list[Break]:
    """What was given up stays in its lane."""

    def see(self: Any, _job: Any) -> None:
        self._changed.set()

    return [(Lane, "_see", see)]
