"""What a store tells of its changes to all who share it."""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import msgspec


class News(StrEnum):
    """What has changed."""

    #: A job was admitted, and its press waits.
    ADMITTED = "admitted"
    #: A job was answered by the bot, or its press was refused: whoever waits for it looks again.
    CHANGED = "changed"
    #: A job has ended.
    ENDED = "ended"
    #: Accounts were set up or removed.
    ACCOUNTS = "accounts"
    #: A callback may be due.
    CALLBACKS = "callbacks"
    #: A worker has come or gone, or let something go.
    WORKERS = "workers"
    #: Something may have been told that was not heard: look at everything.
    MISSED = "missed"


class Announcement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Told after the change is committed, to every node. May be lost, so nothing may rest on it but speed."""

    news: News
    job_id: str = ""
    channel: str = ""
    #: Whether an ended job leaves something to do: a callback, or copies. True also where that is not known.
    leaves_work: bool = True


Hear = Callable[[Announcement], None]


class Announcer(Protocol):
    """Who tells."""

    def subscribe(self, hear: Hear) -> None:
        """Call `hear` in the event loop with each announcement from now on, this node's own included."""
        ...
