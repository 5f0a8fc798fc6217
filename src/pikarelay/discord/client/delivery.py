"""
What a session has shown, on its way to the receiver: in order, one at a time, and kept until it was taken in.

A task of its own hands it over, so that a slow receiver delays neither heartbeats nor the reading of their answers. What
the receiver cannot take in now it is given again, and the rest waits behind it: no history has a hidden message.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

from pikarelay.discord.wire.session import SessionState
from pikarelay.errors import Unavailable
from pikarelay.jobs.messages import Sighting

#: How long the receiver may take over what is left, when stopping.
DELIVERY_SECONDS: Final = 5.0
#: Between two tries to hand over the same: at first, and at most.
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0


class Pending(NamedTuple):
    """A sighting that is not taken in yet."""

    sighting: Sighting
    #: What a session could be resumed with to see it again.
    before: SessionState | None


class Delivery:
    """Hands over from `start` to `stop`. What `stop` leaves is handed over after the next `start`."""

    def __init__(self, hand_over: Callable[[Sighting], Awaitable[None]]) -> None:
        """`hand_over` returns when the sighting was taken in. Raises `Unavailable` when that can be only later."""
        self._hand_over = hand_over
        #: The first is being handed over.
        self._pending: deque[Pending] = deque()
        self._news = asyncio.Event()
        #: Set when the task that runs is to end.
        self._ending = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        #: Held by who hands over: a task that was cancelled may not have ended when the next one begins.
        self._turn = asyncio.Lock()

    @property
    def oldest(self) -> Pending | None:
        """The oldest sighting that was not taken in yet. None when all were."""
        return self._pending[0] if self._pending else None

    def put(self, sighting: Sighting, before: SessionState | None) -> None:
        self._pending.append(Pending(sighting, before))
        self._news.set()

    def start(self) -> None:
        """Begin to hand over. A no-op while it is under way."""
        if self._running is None:
            self._ending = asyncio.Event()
            self._running = asyncio.create_task(self._run(self._ending), name="delivery")

    async def stop(self) -> None:
        """Hand over what was received, as far as the receiver takes it within some seconds, and at the first try."""
        if self._running is None:
            return
        ending, self._running = self._running, None
        self._ending.set()
        self._news.set()
        _, late = await asyncio.wait({ending}, timeout=DELIVERY_SECONDS)
        for task in late:
            task.cancel()

    async def _run(self, ending: asyncio.Event) -> None:
        async with self._turn:
            while True:
                self._news.clear()
                while self._pending:
                    if not await self._is_taken_in(self._pending[0].sighting, ending):
                        return
                    self._pending.popleft()
                if ending.is_set():
                    return
                await self._news.wait()

    async def _is_taken_in(self, sighting: Sighting, ending: asyncio.Event) -> bool:
        """Hand over until it is taken in. False when that is not to be waited for any more."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._hand_over(sighting)
            except Unavailable:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await ending.wait()
                if ending.is_set():
                    return False
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                return True
