"""Old jobs go, once an hour."""

from datetime import timedelta

from pikarelay.jobs.job import Status
from pikarelay.services.clean_up import CleanUp
from pikarelay.services.prune_copies import CopyPruner
from pikarelay.workers.pruner import Pruner
from tests.factories import a_job
from tests.fakes.relay import FakeRelay

KEEP = timedelta(days=31)


async def test_only_old_final_jobs_go(relay: FakeRelay) -> None:
    """A job goes when it has been final for longer than the contract promises, an unfinished one never."""
    old = relay.clock.now() - KEEP - timedelta(milliseconds=1)
    relay.store.jobs = {
        "old": a_job("old", status=Status.COMPLETED, updated=old),
        "open": a_job("open", updated=old),
        "young": a_job("young", status=Status.FAILED, updated=relay.clock.now() - KEEP),
    }
    pruner = Pruner(
        CleanUp(relay.store, relay.uploads, relay.clock, KEEP, CopyPruner(relay.store, None, removes=True)),
        relay.clock,
    )
    await pruner.start()
    await relay.clock.advance(timedelta(minutes=59))
    assert {"open", "young"} == set(relay.store.jobs)
    await relay.clock.advance(timedelta(minutes=1))
    await pruner.stop()

    assert {"open"} == set(relay.store.jobs)
