"""Workers come, go, stand still and are cut off; what there is to do always has one who does it."""

import asyncio
from collections.abc import Callable, Container
from datetime import timedelta

import pytest

from pikarelay.errors import Unavailable
from pikarelay.jobs.ownership import Holding, Seat, session_name
from pikarelay.jobs.secret import Secret
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
        #: All that was held when it was told to take something up.
        self.held_when_told: list[set[str]] = []
        #: How often it is still to find its store out of reach.
        self.failures = 0
        #: Clear while it cannot let go, as when Discord owes an answer.
        self.may_let_go = asyncio.Event()
        self.may_let_go.set()

    async def take_up(self, names: Container[str]) -> None:
        self._fail()
        self.held_when_told.append(set(self._holdings.epochs))
        taken = {name for name in self._holdings.epochs if name in names}
        self.works_on |= taken
        self.kept_when_told += [self._holdings.is_kept(name) for name in taken]

    async def let_go(self, names: Container[str]) -> None:
        await self.may_let_go.wait()
        gone = {name for name in self.works_on if name in names}
        self.kept_when_told += [not self._holdings.is_kept(name) for name in gone]
        self.works_on -= gone
        self._fail()

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable


class Worker:
    """One worker: its keeper, what it holds, and what is done with that."""

    def __init__(self, name: str, store: FakeOwnership, clock: FakeClock) -> None:
        self.name = name
        self.holdings = Holdings(name, _monotonic(clock))
        self.tenant = Diary(self.holdings)
        self.sessions = Diary(self.holdings)
        self.keeper = EstateKeeper(
            store, self.holdings, self.sessions, [self.tenant], clock, name, monotonic=_monotonic(clock)
        )

    async def vanish(self) -> None:
        """End without a word, as by kill -9."""
        await self.keeper._loop.stop()
        await self.keeper._heart.stop()


def _monotonic(clock: FakeClock) -> Callable[[], float]:
    return lambda: clock.now().timestamp()


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


async def sharing(store: FakeOwnership, clock: FakeClock) -> tuple[Worker, Worker]:
    """Two workers that have half of everything each."""
    one, two = await started("one", store, clock), await started("two", store, clock)
    await clock.advance(timedelta(seconds=20))
    return one, two


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


async def test_sessions_are_handed_over_before_anybody_can_open_them(
    store: FakeOwnership, clock: FakeClock
) -> None:
    """What the last worker left of a session is there before this one knows that it holds the session."""
    one = await started("one", store, clock)
    await ended(one)

    assert [set()] == one.sessions.held_when_told
    assert [one.tenant.works_on] == one.tenant.held_when_told


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


