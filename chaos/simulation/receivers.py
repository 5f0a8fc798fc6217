"""Callers' servers, and the way to them."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from random import Random

from chaos.simulation.book import Book, Try
from chaos.simulation.loop import VirtualLoop
from chaos.simulation.plan import Plan
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import Callback, Delivery

#: How long a try may take in all.
_TOTAL_SECONDS = 60.0
#: What each fate looks like from the server: HTTP status and error.
_SEEN: dict[str, tuple[int | None, str | None]] = {
    "": (200, None),
    "connect": (None, "connect"),
    "http_500": (500, "http_500"),
    "http_429": (429, "http_429"),
    "http_410": (410, "http_410"),
    "timeout": (None, "timeout"),
    "protocol_taken": (None, "protocol"),
}


class Receivers:
    """Takes callbacks in, where they come in."""

    def __init__(self, plan: Plan, book: Book, loop: VirtualLoop) -> None:
        self._plan = plan
        self._book = book
        self._loop = loop
        self._chance = Random(f"{plan.seed} receivers")

    async def take(self, callback: Callback, life: int) -> Delivery:
        """Take one POST in, in the world: what has left a server comes in, whatever becomes of the server."""
        chance = self._chance
        await asyncio.sleep(chance.choice((0.01, 0.1)))
        fate = self._fate()
        came_in = fate != "connect"
        if came_in:
            was_taken = fate in {"", "protocol_taken"}
            self._book.note("receiver", "gets {} and does: {}", callback.job_id, fate or "200")
            self._book.tries[callback.job_id].append(
                Try(self._book.now, self._book.next_order(), callback, life, was_taken, fate == "")
            )
            if fate == "http_410":
                self._book.gone.add(callback.job_id)
            self._book.moment("callback arrives")
        wait = _TOTAL_SECONDS if fate == "timeout" else chance.choice((0.01, 0.1, 2.0, 20.0))
        await asyncio.sleep(wait if came_in else 0.01)
        self._book.moment("callback answered")
        status, error = _SEEN[fate]
        hint = timedelta(seconds=chance.choice((1, 7))) if fate == "http_429" else None
        return Delivery(
            status=status, error=error, retry_after=hint, duration=timedelta(seconds=wait), answer="ok"
        )

    def _fate(self) -> str:
        if self._book.calm is not None:
            return ""
        now = self._loop.time()
        if any(outage.begin <= now < outage.end for outage in self._plan.receiver_outages):
            return "connect"
        if self._chance.random() >= self._plan.receiver_trouble:
            return ""
        return self._chance.choice(self._plan.receiver_fates)


class Sender:
    """The port `CallbackSender`: the server's end of the way. Dies with its process."""

    def __init__(self, receivers: Receivers, book: Book, loop: VirtualLoop) -> None:
        self._receivers = receivers
        self._book = book
        self._loop = loop
        self._life = len(book.starts)

    async def send(self, callback: Callback, secrets: Sequence[Secret] = ()) -> Delivery:
        self._book.sends[callback.job_id] += 1
        self._book.moment("callback leaves")
        await asyncio.sleep(0)
        coming = self._receivers.take(callback, self._life)
        return await asyncio.shield(self._loop.in_world(coming))
