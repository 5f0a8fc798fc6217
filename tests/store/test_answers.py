"""Owed answers: of an answer and a refusal, the store lets one be first."""

import asyncio
from datetime import timedelta

from pikarelay.services.ports import Giving, Refusal
from tests.store.conftest import NOW, AnyStore, a_caller, a_job

UNTIL = NOW + timedelta(seconds=30)
REFUSAL = Refusal(details='{"retry_after": 2.0}', retry_after=2.0)


async def owing(store: AnyStore, number: int = 1) -> str:
    """Admit a job whose POST owes an answer, and return its id."""
    if number == 1:
        await store.add_caller(a_caller())
    job = a_job(number)
    await store.admit("ann", ["100"], lambda _: job, answer_until=UNTIL)
    return job.job_id


async def test_given_first(store: AnyStore) -> None:
    """Once the answer may be given, nobody can hold it back; the callback waits until it has left."""
    job_id = await owing(store)
    assert Giving.MAY is await store.give_answer(job_id, NOW)
    assert not await store.claim_refusal(job_id, NOW)
    assert UNTIL == await store.owed_until(job_id)
    await store.close_answer(job_id)

    assert await store.owed_until(job_id) is None
    assert Giving.MAY is await store.give_answer(job_id, NOW)


async def test_refused_first(store: AnyStore) -> None:
    """An answer that is held back waits; refused, its job is gone and the POST is told why."""
    job_id = await owing(store)
    assert await store.claim_refusal(job_id, NOW)
    assert not await store.claim_refusal(job_id, NOW)
    assert Giving.MUST_WAIT is await store.give_answer(job_id, NOW)
    assert await store.refusal(job_id) is None
    assert await store.refuse(job_id, REFUSAL, NOW, was_sent=False) is None

    assert await store.job(job_id) is None
    assert REFUSAL == await store.refusal(job_id)
    assert REFUSAL == await store.give_answer(job_id, NOW)


async def test_refused_too_late(store: AnyStore) -> None:
    """What nobody holds back is not refused, nor what has been given since the one who held it back stood still."""
    open_one = await owing(store)
    given = await owing(store, 2)
    assert await store.claim_refusal(given, NOW)
    assert Giving.MAY is await store.give_answer(given, UNTIL)
    lapsed = await owing(store, 3)
    assert await store.claim_refusal(lapsed, NOW)
    for job_id, now in ((open_one, NOW), (given, NOW), (lapsed, UNTIL)):
        kept = await store.refuse(job_id, REFUSAL, now, was_sent=False)

        assert kept is not None
        assert job_id == kept.job_id
        assert kept == await store.job(job_id)
        assert await store.refusal(job_id) is None


async def test_refused_twice(store: AnyStore) -> None:
    """A refusal that is repeated, because it is not known whether it was written, changes nothing."""
    job_id = await owing(store)
    assert await store.claim_refusal(job_id, NOW)
    for _ in range(2):
        assert await store.refuse(job_id, REFUSAL, NOW, was_sent=False) is None

    assert REFUSAL == await store.give_answer(job_id, NOW)


async def test_closed_while_it_is_held_back(store: AnyStore) -> None:
    """When the POST hangs up while its refusal is being decided, others who ask for the job wait for that."""
    job_id = await owing(store)
    assert await store.claim_refusal(job_id, NOW)
    await store.close_answer(job_id)
    assert Giving.MUST_WAIT is await store.give_answer(job_id, NOW)
    await store.refuse(job_id, REFUSAL, NOW, was_sent=False)

    assert REFUSAL == await store.give_answer(job_id, NOW)

    await store.close_answer(job_id)

    assert await store.owed_until(job_id) is None


async def test_spared(store: AnyStore) -> None:
    """An answer that was held back for nothing may be given."""
    job_id = await owing(store)
    assert await store.claim_refusal(job_id, NOW)
    await store.spare(job_id)

    assert Giving.MAY is await store.give_answer(job_id, NOW)


async def test_claim_of_a_dead_node(store: AnyStore) -> None:
    """A node that dies while it holds an answer back does so no longer than the answer is owed."""
    job_id = await owing(store)
    assert await store.claim_refusal(job_id, NOW)

    assert Giving.MAY is await store.give_answer(job_id, UNTIL)


async def test_nobody_waits(store: AnyStore) -> None:
    """There is nothing to hold back where no POST waits, or not any more."""
    job_id = await owing(store)
    assert not await store.claim_refusal(job_id, UNTIL)
    await store.close_answer(job_id)

    assert not await store.claim_refusal(job_id, NOW)
    assert not await store.claim_refusal("unknown", NOW)


async def test_race(store: AnyStore) -> None:
    """Of an answer and a refusal at the same moment exactly one is first, however often it is tried."""
    for number in range(1, 11):
        job_id = await owing(store, number)
        given, is_claimed = await asyncio.gather(
            store.give_answer(job_id, NOW), store.claim_refusal(job_id, NOW)
        )

        assert is_claimed is (given is Giving.MUST_WAIT)


async def test_old_ones_go(store: AnyStore) -> None:
    """What is owed since yesterday is owed no more."""
    job_id = await owing(store)
    await store.prune_keys(UNTIL + timedelta(seconds=1))

    assert await store.owed_until(job_id) is None
