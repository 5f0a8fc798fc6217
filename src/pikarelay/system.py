"""
What only the operating system can give: the time, and randomness.

Floor 3, like every other adapter. Tests hand in fakes of the same ports instead.
"""

import asyncio
import os
import resource
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pikarelay.jobs.snowflakes import LOW_BITS, first_of

#: Linux stops its monotonic clock while the machine sleeps, and has this one beside it.
_WAKE_AND_SLEEP = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_BITS = 48
_RANDOM_BITS = 80
_ID_CHARACTERS = 26


class SystemClock:
    """The machine's clock, in UTC and whole milliseconds, as times are stored."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)

    def elapsed(self) -> timedelta:
        return timedelta(microseconds=time.clock_gettime_ns(_WAKE_AND_SLEEP) // 1000)

    async def sleep(self, delay: timedelta) -> None:
        await asyncio.sleep(delay.total_seconds())


class SystemIds:
    """Identifiers from the clock and the system's randomness."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._last_nonce = 0

    def job_id(self) -> str:
        """48 bits of time and 80 of randomness in 26 letters and digits: sortable, unguessable, safe in a URL or file name."""
        return self._sortable_id()

    def callback_id(self) -> str:
        return "cb_" + self._sortable_id()

    def file_id(self) -> str:
        """130 bits of randomness, and nothing else: an id with a time in it is half guessed."""
        return _text(secrets.randbits(5 * _ID_CHARACTERS))

    def nonce(self) -> str:
        """
        A snowflake of now; the next one up when the clock has not moved, or has moved back.

        Its low bits are drawn, so that processes side by side hardly ever make the same one.
        """
        drawn = first_of(self._now()) | secrets.randbits(LOW_BITS)
        self._last_nonce = max(drawn, self._last_nonce + 1)
        return str(self._last_nonce)

    def _sortable_id(self) -> str:
        milliseconds = int(self._now().timestamp() * 1000)
        number = (milliseconds & ((1 << _TIME_BITS) - 1)) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        return _text(number)


def _text(number: int) -> str:
    return "".join(_BASE32[number >> shift & 31] for shift in range(5 * (_ID_CHARACTERS - 1), -1, -5))


def free_bytes(folder: Path) -> int:
    """Return how much room the disk of a folder has for this process."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def disk_bytes(folder: Path) -> int:
    """Return how large the disk of a folder is, for this process."""
    disk = os.statvfs(folder)
    # As `df` reckons: what is kept for root is neither used nor there.
    return (disk.f_blocks - disk.f_bfree + disk.f_bavail) * disk.f_frsize


def raise_descriptor_limit(wanted: int) -> int:
    """Let this process open so many descriptors, or as many as it may. Returns how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return wanted if soft == resource.RLIM_INFINITY else soft
