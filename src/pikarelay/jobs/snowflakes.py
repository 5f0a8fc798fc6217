"""Discord's ids: milliseconds since the first second of 2015, and 22 bits that only make them unique."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
LOW_BITS = 22
#: Discord stamps ids with its own clock, which we only estimate.
CLOCK_DOUBT = timedelta(seconds=2)
_MILLISECOND = timedelta(milliseconds=1)


def first_of(moment: datetime) -> int:
    """Return the smallest snowflake of that millisecond."""
    return ((moment - _EPOCH) // _MILLISECOND) << LOW_BITS


def moment_of(snowflake: str) -> datetime:
    """Return when the id was made, by Discord's clock."""
    return _EPOCH + (int(snowflake) >> LOW_BITS) * _MILLISECOND


def is_after(snowflake: str, floor: str) -> bool:
    """Whether the first is a later id than the second. Never true for a text that is no id."""
    return snowflake.isdecimal() and floor.isdecimal() and int(snowflake) > int(floor)
