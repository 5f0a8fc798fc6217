"""Looking at something that takes time, for whoever asks: never twice at once, and not more often than is of use."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """What a look found, for so many seconds; whoever asks while one is under way gets what it finds."""

    def __init__(
        self, look: Callable[[], Awaitable[T]], good_for_seconds: float, seconds: Callable[[], float]
    ) -> None:
        """`seconds` is a clock that only goes forward."""
        self._look = look
        self._good_for_seconds = good_for_seconds
        self._seconds = seconds
        self._looking = asyncio.Lock()
        #: What was found, and when; None before the first look.
        self._found: tuple[T, float] | None = None

    async def get(self) -> T:
        """Return what is remembered, or look. Raises what the look raises, and remembers nothing of that."""
        async with self._looking:
            if self._found is None or self._seconds() - self._found[1] >= self._good_for_seconds:
                self._found = (await self._look(), self._seconds())
            return self._found[0]


class StillAsking(Exception):
    """The answer has not come in time; it is still waited for."""


class Patient(Generic[T]):
    """A question that may be stuck: the next one who asks waits for the same answer, so there is never more than one."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._asking: asyncio.Task[T] | None = None

    async def ask(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the answer. Raises `StillAsking` when it does not come in time, and what the question raises."""
        if self._asking is None:
            self._asking = asyncio.create_task(question())
        await asyncio.wait({self._asking}, timeout=self._patience_seconds)
        if not self._asking.done():
            raise StillAsking
        answered, self._asking = self._asking, None
        return answered.result()
