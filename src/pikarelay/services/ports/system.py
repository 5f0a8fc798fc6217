"""The time, and fresh identifiers."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The time, and a pause. The tests' clock moves when it is told to."""

    def now(self) -> datetime:
        """Return the time in UTC, to the millisecond."""
        ...

    def elapsed(self) -> timedelta:
        """Return the time since some moment, a machine's sleep included. Setting the clock does not change it."""
        ...

    async def sleep(self, delay: timedelta) -> None: ...


class Ids(Protocol):
    """Fresh identifiers."""

    def job_id(self) -> str:
        """Return a new job's id: URL-safe, unguessable, sortable by time."""
        ...

    def callback_id(self) -> str:
        """Return a new callback's id, which it keeps for every try."""
        ...

    def file_id(self) -> str:
        """Return a new id for a job's files: URL-safe and unguessable, for whoever knows it may read them."""
        ...

    def nonce(self) -> str:
        """Return a snowflake for an interaction, strictly greater than the one before."""
        ...
