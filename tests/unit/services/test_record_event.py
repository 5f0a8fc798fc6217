"""One change, one transaction, one callback."""

import asyncio
import json
from datetime import timedelta

import pytest

from pikarelay.jobs.job import Status
from pikarelay.jobs.lifecycle import Announced, Cancelled, Failed, Finished
from pikarelay.services.ports import MessageTaken
from tests.factories import a_message, a_result, a_running_job
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

REPLY = "https://hook.example/x"


@pytest.fixture(autouse=True)
def _job(relay: FakeRelay) -> None:
    relay.store.jobs["job-1"] = a_running_job(reply_url=REPLY, reply_ref="ref")


async def test_ending_makes_its_callback_due(relay: FakeRelay) -> None:
    """The ending and its callback are one change; the callback's body is the job as it ended."""
    await relay.recorder.record("job-1", Finished(message=a_result()))

    kept = relay.store.callbacks["job-1"]
    body = json.loads(kept.callback.body)
    assert (REPLY, relay.clock.now()) == (kept.callback.url, kept.due)
    assert ("completed", "job-1", "ref", 200) == (
        body["status"],
        body["jobid"],
        body["replyRef"],
        body["code"],
    )
    assert relay.board.callback_due.is_set()


async def test_only_one_ending(relay: FakeRelay) -> None:
    """Of two endings at once one wins, and there is one callback, of that one."""
    both = await asyncio.gather(
        relay.recorder.record("job-1", Cancelled()), relay.recorder.record("job-1", Failed(error="late"))
    )

    assert [True, False] == [job is not None for job in both]
    assert Status.CANCELLED is relay.job().status
    assert "cancelled" == json.loads(relay.store.callbacks["job-1"].callback.body)["status"]


async def test_no_callback_before_the_end(relay: FakeRelay) -> None:
    """A job under way owes nobody a callback."""
    await relay.recorder.record("job-1", Announced(message=a_message()))

    assert {} == relay.store.callbacks
    assert not relay.board.callback_due.is_set()


async def test_no_callback_without_reply_url(relay: FakeRelay) -> None:
    """A job whose caller did not ask for one has no callback."""
    relay.store.jobs["job-1"] = a_running_job()
    await relay.recorder.record("job-1", Cancelled())

    assert {} == relay.store.callbacks


async def test_message_gets_its_owner(relay: FakeRelay) -> None:
    """The message of a change is the job's from then on, and no other job can take it."""
    relay.store.jobs["job-2"] = a_running_job("job-2")
    await relay.recorder.record("job-1", Announced(message=a_message()), message_id="55")

    assert {"55": "job-1"} == relay.store.owners
    with pytest.raises(MessageTaken):
        await relay.recorder.record("job-2", Announced(message=a_message()), message_id="55")
    assert Status.CREATED is relay.job("job-2").status


async def test_no_event_writes_nothing(relay: FakeRelay) -> None:
    """Deciding that nothing happened leaves the job as it is; a job that is not there stays so."""
    before = relay.job()

    assert None is await relay.recorder.decide("job-1", lambda _: None)
    assert None is await relay.recorder.record("nobody", Cancelled())
    assert before is relay.job()


async def test_watchers_see_what_is_stored(relay: FakeRelay) -> None:
    """Whoever waits for the job is woken after the change is stored."""
    with relay.board.watch(relay.job()) as watch:
        waiting = asyncio.ensure_future(
            watch.until(lambda job: job.is_final, timedelta(seconds=5), relay.clock)
        )
        await relay.recorder.record("job-1", Announced(message=a_message()))
        await settle()
        assert not waiting.done()
        await relay.recorder.record("job-1", Cancelled())
        seen = await waiting

    assert relay.job() == seen
