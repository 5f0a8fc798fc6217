"""How accounts fare is kept where every process can read it."""

from collections.abc import Mapping
from datetime import timedelta

from pikarelay.jobs.health import AccountHealth, HealthState
from pikarelay.workers.health_keeper import HealthKeeper
from tests.fakes.relay import FakeRelay

READY = AccountHealth(state=HealthState.READY)
CAPTCHA = AccountHealth(state=HealthState.CAPTCHA, reason="solve it")
MINUTE = timedelta(minutes=1)


class FakeAccounts:
    """`AccountsHealth` as a test says."""

    def __init__(self, **now: AccountHealth) -> None:
        self.now = {name.encode(): health for name, health in now.items()}

    def health(self) -> Mapping[bytes, AccountHealth]:
        return self.now


async def kept(relay: FakeRelay, within: timedelta) -> dict[bytes, AccountHealth]:
    return await relay.store.health(relay.clock.now() - within)


async def test_changes_are_kept_at_once(relay: FakeRelay) -> None:
    """A change can be read a second later, and an account that was forgotten is gone as soon."""
    accounts = FakeAccounts(a=READY, b=READY)
    keeper = HealthKeeper(relay.store, accounts, relay.clock)
    await keeper.start()
    await relay.clock.advance(timedelta(seconds=1))
    assert {b"a": READY, b"b": READY} == await kept(relay, MINUTE)
    accounts.now = {b"a": CAPTCHA}
    await relay.clock.advance(timedelta(seconds=1))

    assert {b"a": CAPTCHA} == await kept(relay, MINUTE)
    await keeper.stop()


async def test_what_does_not_change_stays_fresh(relay: FakeRelay) -> None:
    """Over ten quiet minutes the word is never older than a minute or so."""
    keeper = HealthKeeper(relay.store, FakeAccounts(a=READY), relay.clock)
    await keeper.start()
    for _ in range(600):
        await relay.clock.advance(timedelta(seconds=1))

    assert {b"a": READY} == await kept(relay, timedelta(seconds=62))
    await keeper.stop()


async def test_only_what_is_held(relay: FakeRelay) -> None:
    """A worker says nothing of accounts that another holds, neither when it begins nor when it lets go of them, nor at its end."""
    accounts, mine = FakeAccounts(a=READY, b=READY, foreign=CAPTCHA), {b"a", b"b"}
    relay.store.kept_health[b"foreign"] = (READY, relay.clock.now())
    keeper = HealthKeeper(relay.store, accounts, relay.clock, mine.__contains__)
    await keeper.start()
    await relay.clock.advance(timedelta(seconds=1))
    assert {b"a": READY, b"b": READY, b"foreign": READY} == await kept(relay, MINUTE)
    mine.remove(b"b")
    del accounts.now[b"b"]
    await relay.clock.advance(timedelta(seconds=1))
    assert {b"a": READY, b"b": READY, b"foreign": READY} == await kept(relay, MINUTE)
    mine.clear()
    await keeper.stop()

    assert {b"a", b"b", b"foreign"} == (await kept(relay, MINUTE)).keys()


async def test_what_comes_is_told_at_once(relay: FakeRelay) -> None:
    """An account that was known here before it was held is written about when it is, and not within the minute."""
    accounts, mine = FakeAccounts(a=CAPTCHA), set[bytes]()
    keeper = HealthKeeper(relay.store, accounts, relay.clock, lambda digest: digest in mine)
    await keeper.start()
    await relay.clock.advance(timedelta(seconds=3))
    assert {} == await kept(relay, MINUTE)
    mine.add(b"a")
    await relay.clock.advance(timedelta(seconds=1))

    assert {b"a": CAPTCHA} == await kept(relay, MINUTE)
    await keeper.stop()


async def test_ends_while_the_store_is_away(relay: FakeRelay) -> None:
    """A server that cannot take its word back stops all the same."""
    keeper = HealthKeeper(relay.store, FakeAccounts(a=READY), relay.clock)
    await keeper.start()
    await relay.clock.advance(timedelta(seconds=1))
    relay.store.unavailable.add("keep_health")
    await keeper.stop()

    assert 2 == relay.store.calls["keep_health"]


async def test_taken_back_at_the_end(relay: FakeRelay) -> None:
    """A server that stops takes its word back."""
    keeper = HealthKeeper(relay.store, FakeAccounts(a=READY), relay.clock)
    await keeper.start()
    await relay.clock.advance(timedelta(seconds=1))
    await keeper.stop()

    assert {} == await kept(relay, MINUTE)
