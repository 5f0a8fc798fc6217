"""Copies of results, in every store alike."""

from datetime import timedelta

import pytest

from pikarelay.jobs.job import Job, Status
from pikarelay.jobs.mirror import CopyCount, CopyRecord, CopyState, KeptCopy
from pikarelay.services.ports import Change, CopyOutcome, CopyPlan, MessageTaken
from tests.factories import a_file
from tests.store.conftest import LEASE, NOW, AnyStore, Opener, a_final_job, a_sent_job, put

SECOND = timedelta(seconds=1)
KEPT = KeptCopy(mirror="folder:/m", size=2**33, media_type="video/mp4")
DONE = CopyOutcome(kept=KEPT)
GIVEN_UP = CopyOutcome(error="too large")


def again(after: timedelta) -> CopyOutcome:
    return CopyOutcome(retry_at=NOW + after, error="no")


async def complete(store: AnyStore, number: int, *names: str) -> Job:
    """Add a job that completes with these copies to be made, as many seconds after NOW as its number."""
    job = a_final_job(number)
    await put(store, job)
    plan = CopyPlan(names=names, due=NOW + number * SECOND)
    await store.change(job.job_id, lambda found: Change(job=found, copies=plan))
    return job


async def claim(store: AnyStore, after: timedelta = timedelta(hours=1), limit: int = 10) -> list[str]:
    return [copy.name for copy in await store.claim_copies(NOW + after, LEASE, limit)]


async def test_planned_with_the_job(store: AnyStore) -> None:
    """A change adds its job's copies in their order, due at once, and they are there as long as the job is."""
    job = await complete(store, 1, "a.mp4", "a-1.png")

    assert await store.copy("a-1.png") == CopyRecord(
        name="a-1.png",
        job_id=job.job_id,
        number=1,
        state=CopyState.WAITING,
        begun=NOW + SECOND,
        attempt=0,
        due=NOW + SECOND,
    )
    assert NOW + SECOND == await store.next_copy()
    assert None is await store.copy("b.mp4")


async def test_no_change_no_copies(store: AnyStore) -> None:
    """A change that is refused plans nothing."""
    first, second = a_sent_job(1), a_sent_job(2)
    await put(store, first, second)
    await store.change(first.job_id, lambda job: Change(job=job, message_id="77"))
    plan = CopyPlan(names=("a.mp4",), due=NOW)
    with pytest.raises(MessageTaken):
        await store.change(second.job_id, lambda job: Change(job=job, message_id="77", copies=plan))

    assert None is await store.copy("a.mp4")


async def test_claim_takes_the_oldest_due(store: AnyStore) -> None:
    """A claim takes what is due, the oldest first, no more than asked for, and nobody else gets it meanwhile."""
    for number in (3, 1, 2, 9):
        await complete(store, number, f"{number}.mp4")

    assert [] == await claim(store, timedelta())
    assert ["1.mp4", "2.mp4"] == await claim(store, 5 * SECOND, 2)
    assert ["3.mp4"] == await claim(store, 5 * SECOND)
    assert NOW + 9 * SECOND == await store.next_copy()


async def test_claim_runs_out(store: AnyStore) -> None:
    """A claim without an outcome is due again when its lease ends, with the next number."""
    await complete(store, 1, "a.mp4")
    (first,) = await store.claim_copies(NOW + SECOND, LEASE, 10)

    assert (1, NOW + SECOND + LEASE) == (first.attempt, first.due)
    assert [] == await claim(store, LEASE)
    (second,) = await store.claim_copies(NOW + SECOND + LEASE, LEASE, 10)
    assert 2 == second.attempt


async def test_claim_is_renewed(store: AnyStore) -> None:
    """A claim can be kept for longer, until another try has been claimed or it is over."""
    await complete(store, 1, "a.mp4")
    await claim(store, SECOND)

    assert await store.renew_copy("a.mp4", 1, NOW + 2 * LEASE)
    assert [] == await claim(store, 2 * LEASE - SECOND)
    assert ["a.mp4"] == await claim(store, 2 * LEASE)
    assert not await store.renew_copy("a.mp4", 1, NOW + 9 * LEASE)
    assert await store.finish_copy("a.mp4", 2, DONE)
    assert not await store.renew_copy("a.mp4", 2, NOW + 9 * LEASE)
    assert not await store.renew_copy("b.mp4", 1, NOW + 9 * LEASE)


async def test_claims_of_the_dead_are_released(store: AnyStore) -> None:
    """What a dead process had claimed is due at once; what waits for its next try, or is over, stays as it is."""
    await some_of_each(store)
    now = NOW + 6 * SECOND

    assert 1 == await store.release_copies(now)
    assert ["under-way.mp4"] == await claim(store, 6 * SECOND)
    assert 0 == await store.release_copies(now + LEASE)
    waits = await store.copy("waits.mp4")
    assert waits is not None
    assert NOW + LEASE == waits.due


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(DONE, CopyState.DONE), (again(LEASE), CopyState.WAITING), (GIVEN_UP, CopyState.FAILED)],
)
async def test_outcomes(store: AnyStore, outcome: CopyOutcome, state: CopyState) -> None:
    """The outcome of a try says how the copy stands, what was wrong, where it is kept, and when it is tried again."""
    await complete(store, 1, "a.mp4")
    await claim(store)

    assert await store.finish_copy("a.mp4", 1, outcome)
    found = await store.copy("a.mp4")
    assert found is not None
    assert (state, outcome.retry_at, outcome.error, outcome.kept, 1) == (
        found.state,
        found.due,
        found.error,
        found.kept,
        found.attempt,
    )
    assert outcome.retry_at == await store.next_copy()


