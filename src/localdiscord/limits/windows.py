"""
Windows of time in which so many calls are allowed, and the windows a 429 opens. Pure: time is an argument.

All times are seconds on one monotonic clock.
"""

from collections import deque
from dataclasses import dataclass, field

#: A request already on its way when its neighbour got the 429 is nobody's fault.
IN_FLIGHT_SECONDS = 0.1
#: Timers of clients may fire this much early.
EARLY_SECONDS = 0.02


@dataclass(slots=True)
class SlidingCount:
    """Counts calls of the last `seconds`."""

    limit: int
    seconds: float
    _calls: deque[float] = field(default_factory=deque)

    def add(self, now: float) -> float:
        """
        Count one call, and return 0 when it is allowed.

        Otherwise it is not counted, and the answer is the seconds until one is.
        """
        self._forget(now)
        if len(self._calls) >= self.limit:
            return self._calls[0] + self.seconds - now
        self._calls.append(now)
        return 0.0

    def size(self, now: float) -> int:
        self._forget(now)
        return len(self._calls)

    def _forget(self, now: float) -> None:
        while self._calls and self._calls[0] <= now - self.seconds:
            self._calls.popleft()


@dataclass(slots=True)
class Bucket:
    """A fixed window of one route, as the X-RateLimit headers tell it."""

    limit: int
    seconds: float
    remaining: int = 0
    resets_at: float = 0.0

    def take(self, now: float) -> bool:
        """Spend one call of the window, opening a new one when the last has ended; False when none is left."""
        if now >= self.resets_at - EARLY_SECONDS:
            self.remaining, self.resets_at = self.limit, now + self.seconds
        if self.remaining == 0:
            return False
        self.remaining -= 1
        return True


@dataclass(slots=True)
class ClosedUntil:
    """The running windows of 429s, by whatever they close."""

    _until: dict[str, tuple[float, float]] = field(default_factory=dict)

    def close(self, key: str, now: float, seconds: float) -> None:
        opened = self._until[key][0] if self.left(key, now) else now
        self._until[key] = (opened, now + seconds)

    def left(self, key: str, now: float) -> float:
        """Return the seconds left of the window of `key`, 0 when it is open."""
        if key not in self._until:
            return 0.0
        left = self._until[key][1] - now - EARLY_SECONDS
        if left > 0:
            return left
        del self._until[key]
        return 0.0

    def was_in_flight(self, key: str, now: float) -> bool:
        """Tell whether the window is so young that this request may have been sent before it."""
        return key in self._until and now - self._until[key][0] <= IN_FLIGHT_SECONDS
