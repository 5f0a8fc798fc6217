"""
The ledger: what happened in the world, in order, for a judge outside.

Append-only. From it one can say which press caused which message, how often a nonce was pressed, and when a
frame left for a session.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from localdiscord.clock import Clock


class Ledger:
    """Entries `{seq, time, monotonic_ns, event, …}`; `seq` counts from 1."""

    def __init__(self, clock: Clock, monotonic_ns: Callable[[], int]) -> None:
        self._clock = clock
        self._monotonic_ns = monotonic_ns
        self._entries: list[dict[str, Any]] = []
        #: Presses by nonce, duplicates included: a value over 1 is a double press.
        self.presses: Counter[str] = Counter()

    def note(self, event: str, **details: Any) -> None:
        """Append an entry, stamped now."""
        self._entries.append(
            {
                "seq": len(self._entries) + 1,
                "time": self._clock.now(),
                "monotonic_ns": self._monotonic_ns(),
                "event": event,
                **details,
            }
        )

    def since(self, seq: int, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the entries after `seq`, oldest first."""
        return self._entries[seq : None if limit is None else seq + limit]

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return all entries of one event."""
        return [entry for entry in self._entries if entry["event"] == event]

    def __len__(self) -> int:
        return len(self._entries)
