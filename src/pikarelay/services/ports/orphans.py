"""Messages of the bot that were given to nobody, as they are kept."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from pikarelay.jobs.messages import BotMessage


class OrphanReason(StrEnum):
    """Why a message of the bot was given to no caller."""

    #: It is about one of several jobs, and nothing says about which.
    AMBIGUOUS = "ambiguous"
    #: It is about a job that had ended before.
    LATE = "late"


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the bot that brought something, and that no caller was shown."""

    message: BotMessage
    #: The Discord user who saw it.
    user_id: str
    seen: datetime
    reason: OrphanReason
    #: The jobs that it may be about; one when it came late.
    candidates: tuple[str, ...]


class OrphanStore(Protocol):
    """Orphans."""

    async def keep_orphan(self, orphan: Orphan) -> None:
        """Keep it, unless its message is kept already, is a job's, or is on a channel that another worker has taken over."""
        ...

    async def orphan(self, message_id: str) -> Orphan | None: ...

    async def orphans(self, channel: str | None = None) -> tuple[Orphan, ...]:
        """Return one channel's orphans, or all, oldest message first."""
        ...
