"""Discord's ids: a time in milliseconds since 2015, shifted left by 22 bits. Kept as decimal strings."""

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(2015, 1, 1, tzinfo=UTC)

_MILLISECOND = timedelta(milliseconds=1)
_SHIFT = 22


def snowflake_at(moment: datetime) -> str:
    """Return the smallest snowflake of that millisecond; `"0"` for any time before Discord's epoch."""
    return str(max(0, (moment - EPOCH) // _MILLISECOND) << _SHIFT)


def moment_of(snowflake: str) -> datetime:
    """Return when the snowflake was made, to the millisecond, in UTC."""
    return EPOCH + (int(snowflake) >> _SHIFT) * _MILLISECOND
