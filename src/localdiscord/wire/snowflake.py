"""Snowflakes: 64-bit ids that begin with the time. Layout from Discord's documentation, as of 2026-08."""

from datetime import UTC, datetime

#: The first second of 2015, in Unix milliseconds.
EPOCH_MS = 1_420_070_400_000


def first_of(unix_seconds: float) -> int:
    """Return the smallest snowflake of that millisecond."""
    return (int(unix_seconds * 1000) - EPOCH_MS) << 22


def time_of(snowflake: int) -> float:
    """Return the Unix time, in seconds, at which the snowflake was made."""
    return ((snowflake >> 22) + EPOCH_MS) / 1000


def iso(unix_seconds: float) -> str:
    """Return the ISO 8601 form Discord uses: microseconds and an explicit `+00:00`."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="microseconds")
