"""A caller's server."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from yarl import URL

from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import Callback, Delivery

TAKEN = Delivery(status=200, duration=timedelta(milliseconds=20))


class FakeClaim:
    """A `Claim` that nobody takes away."""

    async def confirm(self) -> None:
        return

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        yield


HELD = FakeClaim()


class FakeReceiver:
    """
    A `CallbackSender` that keeps what it is sent.

    `answers` are used up one by one; after them everything is taken. While `is_stuck`, every send waits in the
    middle for `unstick`.
    """

    def __init__(self) -> None:
        self.received: list[Callback] = []
        self.answers: deque[Delivery | Exception] = deque()
        self.at_once = 0
        self.most_at_once = 0
        self.most_at_one_host = 0
        self.at_host: Counter[str] = Counter()
        #: What each try was to be signed with.
        self.secrets: list[tuple[Secret, ...]] = []
        #: Host to what a send to it waits for.
        self.holds: dict[str, Callable[[], Awaitable[object]]] = {}
        #: Host to what a send to it always comes to.
        self.refusals: dict[str, Delivery] = {}
        self._go = asyncio.Event()
        self._go.set()

    def stick(self) -> None:
        self._go.clear()

    def unstick(self) -> None:
        self._go.set()

    async def send(self, callback: Callback, secrets: Sequence[Secret] = ()) -> Delivery:
        self.received.append(callback)
        self.secrets.append(tuple(secrets))
        host = URL(callback.url).host or ""
        self.at_host[host] += 1
        self.most_at_one_host = max(self.most_at_one_host, self.at_host[host])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._go.wait()
            if host in self.holds:
                await self.holds[host]()
        finally:
            self.at_once -= 1
            self.at_host[host] -= 1
        if host in self.refusals:
            return self.refusals[host]
        answer = self.answers.popleft() if self.answers else TAKEN
        if isinstance(answer, Exception):
            raise answer
        return answer
