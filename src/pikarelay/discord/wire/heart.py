"""The heartbeat of one Gateway connection: when the next is due, and whether the last was answered."""

from typing import Final

#: A heartbeat may be sent early, never late: the server counts from when it arrives.
_EARLY: Final = 0.95


class Heart:
    """
    Starts with HELLO; `beat` when `due`.

    Discord wants the first heartbeat after a random part of the interval, so that clients which reconnect together do not
    beat together.
    """

    def __init__(self, interval_ms: float, now: float, jitter: float) -> None:
        self._interval = max(interval_ms, 1.0) / 1000 * _EARLY
        self.due = now + self._interval * jitter
        self._is_answered = True

    def beat(self, now: float) -> bool:
        """Count a heartbeat sent now. False when the one before was never answered: the connection is dead."""
        was_answered, self._is_answered = self._is_answered, False
        self.due = now + self._interval
        return was_answered

    def acknowledge(self) -> None:
        self._is_answered = True
