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


async def test_taken_back_at_the_end(relay: FakeRelay) -> None:
    """A server that stops takes its word back."""
    keeper = HealthKeeper(relay.store, FakeAccounts(a=READY), relay.clock)
    await keeper.start()
    await relay.clock.advance(timedelta(seconds=1))
    await keeper.stop()

    assert {} == await kept(relay, MINUTE)
