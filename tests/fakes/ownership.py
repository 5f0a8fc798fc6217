"""Leases and holdings in dictionaries, on a clock that a test moves."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from pikarelay.errors import Unavailable
from pikarelay.jobs.ownership import Holding, Seat
from pikarelay.services.ports import Clock, Member, Sign


class FakeOwnership:
    """An `OwnershipStore`. Tests may look into it, and change what others do there."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.leases: dict[str, datetime] = {}
        self.held: dict[str, Holding] = {}
        self.kept_seats: list[Seat] = []
        #: What is known of a worker's connection; `PRESENT` unless a test says otherwise.
        self.signs: dict[str, Sign] = {}
        #: Whether the store is out of reach.
        self.is_down = False
        #: Whether it says nothing, as over a network that is gone.
        self.is_silent = False

    async def beat(self, worker_id: str, lease: timedelta) -> None:
        await self._reach()
        self.leases[worker_id] = self._clock.now() + lease

    async def members(self) -> tuple[Member, ...]:
        await self._reach()
        now = self._clock.now()
        return tuple(
            Member(worker_id=name, is_in_time=until > now, sign=self.signs.get(name, Sign.PRESENT))
            for name, until in self.leases.items()
        )

    async def retire(self, worker_id: str) -> None:
        await self._reach()
        self.leases.pop(worker_id, None)
        await self.release(worker_id, [name for name, its in self.held.items() if its.owner == worker_id])

    async def holdings(self) -> dict[str, Holding]:
        await self._reach()
        return dict(self.held)

    async def claim(
        self, estates: Sequence[Collection[str]], worker_id: str, over: Collection[str]
    ) -> Mapping[str, int]:
        await self._reach()
        taken: dict[str, Holding] = {}
        for names in estates:
            before = {name: self.held.get(name, Holding(owner=None, epoch=0)) for name in names}
            if all(its.owner in {None, worker_id, *over} for its in before.values()):
                taken |= {n: Holding(owner=worker_id, epoch=its.epoch + 1) for n, its in before.items()}
        self.held |= taken
        return {name: its.epoch for name, its in taken.items()}

    async def release(self, worker_id: str, names: Sequence[str]) -> None:
        await self._reach()
        for name in names:
            if (its := self.held.get(name)) is not None and its.owner == worker_id:
                self.held[name] = Holding(owner=None, epoch=its.epoch)

    async def seats(self) -> tuple[Seat, ...]:
        await self._reach()
        return tuple(self.kept_seats)

    def owned_by(self, worker_id: str) -> set[str]:
        return {name for name, its in self.held.items() if its.owner == worker_id}

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if self.is_silent:
            await asyncio.get_running_loop().create_future()
        if self.is_down:
            raise Unavailable
