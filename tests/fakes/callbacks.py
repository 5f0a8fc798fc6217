"""A caller's server."""

import asyncio
from collections import deque
from datetime import timedelta

from pikarelay.services.ports import Callback, Delivery

TAKEN = Delivery(status=200, duration=timedelta(milliseconds=20))


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
        self._go = asyncio.Event()
        self._go.set()

    def stick(self) -> None:
        self._go.clear()

    def unstick(self) -> None:
        self._go.set()

    async def send(self, callback: Callback) -> Delivery:
        self.received.append(callback)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._go.wait()
        finally:
            self.at_once -= 1
        answer = self.answers.popleft() if self.answers else TAKEN
        if isinstance(answer, Exception):
            raise answer
        return answer
