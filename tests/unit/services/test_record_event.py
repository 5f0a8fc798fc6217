"""One change, one transaction, one callback."""

import asyncio
import json
from datetime import timedelta

import pytest

from pikarelay.jobs.job import Status
from pikarelay.jobs.lifecycle import Announced, Cancelled, Event, Failed, Finished, Settled
from pikarelay.jobs.mirror import copies_of
from pikarelay.services.ports import MessageTaken
from pikarelay.services.record_event import EventRecorder
from tests.factories import VIDEO, a_message, a_result, a_running_job
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


class TestWithMirror:
    FILES_AT = "https://relay.example/files/"

    @pytest.fixture
    def recorder(self, relay: FakeRelay) -> EventRecorder:
        return EventRecorder(relay.store, relay.board, relay.clock, relay.ids, self.FILES_AT)

    async def test_copies_are_planned_with_the_ending(
        self, relay: FakeRelay, recorder: EventRecorder
    ) -> None:
        """A job's end, its callback and the copies of its files are one change, and the callback has the lasting links."""
        await recorder.record("job-1", Finished(message=a_result(attachments=(VIDEO, VIDEO))))

        body = json.loads(relay.store.callbacks["job-1"].callback.body)
        names = ["file1.mp4", "file1-1.mp4"]
        assert names == [copy.name for copy in relay.store.copies.values()]
        assert {(relay.clock.now(), "job-1")} == {(c.due, c.job_id) for c in relay.store.copies.values()}
        assert tuple(names) == copies_of(relay.job())
        for key in ("url", "proxy_url"):
            assert [self.FILES_AT + name for name in names] == [file[key] for file in body["attachments"]]
        assert relay.board.copy_due.is_set()

    async def test_links_of_discord_are_kept(self, relay: FakeRelay, recorder: EventRecorder) -> None:
        """The job itself keeps Discord's links, from which the copies are made."""
        await recorder.record("job-1", Finished(message=a_result()))

        assert VIDEO.url == relay.job().attachments[0].url

    @pytest.mark.parametrize("event", [Cancelled(), Failed(error="no"), Announced(message=a_message())])
    async def test_nothing_to_copy(self, relay: FakeRelay, recorder: EventRecorder, event: Event) -> None:
        """A job that brings no result has no copies."""
        await recorder.record("job-1", event)

        assert {} == relay.store.copies
        assert not relay.board.copy_due.is_set()

    async def test_planned_once(self, relay: FakeRelay, recorder: EventRecorder) -> None:
        """What a completed job learns later changes no name and plans no other copy."""
        await recorder.record("job-1", Finished(message=a_result()))
        await recorder.decide("job-1", lambda _: Settled())

        assert ["file1.mp4"] == list(relay.store.copies)
        assert ("file1.mp4",) == copies_of(relay.job())

    async def test_without_mirror(self, relay: FakeRelay) -> None:
        """Without a mirror nothing is planned, and the links are Discord's."""
        await relay.recorder.record("job-1", Finished(message=a_result()))

        body = json.loads(relay.store.callbacks["job-1"].callback.body)
        assert {} == relay.store.copies
        assert VIDEO.url == body["attachments"][0]["url"]