async def test_one_outcome(store: AnyStore) -> None:
    """Only the newest try decides, and only once."""
    await complete(store, 1, "a.mp4")
    await claim(store)
    await claim(store, timedelta(hours=2))

    assert not await store.finish_copy("a.mp4", 1, DONE)
    assert await store.finish_copy("a.mp4", 2, GIVEN_UP)
    assert not await store.finish_copy("a.mp4", 2, DONE)
    found = await store.copy("a.mp4")
    assert found is not None
    assert CopyState.FAILED is found.state


async def test_impossible_outcome(store: AnyStore) -> None:
    """A copy that was made is not one to be made: saying both is a defect, and nothing is written."""
    await complete(store, 1, "a.mp4")
    await claim(store)
    with pytest.raises(ValueError, match="not tried again"):
        await store.finish_copy("a.mp4", 1, CopyOutcome(kept=KEPT, retry_at=NOW))

    assert await store.renew_copy("a.mp4", 1, NOW)


async def test_a_claim_forgets_the_error(store: AnyStore) -> None:
    """While a try is under way, what was wrong with the last one is not said any more."""
    await complete(store, 1, "a.mp4")
    await claim(store)
    await store.finish_copy("a.mp4", 1, again(LEASE))
    (copy,) = await store.claim_copies(NOW + LEASE, LEASE, 1)

    assert None is copy.error


async def some_of_each(store: AnyStore) -> None:
    """Add one copy that is new, one under way, one that waits for its next try, one done, and one failed."""
    await complete(store, 9, "new.mp4")
    for number, name in enumerate(("under-way", "waits", "done", "failed"), 1):
        await complete(store, number, f"{name}.mp4")
    await claim(store, 5 * SECOND)
    for name, outcome in (("waits", again(LEASE)), ("done", DONE), ("failed", GIVEN_UP)):
        await store.finish_copy(f"{name}.mp4", 1, outcome)


async def test_listed_and_counted(store: AnyStore) -> None:
    """What is not done is listed, oldest first; all are counted, with their bytes."""
    await some_of_each(store)

    undone = [copy.name for copy in await store.undone_copies(10)]
    assert ["under-way.mp4", "waits.mp4", "failed.mp4", "new.mp4"] == undone
    assert ["under-way.mp4", "waits.mp4"] == [copy.name for copy in await store.undone_copies(2)]
    assert await store.count_copies() == {
        CopyState.WAITING: CopyCount(3, 0),
        CopyState.DONE: CopyCount(1, KEPT.size),
        CopyState.FAILED: CopyCount(1, 0),
    }


async def test_retry(store: AnyStore) -> None:
    """Asked to, all that rest or failed are due at once and begin anew; others go on as they were."""
    await some_of_each(store)
    now = NOW + 7 * SECOND

    assert 2 == await store.retry_copies(now)
    claimed = await store.claim_copies(now, LEASE, 10)
    assert [("failed.mp4", now, 2), ("waits.mp4", now, 2)] == [(c.name, c.begun, c.attempt) for c in claimed]


async def test_retry_of_one_job(store: AnyStore) -> None:
    """Asked for one job, its copies are made again, done or not, but for one that is being made."""
    await some_of_each(store)
    now = NOW + 7 * SECOND

    assert 0 == await store.retry_copies(now, "nobody")
    assert 0 == await store.retry_copies(now, a_final_job(1).job_id)
    assert 1 == await store.retry_copies(now, a_final_job(3).job_id)
    assert 1 == await store.retry_copies(now, a_final_job(4).job_id)
    assert ["done.mp4", "failed.mp4"] == [c.name for c in await store.claim_copies(now, LEASE, 10)]


async def test_outlives_its_job(store: AnyStore) -> None:
    """When a job is pruned its copies are known without it until they are forgotten; nobody tries to make them again."""
    await some_of_each(store)
    await store.prune(NOW + 6 * SECOND)

    found = await store.abandoned_copies(10, with_done=True)
    assert ["done.mp4", "failed.mp4", "under-way.mp4", "waits.mp4"] == [copy.name for copy in found]
    assert ["done.mp4"] == [copy.name for copy in await store.abandoned_copies(1, with_done=True)]
    unfinished = await store.abandoned_copies(10, with_done=False)
    assert ["failed.mp4", "under-way.mp4", "waits.mp4"] == [copy.name for copy in unfinished]
    assert 0 == await store.retry_copies(NOW)
    await store.forget_copies(["done.mp4", "failed.mp4", "nobody.mp4"])
    assert None is await store.copy("done.mp4")
    assert None is not await store.copy("waits.mp4")
    assert None is not await store.copy("new.mp4")


async def test_survives_a_restart(opener: Opener) -> None:
    """What was planned and what was made is there after the store was opened again."""
    async with opener() as store:
        await complete(store, 1, "a.mp4")
        await complete(store, 2, "b.mp4")
        await claim(store, SECOND)
        await store.finish_copy("a.mp4", 1, DONE)
    async with opener() as store:
        found = await store.copy("a.mp4")

        assert found is not None
        assert KEPT == found.kept
        assert ["b.mp4"] == await claim(store)


async def test_job_keeps_its_names(store: AnyStore) -> None:
    """The name of a file's copy is kept with its job."""
    job = a_final_job(1, status=Status.COMPLETED, attachments=(a_file(copy_name="a.mp4"), a_file()))
    await put(store, job)

    assert job == await store.job(job.job_id)
