"""A gate that lets jobs finish in a given order, whatever the order in which they came and how long they took."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager


class _Group:
    """As many jobs as the order names. One place after the other may pass."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = order
        self._passed: set[int] = set()
        self._open = [asyncio.Event() for _ in order]
        self._joined = 0
        self._let_on()

    @property
    def is_full(self) -> bool:
        return self._joined == len(self._order)

    @property
    def is_over(self) -> bool:
        return len(self._passed) == len(self._order)

    def join(self) -> int:
        self._joined += 1
        return self._joined - 1

    async def wait(self, place: int) -> None:
        await self._open[place].wait()

    def leave(self, place: int) -> None:
        self._passed.add(place)
        self._let_on()

    def dissolve(self) -> None:
        for event in self._open:
            event.set()

    def _let_on(self) -> None:
        for place in self._order:
            if place not in self._passed:
                self._open[place].set()
                return


class Turn:
    """One job's place in its group."""

    def __init__(self, group: _Group | None) -> None:
        self._group = group
        self._place = group.join() if group else 0

    async def wait(self) -> None:
        """Return when all that finish before this one have left."""
        if self._group:
            await self._group.wait(self._place)

    def leave(self) -> None:
        """Let the next one finish."""
        if self._group:
            self._group.leave(self._place)


class FinishOrder:
    """Groups jobs as they come, `len(order)` at a time; with an empty order everybody passes at once."""

    def __init__(self, order: Sequence[int]) -> None:
        self._order = order
        self._groups: list[_Group] = []

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Hold a place from here to the end of the block. Joins at once; the block says when to `wait`."""
        turn = Turn(self._group() if self._order else None)
        try:
            yield turn
        finally:
            turn.leave()

    def dissolve(self) -> None:
        """Let everybody pass who still waits."""
        for group in self._groups:
            group.dissolve()

    def _group(self) -> _Group:
        self._groups = [group for group in self._groups if not group.is_over]
        if not self._groups or self._groups[-1].is_full:
            self._groups.append(_Group(self._order))
        return self._groups[-1]
