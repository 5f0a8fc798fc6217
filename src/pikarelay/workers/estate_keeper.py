"""
Sees to it that this worker holds what it should: renews its lease, claims estates, lets them go, and tells those who work on them.

Every round it asks the store who is alive; when that has changed, something was announced or some time has passed, it also asks who
holds what, and follows its plan (`pikarelay.jobs.ownership`). A worker whose connection is gone is dead when it is so twice in a
row; one that says nothing, when its lease runs out. Not so for a moment after this worker was away itself: when the store was,
all leases have run out, and who comes back first would take everything from the others.

What comes first matters. Claimed: the store says so, then the last holder's traces are read, then the local holdings say so, then work
begins. Let go: work ends, then its last
traces are stored, then the store hears of it. Lost, because this worker was silent for too long: work ends, and whatever of it
comes too late is refused by the store.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from math import inf

import structlog

from pikarelay.errors import Unavailable
from pikarelay.jobs.ownership import Estate, Holding, Seat, channel_name, estates_of, plan
from pikarelay.services.ownership import Holdings
from pikarelay.services.ports import Clock, Member, OwnershipStore, Sign
from pikarelay.services.waiting import wait, within
from pikarelay.workers.loop import Loop
from pikarelay.workers.tenants import Tenant

_log = structlog.get_logger(__name__)

#: How long a worker may be silent before others take over.
LEASE = timedelta(seconds=10)
_BEAT_EVERY = timedelta(seconds=2)
#: So long those whose leases ran out are waited for, by a worker that is new or was away: each of them has beaten twice by then.
_PATIENCE = 2 * _BEAT_EVERY + timedelta(seconds=1)
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
#: Of all estates, one in so many moves in a round, when workers have come: all workers together, each its part of them.
_MOVED_IN_A_ROUND = 20


class EstateKeeper:
    """Starts when the tenants have; stops before them."""

    def __init__(
        self,
        store: OwnershipStore,
        holdings: Holdings,
        sessions: Tenant,
        tenants: Sequence[Tenant],
        clock: Clock,
        worker_id: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        `tenants` take up in this order, and let go in the other.

        Before them `sessions` takes up, from the store, what is not known here to be held yet: whoever knew might begin a session
        anew that can be gone on with. It lets go after them.
        """
        self._store = store
        self._holdings = holdings
        self._sessions = sessions
        self._tenants = tenants
        self._leavers = (*reversed(tenants), sessions)
        self._clock = clock
        self._worker_id = worker_id
        self._monotonic = monotonic
        self._renewed = monotonic()
        #: When it was noticed last that the lease had run out.
        self._lapsed = -inf
        #: When the last look at everything began.
        self._seen = -inf
        self._started = -inf
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
        #: What is being let go of, by this task.
        self._leaving: frozenset[str] = frozenset()
        self._releasing: asyncio.Task[None] | None = None
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
        self._renewed = self._started = self._monotonic()
        await self._beat()
        await self._heart.start()
        await self.go_round()
        await self._loop.start()

    async def stop(self) -> None:
        """Let go of everything, so that others take over at once."""
        await self._loop.stop()
        if self._releasing is not None:
            await self._releasing
        try:
            await self._end(tuple(self._holdings.epochs))
        except Unavailable:
            # What was written of it last is what others go on with.
            _log.warning("worker.not_let_go", worker_id=self._worker_id)
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
        left = self._left()
        await self._clock.sleep(min(_BEAT_EVERY, left) if left else _BEAT_EVERY)
        try:
            # A network that is gone says nothing, and what is asked there ends late.
            await self._beat_within(self._left() or _BEAT_EVERY)
        except Unavailable:
            _log.warning("worker.not_renewed", worker_id=self._worker_id)
            if not self._left():
                # Others may take over. Their epoch keeps us from writing, this from going on with Discord.
                await self._lose(tuple(self._holdings.epochs))

    def _left(self) -> timedelta:
        """Return for how long others may not take over for certain."""
        return max(timedelta(), LEASE - timedelta(seconds=self._monotonic() - self._renewed))

    async def _beat_within(self, at_most: timedelta) -> None:
        try:
            await within(self._beat(), at_most, self._clock)
        except TimeoutError:
            raise Unavailable from None

    async def _beat(self) -> None:
        began = self._monotonic()
        await self._store.beat(self._worker_id, LEASE)
        was_in_time, self._renewed = bool(self._left()), began
        if not was_in_time:
            # Others may have taken over. What is still ours is known after a look.
            self._lapsed = self._monotonic()
            self._changed.set()
        elif self._seen >= self._lapsed:
            self._trust(began)

    def _trust(self, renewed: float) -> None:
        self._holdings.trust(renewed + LEASE.total_seconds())

    async def go_round(self) -> None:
        """See who is alive, and look at everything if there is a reason."""
        if not self._left():
            # Before anything is decided: others are to see that this worker is back as soon as it sees them.
            await self._beat_within(_BEAT_EVERY)
        is_asked = self._changed.is_set()
        self._changed.clear()
        now = self._monotonic()
        is_late, self._went = now - self._went > _LATE_SECONDS, now
        before, self._alive = self._alive, self._living(await self._store.members())
        if is_asked or is_late or before != self._alive or now - self._looked > _LOOK_SECONDS:
            await self._look()
            self._looked = now

    async def _look(self) -> None:
        began, renewed = self._monotonic(), self._renewed
        known = self._leaving | self._holdings.epochs.keys()
        held = await self._store.holdings()
        lost = self._lost(held)
        known -= frozenset(lost)
        self._holdings.let_go(lost)
        self._seen = began
        # Before what was lost is taken leave of, for that takes time: the rest goes on.
        self._trust(renewed)
        await self._lose(lost)
        seats = await self._store.seats()
        estates = estates_of(seats)
        planned = plan(
            self._worker_id,
            self._alive,
            estates,
            self._as_known(held, known),
            # One after the other: what is being let go of is still ours.
            moved_at_once=0 if self._leaving else self._pace(len(estates)),
            kept=self._in_use(seats),
        )
        # Whoever holds something and is not alive is dead, however long nobody has heard of it.
        dead = frozenset(h.owner for h in held.values() if h.owner is not None) - self._alive
        await self._claim(planned.claim, over=dead)
        # What we know nothing of any more, since it was lost or let go of by half, is not to stay ours in the store alone.
        mine = {name for name, its in held.items() if its.owner == self._worker_id}
        if forgotten := mine - known - self._holdings.epochs.keys():
            await self._store.release(self._worker_id, tuple(forgotten))
        if planned.release and not self._leaving:
            self._begin_release(planned.release)
        self._others = frozenset(
            name for name, its in held.items() if its.owner in self._alive and its.owner != self._worker_id
        )
        if planned.claim:
            # There may be more to move, or somebody was faster.
            self._changed.set()

    def _pace(self, estates: int) -> int:
        """Return how many this worker may let go of in a round: others let go beside it."""
        return max(1, estates // (_MOVED_IN_A_ROUND * len(self._alive)))

    def _living(self, members: Collection[Member]) -> frozenset[str]:
        missing = frozenset(m.worker_id for m in members if m.sign is Sign.MISSING)
        twice = missing & self._missing
        self._missing = missing
        living = {m.worker_id for m in members if m.is_in_time and m.worker_id not in twice}
        late = {m.worker_id for m in members if not m.is_in_time}
        return frozenset({*living, *self._waited_for(late, missing), self._worker_id})

    def _waited_for(self, late: Collection[str], missing: Collection[str]) -> Collection[str]:
        """Return those whose lease has run out, and who may be about to renew it as this worker has just done."""
        since = self._monotonic() - _PATIENCE.total_seconds()
        if since < self._lapsed:
            # Who was away as well has lost its connection too, and may beat before it is made again.
            return late
        # What a new worker finds may be long dead, and nobody's but its to take.
        return {name for name in late if name not in missing} if since < self._started else ()

    def _in_use(self, seats: Collection[Seat]) -> frozenset[str]:
        """Return the names of all seats that were in use lately: a session is not closed after each job."""
        now = self._monotonic()
        self._used |= {name: now for seat in seats for name in seat}
        self._used = {name: used for name, used in self._used.items() if now - used < _KEPT_SECONDS}
        return frozenset(self._used)

    def _as_known(self, held: Mapping[str, Holding], known: Collection[str]) -> Mapping[str, Holding]:
        """Return the holdings without those that the store has for ours, and we know nothing of: they are to be claimed anew."""
        return {
            name: holding
            for name, holding in held.items()
            if holding.owner != self._worker_id or name in known
        }

    def _lost(self, held: Mapping[str, Holding]) -> tuple[str, ...]:
        return tuple(
            name
            for name, epoch in self._holdings.epochs.items()
            if (now := held.get(name)) is None or (now.owner, now.epoch) != (self._worker_id, epoch)
        )

    async def _claim(self, estates: Sequence[Estate], over: frozenset[str]) -> None:
        taken: dict[str, int] = {}
        for start in range(0, len(estates), _CLAIMED_AT_ONCE):
            wanted = [
                [name for name in estate.names if name not in self._holdings.epochs]
                for estate in estates[start : start + _CLAIMED_AT_ONCE]
            ]
            taken |= await self._store.claim(wanted, self._worker_id, over)
        if taken:
            # Once for all: it reads all that is unfinished, in a moment in which the store has much to do.
            await self._take_up(taken)

    async def _take_up(self, taken: Mapping[str, int]) -> None:
        await self._sessions.take_up(taken.keys())
        self._holdings.take(taken)
        _log.info("estates.taken", names=len(taken), held=len(self._holdings.epochs))
        try:
            for tenant in self._tenants:
                await tenant.take_up(taken.keys())
        except Unavailable:
            # Half taken up is nothing: it is claimed and taken up anew.
            await self._lose(tuple(taken))
            raise

    def _begin_release(self, names: Collection[str]) -> None:
        """Let go beside the rounds: it takes until Discord has answered what was pressed, and meanwhile somebody may die."""
        self._leaving = frozenset(names)
        self._releasing = asyncio.create_task(self._release(names), name="release")

    async def _release(self, names: Collection[str]) -> None:
        try:
            await self._end(names)
            await self._store.release(self._worker_id, tuple(names))
        except Unavailable:
            _log.warning("worker.release_put_off", worker_id=self._worker_id)
        finally:
            self._leaving = frozenset()
            # There may be more to move.
            self._changed.set()

    async def _end(self, names: Collection[str]) -> None:
        if not names:
            return
        self._holdings.leave(names)
        try:
            for tenant in self._leavers:
                await tenant.let_go(names)
        finally:
            # What is left by half is worked on by nobody, and has to be claimed anew.
            self._holdings.let_go(names)
        _log.info("estates.let_go", names=len(names), held=len(self._holdings.epochs))

    async def _lose(self, names: Collection[str]) -> None:
        if names:
            _log.warning("estates.lost", names=len(names))
            # First of all, so that nothing begins any more.
            self._holdings.let_go(names)
            for tenant in self._leavers:
                await tenant.let_go(names)
