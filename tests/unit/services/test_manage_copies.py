"""The operator looks at copies, and has them made again."""

from pikarelay.jobs.mirror import CopyCount, CopyState
from pikarelay.services.manage_copies import CopyOffice
from pikarelay.services.ports import CopyOutcome, CopyPlan
from tests.fakes.clock import START
from tests.fakes.relay import FakeRelay


async def test_retry_wakes_who_makes_copies(relay: FakeRelay) -> None:
    """What has failed is due again, and whoever makes copies in this process hears of it."""
    office = CopyOffice(relay.store, relay.clock, relay.board.copy_due.set)
    relay.store._plan(CopyPlan(names=("a.mp4", "b.mp4"), due=START), "parent")
    await relay.store.finish_copy("a.mp4", 0, CopyOutcome(error="too large"))

    assert 1 == await office.retry()
    assert relay.board.copy_due.is_set()
    assert ["a.mp4", "b.mp4"] == [copy.name for copy in await office.undone(10)]
    assert 0 == await office.retry("nobody")


async def test_every_state_is_counted(relay: FakeRelay) -> None:
    """A state without copies is shown as such."""
    office = CopyOffice(relay.store, relay.clock, lambda: None)

    assert dict.fromkeys(CopyState, CopyCount(0, 0)) == await office.counts()