async def test_a_twentieth_moves_at_a_time(store: FakeOwnership, clock: FakeClock) -> None:
    """Two workers that make room for a third let go of a twentieth of everything between them, and not each."""
    seats = [Seat(f"session {n}", f"channel {n}") for n in range(80)]
    store.kept_seats = seats[:40]
    one = await started("one", store, clock)
    store.kept_seats = seats
    two = await started("two", store, clock)
    for worker in (one, two):
        await worker.keeper._loop.stop()
        # It shows in what it begins to let go of.
        worker.tenant.may_let_go.clear()
    await store.beat("three", LEASE)
    for worker in (one, two):
        await worker.keeper.go_round()
    await settle()
    leaving = [len(worker.keeper._leaving) // 2 for worker in (one, two)]
    for worker in (one, two):
        worker.tenant.may_let_go.set()
    await settle()
    await ended(one, two)

    assert 0 < min(leaving)
    assert 80 // 20 >= sum(leaving)


async def test_goes_in_good_order(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that ends lets go of everything first, and another has it in the next round."""
    one, two = await started("one", store, clock), await started("two", store, clock)
    await one.keeper.stop()

    assert set() == one.tenant.works_on
    two.keeper.wake()
    await clock.advance(ROUND)
    await ended(two)
    assert 8 == len(two.tenant.works_on)


async def test_goes_while_the_store_is_away(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that ends while the store is away ends its work all the same, and beats no more."""
    one = await started("one", store, clock)
    store.is_down = True
    one.sessions.failures = 1
    await one.keeper.stop()

    assert set() == one.tenant.works_on
    assert {} == dict(one.holdings.epochs)
    assert 0 == clock.sleepers


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


async def test_cut_off_in_silence(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that hears nothing from the store ends its work in the moment in which others may begin it, and not later."""
    one = await started("one", store, clock)
    await clock.advance(timedelta(seconds=2))
    store.is_silent = True
    await clock.advance(LEASE - timedelta(seconds=0.1))
    assert 8 == len(one.tenant.works_on)
    await clock.advance(timedelta(seconds=0.1))
    await ended(one)

    assert set() == one.tenant.works_on


async def test_store_was_away_for_longer_than_a_lease(store: FakeOwnership, clock: FakeClock) -> None:
    """When the store is back after all leases have run out, each worker goes on with its own, and nothing changes hands."""
    one, two = await sharing(store, clock)
    before, epochs = set(one.tenant.works_on), dict(store.held)
    store.is_down = True
    await clock.advance(timedelta(seconds=15))
    assert set() == one.tenant.works_on == two.tenant.works_on
    # Their connections broke as well, and the store, which another machine has now, knows none of their locks.
    store.signs = {"one": Sign.MISSING, "two": Sign.MISSING}
    store.is_down = False
    # The other has not yet noticed.
    await two.vanish()
    await one.keeper.go_round()
    await clock.advance(timedelta(seconds=2))
    store.signs = {}
    await two.keeper._loop.start()
    await two.keeper._heart.start()
    await clock.advance(timedelta(seconds=20))
    await ended(one, two)

    assert before == one.tenant.works_on
    assert 4 == len(two.tenant.works_on)
    assert {name: its.epoch + 1 for name, its in epochs.items()} == {
        n: i.epoch for n, i in store.held.items()
    }


async def test_somebody_dies_while_the_store_is_away(store: FakeOwnership, clock: FakeClock) -> None:
    """Who does not come back when the store does is succeeded a few seconds later."""
    one, two = await sharing(store, clock)
    store.is_down = True
    await two.vanish()
    await clock.advance(timedelta(seconds=15))
    store.is_down = False
    await clock.advance(timedelta(seconds=3))
    assert 4 == len(one.tenant.works_on)
    await clock.advance(timedelta(seconds=5))
    await ended(one)

    assert 8 == len(one.tenant.works_on)


async def test_killed_when_the_store_is_back(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that has come back, and is then killed, is missed as fast as ever."""
    one, two = await sharing(store, clock)
    store.is_down = True
    await clock.advance(timedelta(seconds=15))
    store.is_down = False
    await clock.advance(timedelta(seconds=2.5))
    assert 4 == len(two.tenant.works_on)
    await two.vanish()
    store.signs["two"] = Sign.MISSING
    await clock.advance(timedelta(seconds=1.5))
    await ended(one)

    assert 8 == len(one.tenant.works_on)


async def test_starts_when_the_store_is_back(store: FakeOwnership, clock: FakeClock) -> None:
    """A new worker takes nothing from those who have not beaten yet since the store is back, and all from one that is gone."""
    store.kept_seats = [Seat("session 0", "channel 0"), Seat("session 1", "channel 1")]
    store.held = {
        name: Holding(owner=owner, epoch=1)
        for owner, seat in zip(("killed", "away"), store.kept_seats, strict=True)
        for name in seat
    }
    store.leases = dict.fromkeys(("killed", "away"), clock.now() - timedelta(seconds=5))
    store.signs["killed"] = Sign.MISSING
    one = await started("one", store, clock)
    assert {"session 0", "channel 0"} == one.tenant.works_on
    await clock.advance(timedelta(seconds=4))
    assert {"session 0", "channel 0"} == one.tenant.works_on
    await clock.advance(timedelta(seconds=2))
    await ended(one)

    assert {"session 0", "channel 0", "session 1", "channel 1"} == one.tenant.works_on


async def test_beats_again_before_it_has_looked(store: FakeOwnership, clock: FakeClock) -> None:
    """Who stood still for longer than its lease is certain of nothing until it has looked, however often it beats before."""
    token = Secret("a-token-of-some-length-0123456789")
    store.kept_seats = [Seat(session_name(token), "channel 0")]
    one = await started("one", store, clock)
    await clock.advance(ROUND)
    clock.stand_still(timedelta(seconds=11))
    await one.keeper._beat()
    await one.keeper._beat()
    assert not one.holdings.may_connect(token)
    await one.keeper.go_round()
    await ended(one)

    assert one.holdings.may_connect(token)


async def test_stood_still_and_believes_what_it_held(store: FakeOwnership, clock: FakeClock) -> None:
    """Who stood still for longer than its lease connects no session again until it has looked, also when its lease is renewed."""
    token = Secret("a-token-of-some-length-0123456789")
    store.kept_seats = [Seat(session_name(token), "channel 0")]
    one = await started("one", store, clock)
    await clock.advance(ROUND)
    assert one.holdings.may_connect(token)
    clock.stand_still(timedelta(seconds=11))
    assert one.holdings.keeps_session(token)
    assert not one.holdings.may_connect(token)
    await one.keeper._beat()
    assert not one.holdings.may_connect(token)
    await one.keeper.go_round()
    await ended(one)

    assert one.holdings.may_connect(token)


async def test_somebody_dies_while_another_lets_go(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that has to wait before it lets go of something takes over what a dead one held meanwhile."""
    store.kept_seats = [Seat(f"session {n}", f"channel {n}") for n in range(6)]
    one, two = await started("one", store, clock), await started("two", store, clock)
    await clock.advance(timedelta(seconds=20))
    one.tenant.may_let_go.clear()
    three = await started("three", store, clock)
    await clock.advance(ROUND)
    assert 6 == len(store.owned_by("one"))
    await two.vanish()
    store.signs["two"] = Sign.MISSING
    await clock.advance(timedelta(seconds=3))
    assert set() == store.owned_by("two")
    one.tenant.may_let_go.set()
    await clock.advance(timedelta(seconds=20))
    await ended(one, three)

    assert 6 == len(one.tenant.works_on) == len(three.tenant.works_on)
    assert all(one.tenant.kept_when_told)


async def test_taken_up_by_half(store: FakeOwnership, clock: FakeClock) -> None:
    """What could not be taken up, for the store went away in the middle, is claimed and taken up anew."""
    one = Worker("one", store, clock)
    one.tenant.failures = 2
    with pytest.raises(Unavailable):
        await one.keeper.go_round()
    assert {} == dict(one.holdings.epochs)
    one.keeper.wake()
    await one.keeper.go_round()

    assert 8 == len(one.tenant.works_on)
    assert set(one.tenant.works_on) == {name for name in one.holdings.epochs if one.holdings.is_kept(name)}


async def test_let_go_by_half(store: FakeOwnership, clock: FakeClock) -> None:
    """What could not be let go of, for the store went away in the middle, is taken up again should nobody else want it by then."""
    one = await started("one", store, clock)
    one.tenant.failures = 1
    two = await started("two", store, clock)
    while one.tenant.failures:
        await clock.advance(timedelta(seconds=0.05))
    assert 6 == len(one.tenant.works_on)
    await two.keeper.stop()
    await clock.advance(timedelta(seconds=20))
    await ended(one)

    assert 8 == len(one.tenant.works_on) == len(store.owned_by("one"))
    assert one.tenant.works_on == {name for name in one.holdings.epochs if one.holdings.is_kept(name)}


async def test_more_than_its_share_was_lost(store: FakeOwnership, clock: FakeClock) -> None:
    """A worker that lost all, and is to have less now, leaves the rest to others also in the store."""
    one = await started("one", store, clock)
    store.is_down = True
    await clock.advance(timedelta(seconds=13))
    assert {} == dict(one.holdings.epochs)
    store.is_down = False
    await one.keeper._beat()
    two = await started("two", store, clock)
    await clock.advance(timedelta(seconds=20))
    await ended(one, two)

    assert 4 == len(one.tenant.works_on) == len(two.tenant.works_on)


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
