"""
Discord's clock, estimated from the `Date` header of its answers.

The header is whole seconds, cut off. An answer that was asked for at `sent` and came at `received` (by a clock of ours) therefore
says: Discord's clock is ahead of ours by at least `Date - received` and at most `Date + 1 s - sent`. Every answer
narrows that range; the estimate is its middle. One that contradicts the range (somebody set a clock) starts it anew.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_SECOND = timedelta(seconds=1)


class ServerClock:
    """Collects answers."""

    def __init__(self) -> None:
        self._range: tuple[timedelta, timedelta] | None = None

    @property
    def is_known(self) -> bool:
        """Whether there was an answer."""
        return self._range is not None

    @property
    def offset(self) -> timedelta:
        """How far Discord's clock is ahead of ours; zero before the first answer."""
        if self._range is None:
            return timedelta()
        return (self._range[0] + self._range[1]) / 2

    def learn(self, date: str | None, sent: datetime, received: datetime) -> None:
        """Take the `Date` of one answer. A missing or malformed one teaches nothing."""
        moment = _parsed(date)
        if moment is None or received < sent:
            return
        least, most = moment - received, moment + _SECOND - sent
        if self._range is not None:
            narrowed = max(least, self._range[0]), min(most, self._range[1])
            if narrowed[0] <= narrowed[1]:
                least, most = narrowed
        self._range = least, most


def _parsed(date: str | None) -> datetime | None:
    if date is None:
        return None
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
