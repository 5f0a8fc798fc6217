"""POST /button: its refusals in their order, and what is looked up."""

import pytest

from pikarelay.errors import ButtonNotSupported, JobNotFound, TooManyJobs
from pikarelay.jobs.job import Status
from pikarelay.jobs.requests import ButtonRequest, CommonFields
from pikarelay.jobs.secret import Secret
from tests.factories import a_caller, a_parent, a_running_job, an_account
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay


def request(job_id: str, button: str = "retry", max_jobs: int | None = None) -> ButtonRequest:
    return ButtonRequest(job_id=job_id, button=button, common=CommonFields(max_jobs=max_jobs))


async def test_unknown_and_foreign_parent(relay: FakeRelay) -> None:
    """An unknown parent and somebody else's are the same 404."""
    relay.store.jobs["theirs"] = a_parent(job_id="theirs", caller_id="caller-2")
    for job_id in ("nobody", "theirs"):
        with pytest.raises(JobNotFound, match=job_id):
            await relay.press_button(a_caller(), request(job_id))


async def test_refusals_in_order(relay: FakeRelay) -> None:
    """Unknown parent comes before unsupported button, and that before a full channel."""
    relay.store.jobs["job-1"] = a_running_job()
    with pytest.raises(JobNotFound):
        await relay.press_button(a_caller(), request("nobody", "remix", 1))
    with pytest.raises(ButtonNotSupported):
        await relay.press_button(a_caller(), request("job-1", "retry", 1))
    with pytest.raises(TooManyJobs):
        await relay.press_button(a_caller(), request("parent", "retry", 1))

    assert ["job-1"] == relay.jobs_made


async def test_current_token_of_the_account(relay: FakeRelay) -> None:
    """An old job is pressed with the token that its channel's account has now."""
    await relay.store.put_account(an_account(discord_token=Secret("current")))
    relay.retry()
    await settle()

    assert [("current", a_parent().channel)] == relay.discord.listening


async def test_other_channels_and_callers_do_not_count(relay: FakeRelay) -> None:
    """Only the caller's own unfinished jobs on that channel hold its places."""
    relay.store.jobs["a"] = a_running_job("a", channel="1180000000000000002", prompt="a")
    relay.store.jobs["b"] = a_running_job("b", status=Status.CANCELLED)
    relay.store.jobs["c"] = a_running_job("c", caller_id="caller-2", channel="1180000000000000003")
    post = relay.retry(max_jobs=1)
    await settle()

    assert not post.done()
    assert "job-1" in relay.store.jobs


async def test_button_job_can_be_pressed_again(relay: FakeRelay) -> None:
    """A completed button job is a parent like any other."""
    relay.store.jobs["again"] = a_parent(job_id="again", button="retry", parent_job_id="parent")
    relay.retry("again")
    await settle()

    assert "again" == relay.job().parent_job_id
