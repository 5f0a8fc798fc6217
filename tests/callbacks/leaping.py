"""
An event loop with real sockets, whose clock leaps over the time in which nothing happens.

Everything is as ever but this: before the loop goes to sleep until its next timer, it looks whether anything has come on a
socket, and if nothing has for some milliseconds, the clock is put forward to that timer. What was sent over loopback is
there by then, so nothing is leapt over but waiting. Threads are not waited for: nothing that a test does may need one.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

#: For so long nothing must have come.
_STILL_SECONDS = 0.005


class _Leaping(selectors.DefaultSelector):  # type: ignore[valid-type,misc]  # whichever the system has
    """A selector that reports how long it would have waited, instead of waiting."""

    leapt = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= _STILL_SECONDS:
            return list(super().select(timeout))
        if not (found := super().select(_STILL_SECONDS)):
            self.leapt += timeout - _STILL_SECONDS
        return list(found)


class LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return super().time() + self._leaping.leapt


def run_leaping(work: Coroutine[Any, Any, T]) -> T:
    """Run it on such a loop."""
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        return runner.run(work)
