"""
An event loop without a machine: its time moves only when nothing is left to do, and processes in it can be killed.

What runs in a process is known by its context, which tasks, timers and callbacks inherit. A killed process is never run again:
nothing of it is cancelled, no `finally` gets its turn, exactly as after SIGKILL. What it had handed to the world goes on.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

_process: ContextVar["Process | None"] = ContextVar("process", default=None)


class Stalled(Exception):
    """What was waited for has not come, and nobody has anything to do any more, or there has been time enough."""


class Process:
    """Something that can die between any two of its steps."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop
        self.context = copy_context()
        self.context.run(_process.set, self)
        self.is_dead = False
        #: How often something of it was run.
        self.steps = 0
        #: At that step it dies instead. None: it does not.
        self.dies_at: int | None = None
        #: Called once, when it dies.
        self.on_death: Callable[[], object] = lambda: None
        #: Every task that it ever made, so that none is collected, and closed, before the history is over.
        self.tasks: list[asyncio.Task[Any]] = []

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run this in the process; from anywhere."""
        return self._loop.create_task(work, context=self.context)

    def kill(self) -> None:
        if not self.is_dead:
            self.is_dead = True
            self.on_death()

    def bury(self) -> None:
        """Close what it was doing, after all is over: Python wants no coroutine left in the middle."""
        for task in self.tasks:
            if not task.done():
                # What it does in its last moment reaches nobody.
                with suppress(BaseException):
                    task.get_coro().close()
        self.tasks.clear()

    def step(self) -> bool:
        """Whether it lives to do one more."""
        if self.is_dead:
            return False
        self.steps += 1
        if self.steps == self.dies_at:
            self.kill()
        return not self.is_dead


class _Handle:
    __slots__ = ("_when", "args", "callback", "context")

    def __init__(self, callback: Any, args: tuple[Any, ...], context: Context | None, when: float) -> None:
        #: None once it is cancelled.
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self._when = when

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.callback is None

    def when(self) -> float:
        return self._when


class _Task(asyncio.Task[T]):
    """A task whose hash is its number: sets of tasks are gone through in the same order in each run."""

    number: int

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class VirtualLoop(asyncio.AbstractEventLoop):
    """What asyncio needs of a loop, and no more."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._order = count()
        self._numbers = count(1)
        self._world = copy_context()
        self._is_over = False
        #: What nobody caught, in a sentence each.
        self.uncaught: list[str] = []

    # What asyncio asks for

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._is_over

    def is_closed(self) -> bool:
        return self._is_over

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = _Handle(callback, args, context, self._now)
        if not self._is_over:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        handle = _Handle(callback, args, context, when)
        if not self._is_over:
            heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None
    ) -> "asyncio.Task[Any]":
        # The number comes first: a task is hashed while it is made.
        task: _Task[Any] = _Task.__new__(_Task)
        task.number = next(self._numbers)
        context = copy_context() if context is None else context
        task.__init__(coro, loop=self, name=name or "task", context=context)  # type: ignore[misc]
        process = context.get(_process)
        if process is not None:
            process.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._is_over:
            self.uncaught.append(f"{context['message']}: {context.get('exception')!r}")

    # What the simulation asks for

    def in_world(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run this outside of all processes, so that it outlives whoever began it."""
        return self.create_task(work, context=self._world)

    def soon_in_world(self, delay: float, callback: Callable[..., object], *args: Any) -> None:
        self.call_later(delay, callback, *args, context=self._world)

    def run(self, work: Coroutine[Any, Any, T], at_most: float) -> T:
        """Run the world until this is done, for so many seconds at most. Raises what it raises, and `Stalled`."""
        asyncio._set_running_loop(self)
        try:
            main = self.in_world(work)
            ready, timers = self._ready, self._timers
            while not main.done():
                if not ready:
                    if not timers or timers[0][0] > at_most:
                        raise Stalled
                    self._now = max(self._now, timers[0][0])
                    while timers and timers[0][0] <= self._now:
                        ready.append(heapq.heappop(timers)[2])
                handle = ready.popleft()
                if handle.callback is None:
                    continue
                process = handle.context.get(_process)
                if process is None or process.step():
                    handle.context.run(handle.callback, *handle.args)
            return main.result()
        finally:
            asyncio._set_running_loop(None)
            self._is_over = True
            self._ready.clear()
            self._timers.clear()
