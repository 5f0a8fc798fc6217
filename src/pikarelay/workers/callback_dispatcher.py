"""
Sends callbacks that are due: claims them from the store, and tries each in a task of its own.

A target is tried once at a time, which the claim sees to: a process that stood still, or cannot reach the store, stops what it is
sending before another one may begin. Targets whose last try failed have places of their own, so that
any number of them, each holding its try for a minute, leave the others theirs.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import structlog

from pikarelay.errors import Unavailable
from pikarelay.services.board import Board
from pikarelay.services.deliver_callback import CallbackDelivery, ClaimLost
from pikarelay.services.ports import Callback, Clock, Store
from pikarelay.services.waiting import wait, within
from pikarelay.workers.loop import Loop

_log = structlog.get_logger(__name__)

#: A claim runs out soon when its process dies, and is renewed for as long as its try goes on: most tries end before that.
LEASE = timedelta(seconds=15)
_RENEW_EVERY = LEASE / 3
#: A try whose claim could not be renewed is given up so long before it runs out; and so long a claim needs no second look.
_MARGIN = timedelta(seconds=1)
#: Tries under way at once, and the share of them that targets have which fail; the others do well, or are new.
AT_ONCE = 256
_FAILING = 4
FAILING_AT_ONCE = AT_ONCE // _FAILING
FRESH_AT_ONCE = AT_ONCE - FAILING_AT_ONCE
#: How long a stop waits for tries under way.
GRACE = timedelta(seconds=10)
#: Other processes may have made callbacks due; look for them this often.
_LOOK_AGAIN = timedelta(seconds=5)


class _Try:
    """A try under way, which is the `Claim` on its callback as well."""

    def __init__(
        self, callback: Callback, until: datetime, confirm: "Callable[[_Try], Awaitable[None]]"
    ) -> None:
        self.callback = callback
        #: Until when its claim lasts.
        self.until = until
        self.is_lost = False
        #: Whether something of it may have been sent.
        self.has_begun = False
        self._confirm = confirm
        self._sending: asyncio.Timeout | None = None

    async def confirm(self) -> None:
        await self._confirm(self)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        self.has_begun = True
        try:
            # Without an end of its own: what it is for is that it can be given one.
            async with asyncio.timeout(None) as self._sending:
                yield
        except TimeoutError:
            if self.is_lost:
                raise ClaimLost from None
            raise
        finally:
            self._sending = None

    def lose(self) -> None:
        """Stop sending. How far it came is still noted."""
        self.is_lost = True
        if self._sending is not None:
            self._sending.reschedule(asyncio.get_running_loop().time())


class CallbackDispatcher:
    """The loop that empties the outbox."""

    def __init__(
        self, store: Store, delivery: CallbackDelivery, board: Board, clock: Clock, *, at_once: int = AT_ONCE
    ) -> None:
        """`at_once` of at least two tries are under way, one of them of a target that fails."""
        self._store = store
        self._failing = max(1, at_once // _FAILING)
        self._fresh = at_once - self._failing
        self._delivery = delivery
        self._board = board
        self._clock = clock
        self._tries: dict[asyncio.Task[None], _Try] = {}
        self._loop = Loop("callback_dispatcher", self._once)

    async def start(self) -> None:
        await self._loop.start()

    async def stop(self) -> None:
        """Claim no more, let tries under way come to their end for ten seconds, and give the others back."""
        await self._loop.stop()
        for task, its in list(self._tries.items()):
            if self._waits_for_others(its):
                await self._call_off(task, its)
        if self._tries:
            await self._wait_for_tries()
        for task, its in list(self._tries.items()):
            await self._call_off(task, its)

    def _waits_for_others(self, its: _Try) -> bool:
        """Whether it may wait until another process has answered its job's POST: whoever goes on can do that as well."""
        return not its.has_begun and not self._board.has_admitted(its.callback.job_id)

    async def _wait_for_tries(self) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(GRACE))
        while self._tries and not timer.done():
            await asyncio.wait({*self._tries, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()

    async def _call_off(self, task: asyncio.Task[None], its: _Try) -> None:
        """Let the claim run out now, so that another process sends the callback anew, under the same id."""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        callback = its.callback
        _log.info("callback.given_back", callback_id=callback.callback_id, job_id=callback.job_id)
        try:
            await self._store.renew_claim(callback.callback_id, callback.attempt, self._clock.now())
        except Unavailable:
            # It runs out by itself a little later.
            _log.warning("callback.claim_not_renewed", callback_id=callback.callback_id)

    async def _once(self) -> None:
        self._board.callback_due.clear()
        fresh, failing = self._room()
        if fresh + failing == 0:
            await self._wait(_LOOK_AGAIN)
            return
        if not await self._hold():
            await self._wait(_LOOK_AGAIN)
            return
        now = self._clock.now()
        claimed = await self._store.claim_callbacks(now, LEASE, fresh, failing)
        for callback in claimed:
            its = _Try(callback, now + LEASE, self._confirm)
            task = asyncio.create_task(self._try(its))
            self._tries[task] = its
            task.add_done_callback(self._tries.pop)
        taken = sum(callback.target_is_failing for callback in claimed)
        if _is_all(len(claimed) - taken, fresh) and _is_all(taken, failing):
            await self._wait(min(await self._until_next(fresh, failing), _LOOK_AGAIN))

    def _room(self) -> tuple[int, int]:
        """Return how many tries of each kind may begin."""
        failing = sum(its.callback.target_is_failing for its in self._tries.values())
        return self._fresh - (len(self._tries) - failing), self._failing - failing

    async def _until_next(self, fresh: int, failing: int) -> timedelta:
        if not fresh or not failing:
            # What is due may be of the kind that has no room, and would be due again and again.
            return _LOOK_AGAIN
        due = await self._store.next_callback()
        return _LOOK_AGAIN if due is None else max(due - self._clock.now(), timedelta())

    async def _hold(self) -> bool:
        """
        Renew what has run out while this process stood still, or the store took nothing. False when it still does not.

        Its tries are still under way. Without this it would take them for a dead process's, and try them a second time.
        """
        for its in list(self._tries.values()):
            if its.until <= self._clock.now():
                await self._renew_once(its)
        return all(its.until > self._clock.now() for its in self._tries.values())

    async def _try(self, its: _Try) -> None:
        callback = its.callback
        renewing = asyncio.create_task(self._renew(its))
        try:
            await self._delivery.deliver(callback, its)
        except Unavailable as error:
            # Nothing was sent, and that is nobody's failure: no try of the schedule is used up.
            reason = str(error.__cause__ or error)
            _log.warning("callback.put_off", callback_id=callback.callback_id, reason=reason)
        except Exception:  # noqa: BLE001 - whatever it is, the claim runs out and the try is repeated
            _log.exception("callback.try_failed", callback_id=callback.callback_id, job_id=callback.job_id)
        finally:
            renewing.cancel()
            # A place is free, and a retry may be due before the next look.
            self._board.callback_due.set()

    async def _renew(self, its: _Try) -> None:
        """Keep the claim until the try is over; stop it when somebody else has the claim, or may have it soon."""
        while not its.is_lost:
            left = its.until - self._clock.now()
            await self._clock.sleep(min(_RENEW_EVERY, max(left - _MARGIN, timedelta())))
            # After a stop there may be nothing left; if nobody else has it yet, it goes on.
            with suppress(TimeoutError):
                left = max(its.until - self._clock.now(), _MARGIN)
                await within(self._renew_once(its), left, self._clock)
            if its.until - self._clock.now() <= _MARGIN:
                its.lose()

    async def _confirm(self, its: _Try) -> None:
        """Renew a claim that is not quite new. Raises `ClaimLost`, `Unavailable`."""
        if its.until - self._clock.now() < LEASE - _MARGIN:
            await self._renewed(its)
        if its.is_lost:
            raise ClaimLost

    async def _renew_once(self, its: _Try) -> None:
        """Make the claim last, if the store can be reached."""
        try:
            await self._renewed(its)
        except Unavailable:
            _log.warning("callback.claim_not_renewed", callback_id=its.callback.callback_id)

    async def _renewed(self, its: _Try) -> None:
        """Make the claim last; it is lost when somebody else has it. Raises `Unavailable`."""
        callback, until = its.callback, self._clock.now() + LEASE
        if not await self._store.renew_claim(callback.callback_id, callback.attempt, until):
            its.lose()
        its.until = until

    async def _wait(self, at_most: timedelta) -> None:
        """Return when a job has just ended or a try is over, or when time is up."""
        await wait(self._board.callback_due, at_most, self._clock)


def _is_all(taken: int, room: int) -> bool:
    """Whether there is no more to take, or no room for it."""
    return room == 0 or taken < room
