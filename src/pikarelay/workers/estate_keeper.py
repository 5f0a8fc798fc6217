"""
Sees to it that this worker holds what it should: renews its lease, claims estates, lets them go, and tells those who work on them.

Every round it asks the store who is alive; when that has changed, something was announced or some time has passed, it also asks who
holds what, and follows its plan (`pikarelay.jobs.ownership`). A worker whose connection is gone is dead when it is so twice in a
row; one that says nothing, when its lease runs out.

What comes first matters. Claimed: the store says so, then the local holdings, then work begins. Let go: work ends, then its last
traces are stored, then the store hears of it. Lost, because this worker was silent for too long: work ends, and whatever of it
comes too late is refused by the store.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta

import structlog

from pikarelay.errors import Unavailable
from pikarelay.jobs.ownership import Estate, Holding, Seat, channel_name, estates_of, plan
from pikarelay.services.ownership import Holdings
from pikarelay.services.ports import Clock, Member, OwnershipStore, Sign
from pikarelay.services.waiting import wait
from pikarelay.workers.loop import Loop
from pikarelay.workers.tenants import Tenant

_log = structlog.get_logger(__name__)

#: How long a worker may be silent before others take over.
LEASE = timedelta(seconds=10)
_BEAT_EVERY = timedelta(seconds=2)
#: Between two rounds, unless something happens.
_ROUND_EVERY = timedelta(seconds=0.5)
#: Between two rounds, whatever happens: many things at once are one reason.
_ROUND_AT_MOST = timedelta(seconds=0.05)
#: So long a round may go without a look at everything.
_LOOK_SECONDS = 5.0
#: A round so late means that the process stood still, and much may have been decided without it.
_LATE_SECONDS = 3.0
#: For so long after its last use a session without an account stays open.
_KEPT_SECONDS = 600.0
#: How many estates are claimed by one transaction.
_CLAIMED_AT_ONCE = 32
#: Of all estates, one in so many moves in a round, when workers have come.
_MOVED_IN_A_ROUND = 20


class EstateKeeper:
    """Starts when the tenants have; stops before them."""

    def __init__(
        self,
        store: OwnershipStore,
        holdings: Holdings,
        tenants: Sequence[Tenant],
        clock: Clock,
        worker_id: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tenants` take up in this order, and let go in the other."""
        self._store = store
        self._holdings = holdings
        self._tenants = tenants
        self._clock = clock
        self._worker_id = worker_id
        self._monotonic = monotonic
        self._renewed = monotonic()
        self._looked = 0.0
        self._went = monotonic()
        self._alive: frozenset[str] = frozenset()
        #: Workers whose connection was gone in the last round.
        self._missing: frozenset[str] = frozenset()
        #: Set when a look at everything is due before its time.
        self._changed = asyncio.Event()
        #: What others held at the last look.
        self._others: frozenset[str] = frozenset()
        #: When each name was last in use.
        self._used: dict[str, float] = {}
        self._loop = Loop("estate_keeper", self._once)
        # A loop of its own: what a round has to wait for must not cost the lease.
        self._heart = Loop("heart", self._beat_later)

    def wake(self) -> None:
        """Look at everything soon."""
        self._changed.set()

    def ask_for(self, channel: str) -> None:
        """See that somebody works on a channel that is not ours. A no-op when another worker does."""
        if channel_name(channel) not in self._others:
            self._changed.set()

    async def start(self) -> None:
        """Claim what is to be had before anything else goes on."""
        await self._beat()
        await self._heart.start()
        await self.go_round()
        await self._loop.start()

    async def stop(self) -> None:
        """Let go of everything, so that others take over at once."""
        await self._loop.stop()
        await self._end(tuple(self._holdings.epochs))
        await self._heart.stop()
        try:
            await self._store.retire(self._worker_id)
        except Unavailable:
            _log.warning("worker.not_retired", worker_id=self._worker_id)

    async def _once(self) -> None:
        await wait(self._changed, _ROUND_EVERY, self._clock)
        try:
            await self.go_round()
        except Unavailable:
            self._changed.set()
            _log.warning("worker.round_put_off", worker_id=self._worker_id)
            await self._clock.sleep(_ROUND_EVERY)
        await self._clock.sleep(_ROUND_AT_MOST)

    async def _beat_later(self) -> None:
        await self._clock.sleep(_BEAT_EVERY)
        try:
            await self._beat()
        except Unavailable:
            _log.warning("worker.not_renewed", worker_id=self._worker_id)
            if self._monotonic() - self._renewed > LEASE.total_seconds():
                # Others may have taken over. Their epoch keeps us from writing, this from going on with Discord.
                await self._lose(tuple(self._holdings.epochs))

    async def _beat(self) -> None:
        began = self._monotonic()
        await self._store.beat(self._worker_id, LEASE)
        self._renewed = began

    async def go_round(self) -> None:
        """See who is alive, and look at everything if there is a reason."""
        is_asked = self._changed.is_set()
        self._changed.clear()
        now = self._monotonic()
        is_late, self._went = now - self._went > _LATE_SECONDS, now
        before, self._alive = self._alive, self._living(await self._store.members())
        if is_asked or is_late or before != self._alive or now - self._looked > _LOOK_SECONDS:
            await self._look()
            self._looked = now

    async def _look(self) -> None:
        held = await self._store.holdings()
        await self._lose(self._lost(held))
        seats = await self._store.seats()
        estates = estates_of(seats)
        planned = plan(
            self._worker_id,
            self._alive,
            estates,
            self._as_known(held),
            moved_at_once=max(1, len(estates) // _MOVED_IN_A_ROUND),
            kept=self._in_use(seats),
        )
        # Whoever holds something and is not alive is dead, however long nobody has heard of it.
        dead = frozenset(h.owner for h in held.values() if h.owner is not None) - self._alive
        # Nobody works on what is claimed, and to let go may take until Discord has answered a press.
        await self._claim(planned.claim, over=dead)
        if planned.release:
            await self._release(planned.release)
        self._others = frozenset(
            name for name, its in held.items() if its.owner in self._alive and its.owner != self._worker_id
        )
        if planned.release or planned.claim:
            # There may be more to move, or somebody was faster.
            self._changed.set()

    def _living(self, members: Collection[Member]) -> frozenset[str]:
        missing = frozenset(m.worker_id for m in members if m.sign is Sign.MISSING)
        twice = missing & self._missing
        self._missing = missing
        living = {m.worker_id for m in members if m.is_in_time and m.worker_id not in twice}
        return frozenset({*living, self._worker_id})

    def _in_use(self, seats: Collection[Seat]) -> frozenset[str]:
        """Return the names of all seats that were in use lately: a session is not closed after each job."""
        now = self._monotonic()
        self._used |= {name: now for seat in seats for name in seat}
        self._used = {name: used for name, used in self._used.items() if now - used < _KEPT_SECONDS}
        return frozenset(self._used)

    def _as_known(self, held: Mapping[str, Holding]) -> Mapping[str, Holding]:
        """Return the holdings without those that the store has for ours, and we know nothing of: they are to be claimed anew."""
        return {
            name: holding
            for name, holding in held.items()
            if holding.owner != self._worker_id or name in self._holdings.epochs
        }

    def _lost(self, held: Mapping[str, Holding]) -> tuple[str, ...]:
        return tuple(
            name
            for name, epoch in self._holdings.epochs.items()
            if (now := held.get(name)) is None or (now.owner, now.epoch) != (self._worker_id, epoch)
        )

    async def _claim(self, estates: Sequence[Estate], over: frozenset[str]) -> None:
        for start in range(0, len(estates), _CLAIMED_AT_ONCE):
            wanted = [
                [name for name in estate.names if name not in self._holdings.epochs]
                for estate in estates[start : start + _CLAIMED_AT_ONCE]
            ]
            taken = await self._store.claim(wanted, self._worker_id, over)
            if taken:
                self._holdings.take(taken)
                _log.info("estates.taken", names=len(taken), held=len(self._holdings.epochs))
                # Before more is claimed: there is work waiting.
                for tenant in self._tenants:
                    await tenant.take_up(taken.keys())

    async def _release(self, names: Collection[str]) -> None:
        await self._end(names)
        await self._store.release(self._worker_id, tuple(names))

    async def _end(self, names: Collection[str]) -> None:
        if not names:
            return
        self._holdings.leave(names)
        for tenant in reversed(self._tenants):
            await tenant.let_go(names)
        self._holdings.let_go(names)
        _log.info("estates.let_go", names=len(names), held=len(self._holdings.epochs))

    async def _lose(self, names: Collection[str]) -> None:
        if names:
            _log.warning("estates.lost", names=len(names))
            # First of all, so that nothing begins any more.
            self._holdings.let_go(names)
            for tenant in reversed(self._tenants):
                await tenant.let_go(names)
