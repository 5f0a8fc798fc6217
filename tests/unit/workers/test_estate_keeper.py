"""Workers come, go, stand still and are cut off; what there is to do always has one who does it."""

from collections.abc import Container
from datetime import timedelta

import pytest

from pikarelay.jobs.ownership import Holding, Seat
from pikarelay.services.ownership import Holdings
from pikarelay.services.ports import Sign
from pikarelay.workers.estate_keeper import LEASE, EstateKeeper
from tests.fakes.clock import FakeClock, settle
from tests.fakes.ownership import FakeOwnership

ROUND = timedelta(seconds=1)


class Diary:
    """A `Tenant` that writes down what it is told, and what its worker holds then."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings
        self.works_on: set[str] = set()
        self.kept_when_told: list[bool] = []

    async def take_up(self, names: Container[str]) -> None:
        taken = {name for name in self._holdings.epochs if name in names}
        self.works_on |= taken
        self.kept_when_told += [self._holdings.is_kept(name) for name in taken]

    async def let_go(self, names: Container[str]) -> None:
        gone = {name for name in self.works_on if name in names}
        self.kept_when_told += [not self._holdings.is_kept(name) for name in gone]
        self.works_on -= gone


class Worker:
    """One worker: its keeper, what it holds, and what is done with that."""

    def __init__(self, name: str, store: FakeOwnership, clock: FakeClock) -> None:
        self.name = name
        self.holdings = Holdings(name)
        self.tenant = Diary(self.holdings)
        self.keeper = EstateKeeper(
            store, self.holdings, [self.tenant], clock, name, monotonic=lambda: clock.now().timestamp()
        )

    async def vanish(self) -> None:
        """End without a word, as by kill -9."""
        await self.keeper._loop.stop()
        await self.keeper._heart.stop()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> FakeOwnership:
    store = FakeOwnership(clock)
    store.kept_seats = [Seat(f"session {n}", f"channel {n}") for n in range(4)]
    return store


async def started(name: str, store: FakeOwnership, clock: FakeClock) -> Worker:
    worker = Worker(name, store, clock)
    await worker.keeper.start()
    return worker


async def ended(*workers: Worker) -> None:
    for worker in workers:
        await worker.vanish()


async def test_alone(store: FakeOwnership, clock: FakeClock) -> None:
    """The only worker holds everything when its start is over, and works on it only once it holds it."""
    one = await started("one", store, clock)
    await ended(one)

    assert {name for seat in store.kept_seats for name in seat} == one.tenant.works_on
    assert one.tenant.works_on == store.owned_by("one") == set(one.holdings.epochs)
    assert all(one.tenant.kept_when_told)


async def test_they_share(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that comes is given its part, one estate at a time, and nothing is worked on by two."""
    one = await started("one", store, clock)
    two = await started("two", store, clock)
    shares = []
    for _ in range(40):
        await clock.advance(timedelta(seconds=0.3))
        assert not one.tenant.works_on & two.tenant.works_on
        shares.append(len(two.tenant.works_on))
    await ended(one, two)

    assert 4 == len(one.tenant.works_on) == len(two.tenant.works_on)
    assert {0, 2, 4} == set(shares)


async def test_goes_in_good_order(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that ends lets go of everything first, and another has it in the next round."""
    one, two = await started("one", store, clock), await started("two", store, clock)
    await one.keeper.stop()

    assert set() == one.tenant.works_on
    two.keeper.wake()
    await clock.advance(ROUND)
    await ended(two)
    assert 8 == len(two.tenant.works_on)


async def test_connection_is_gone(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker whose connection is missing in two rounds is succeeded long before its lease is over."""
    one, two = await started("one", store, clock), await started("two", store, clock)
    await one.vanish()
    store.signs["one"] = Sign.MISSING
    await clock.advance(timedelta(seconds=3))
    await ended(two)

    assert 8 == len(two.tenant.works_on)


async def test_connection_was_only_lost(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker whose connection is back by the next look loses nothing."""
    one = await started("one", store, clock)
    two = Worker("two", store, clock)
    await two.keeper._beat()
    store.signs["one"] = Sign.MISSING
    await two.keeper.go_round()
    del store.signs["one"]
    await two.keeper.go_round()
    await two.keeper.go_round()
    await ended(one)

    assert 8 == len(store.owned_by("one"))


async def test_says_nothing(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that stands still, its connection open, is succeeded when its lease is over and not before."""
    one = await started("one", store, clock)
    await one.vanish()
    two = await started("two", store, clock)
    await clock.advance(LEASE - timedelta(seconds=1))
    assert set() == two.tenant.works_on
    await clock.advance(timedelta(seconds=3))
    await ended(two)

    assert 8 == len(two.tenant.works_on)


async def test_awakes_too_late(store: FakeOwnership, clock: FakeClock) -> None:
    """Who was succeeded meanwhile notices in its first round, and ends its work before anything else."""
    one = await started("one", store, clock)
    await clock.advance(ROUND)
    clock.stand_still(timedelta(seconds=30))
    store.leases = {"two": clock.now() + timedelta(hours=1)}
    store.held = {name: Holding(owner="two", epoch=2) for name in store.held}
    await one.keeper.go_round()
    await ended(one)

    assert set() == one.tenant.works_on
    assert {} == dict(one.holdings.epochs)
    assert all(one.tenant.kept_when_told)


async def test_cut_off(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that cannot renew its lease ends its work when that is over; reached again, it claims anew."""
    one = await started("one", store, clock)
    store.is_down = True
    await clock.advance(LEASE - timedelta(seconds=1))
    assert 8 == len(one.tenant.works_on)
    await clock.advance(timedelta(seconds=6))
    assert set() == one.tenant.works_on
    store.is_down = False
    await clock.advance(timedelta(seconds=8))
    await ended(one)

    assert 8 == len(one.tenant.works_on)
    assert {2} == set(one.holdings.epochs.values())


async def test_what_nobody_uses(store: FakeOwnership, clock: FakeClock) -> None:
    """A session that no account or job uses is kept for ten minutes, for the next job may need it."""
    one = await started("one", store, clock)
    store.kept_seats.pop()
    await clock.advance(timedelta(minutes=9))
    assert 8 == len(one.tenant.works_on)
    await clock.advance(timedelta(minutes=2))
    await ended(one)

    assert 6 == len(one.tenant.works_on)


async def test_asked_for(store: FakeOwnership, clock: FakeClock) -> None:
    """A job on a channel that is nobody's is seen to at once; for one that another works on, nothing is done."""
    store.kept_seats = [Seat("session 0", "channel 0")]
    one, two = await started("one", store, clock), await started("two", store, clock)
    assert {"session 0", "channel 0"} == one.tenant.works_on
    two.keeper.ask_for("0")
    assert not two.keeper._changed.is_set()
    store.kept_seats.append(Seat("session 1", "channel 1"))
    two.keeper.ask_for("1")
    await settle()
    await clock.advance(timedelta(seconds=0.1))
    await ended(one, two)

    assert {"session 1", "channel 1"} == two.tenant.works_on
