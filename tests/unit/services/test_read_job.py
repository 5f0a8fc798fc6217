"""A job for its owner."""

import pytest

from pikarelay.errors import JobIdNotProvided, JobNotFound
from pikarelay.services.read_job import read_job
from tests.factories import a_caller
from tests.fakes.relay import FakeRelay


async def test_own_job(relay: FakeRelay) -> None:
    """A caller reads their job."""
    assert "parent" == (await read_job(relay.store, a_caller(), "parent")).job_id


@pytest.mark.parametrize("job_id", [None, ""])
async def test_no_job_named(relay: FakeRelay, job_id: str | None) -> None:
    """Without a job id there is nothing to look for."""
    with pytest.raises(JobIdNotProvided):
        await read_job(relay.store, a_caller(), job_id)


async def test_unknown_and_foreign_look_the_same(relay: FakeRelay) -> None:
    """Somebody else's job is refused in the words for one that never was."""
    messages = []
    for caller_id, job_id in (("caller-1", "nobody"), ("caller-2", "parent")):
        with pytest.raises(JobNotFound) as refused:
            await read_job(relay.store, a_caller(caller_id=caller_id), job_id)
        messages.append(refused.value.message.replace(job_id, "X"))

    assert ["Unable to locate job X"] * 2 == messages
