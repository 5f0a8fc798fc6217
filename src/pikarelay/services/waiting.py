"""Waiting for something, but not for ever."""

import asyncio
from datetime import timedelta

from pikarelay.services.ports import Clock


async def wait(event: asyncio.Event, at_most: timedelta, clock: Clock) -> None:
    """Return when the event is set, or when time is up. Leaves the event as it is."""
    # Two tasks, and no callback of one on the other's event: a cancelled timer must not set it afterwards.
    both = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(at_most))}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
