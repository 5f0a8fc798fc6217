"""A caller gives up."""

import msgspec
import pytest

from pikarelay.errors import JobIdNotProvided, JobNotFound
from pikarelay.jobs.job import FINAL, PressPhase, Status
from pikarelay.services.cancel_job import cancel_job
from tests.factories import a_caller, a_job, a_result
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay


@pytest.mark.parametrize("status", sorted(set(Status) - FINAL))
async def test_unfinished_job(relay: FakeRelay, status: Status) -> None:
    """A job under way is cancelled, frees its place, and owes its callback."""
    relay.store.jobs["job-1"] = a_job(status=status, reply_url="https://hook.example/x")

    job = await cancel_job(relay.store, relay.recorder, a_caller(), "job-1")

    assert Status.CANCELLED is job.status
    assert () == await relay.store.executing("caller-1")
    assert ["job-1"] == list(relay.store.callbacks)


@pytest.mark.parametrize("status", sorted(FINAL))
async def test_ended_job_keeps_its_status(relay: FakeRelay, status: Status) -> None:
    """A job that has ended is returned as it ended, and nobody is called back again."""
    relay.store.jobs["job-1"] = a_job(status=status, reply_url="https://hook.example/x")

    assert status is (await cancel_job(relay.store, relay.recorder, a_caller(), "job-1")).status
    assert {} == relay.store.callbacks


async def test_late_result_changes_nothing(relay: FakeRelay) -> None:
    """A result after the cancellation is not shown: it settles the press, and waits for a person."""
    relay.retry()
    await settle()
    await cancel_job(relay.store, relay.recorder, a_caller(), "job-1")
    cancelled = relay.job()
    await relay.say("job-1", a_result())

    assert PressPhase.ACCEPTED is cancelled.press.phase
    assert PressPhase.SETTLED is relay.job().press.phase
    assert cancelled == msgspec.structs.replace(relay.job(), press=cancelled.press)
    assert [("job-1",)] == [orphan.candidates for orphan in relay.store.kept_orphans.values()]


async def test_waiting_post_is_answered(relay: FakeRelay) -> None:
    """A POST that still waits for the bot is answered with its cancelled job."""
    post = relay.retry()
    await settle()
    await cancel_job(relay.store, relay.recorder, a_caller(), "job-1")
    await settle()

    assert (200, Status.CANCELLED) == (post.result().code, post.result().job.status)


async def test_refusals(relay: FakeRelay) -> None:
    """No id, an unknown one and somebody else's are refused as when reading."""
    with pytest.raises(JobIdNotProvided):
        await cancel_job(relay.store, relay.recorder, a_caller(), None)
    for caller, job_id in ((a_caller(), "nobody"), (a_caller(caller_id="caller-2"), "parent")):
        with pytest.raises(JobNotFound):
            await cancel_job(relay.store, relay.recorder, caller, job_id)
