"""What all background loops have in common: they start, they stop, and one bad round does not end them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

_log = structlog.get_logger(__name__)


class Loop:
    """
    Runs `once` again and again in a task of its own.

    `once` does one round and returns when it is time for the next; it waits for its own reasons. An exception is a defect,
    logged with its traceback, and the loop goes on after a short pause: jobs of others depend on it.
    """

    def __init__(
        self, name: str, once: Callable[[], Awaitable[None]], pause_after_error: float = 1.0
    ) -> None:
        self._name = name
        self._once = once
        self._pause_after_error = pause_after_error
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Return when the loop has ended; a round under way is cancelled."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._once()
            except Exception:  # noqa: BLE001 - whatever it is, the next round must come
                _log.exception("worker.round_failed", worker=self._name)
                await asyncio.sleep(self._pause_after_error)
