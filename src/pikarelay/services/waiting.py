"""Waiting for something, but not for ever."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from pikarelay.services.ports import Clock

T = TypeVar("T")


async def wait(event: asyncio.Event, at_most: timedelta, clock: Clock) -> None:
    """Return when the event is set, or when time is up. Leaves the event as it is."""
    with suppress(TimeoutError):
        await within(event.wait(), at_most, clock)


async def within(work: Coroutine[Any, Any, T], at_most: timedelta, clock: Clock) -> T:
    """Return what the work comes to. Raises `TimeoutError` when time is up before; the work is cancelled then."""
    try:
        return await unless(clock.sleep(at_most), work)
    except OvertakenError:
        raise TimeoutError from None


class OvertakenError(Exception):
    """Something came to its end before the work did."""


async def unless(over: Coroutine[Any, Any, Any], work: Coroutine[Any, Any, T]) -> T:
    """Return what the work comes to. Raises `OvertakenError` when `over` comes to its end before; the work is cancelled then."""
    # Two tasks, and no callback of the other's: one that is cancelled must not do anything afterwards.
    working, end = asyncio.ensure_future(work), asyncio.ensure_future(over)
    try:
        await asyncio.wait({working, end}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise OvertakenError
        return working.result()
    finally:
        working.cancel()
        end.cancel()
