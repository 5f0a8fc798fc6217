"""A POST on one node, its press on another: one of them is first, and both know which."""

import asyncio
from datetime import timedelta

import pytest

from pikarelay.errors import DiscordRateLimited
from pikarelay.jobs.job import Job, Status
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.services.board import Board
from pikarelay.services.ports import Announcement, News
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.shared_answers import GRACE, SharedAnswers
from pikarelay.workers.hearer import Hearer
from tests.factories import a_job
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

WAIT = timedelta(seconds=10)
SECOND = timedelta(seconds=1)
LIMITED = DiscordRateLimited('{"retry_after": 2.0}', 2.0, was_sent=False)


class Node:
    """One node's own part: its board, and what of it hears the store."""

    def __init__(self, relay: FakeRelay) -> None:
        self.board = Board()
        self.answers = SharedAnswers(relay.store, self.board, relay.clock)
        self.hearer = Hearer(relay.store, self.board, relay.clock)
        self.recorder = EventRecorder(relay.store, self.board, relay.clock, relay.ids)


async def a_post(relay: FakeRelay, node: Node) -> asyncio.Task[Job]:
    """Admit a job as a POST does, and let it wait."""
    job = a_job("job-1")
    until = node.answers.owed_until(WAIT)
    await relay.store.admit(job.caller_id, [job.channel], lambda _: job, answer_until=until)
    post = asyncio.ensure_future(node.answers.wait(job, lambda its: its.status is not Status.CREATED, WAIT))
    await settle()
    return post


@pytest.fixture
def api(relay: FakeRelay) -> Node:
    return Node(relay)


@pytest.fixture
def worker(relay: FakeRelay) -> Node:
    return Node(relay)


@pytest.mark.parametrize("leaves_work", [True, False])
def test_an_end_that_leaves_work(relay: FakeRelay, api: Node, *, leaves_work: bool) -> None:
    """A node looks for callbacks and copies when a job has ended that leaves some, and not when it has left none."""
    api.hearer.hear(Announcement(news=News.ENDED, job_id="job-1", leaves_work=leaves_work))

    assert leaves_work is api.board.callback_due.is_set() is api.board.copy_due.is_set()


async def test_woken_by_another_node(relay: FakeRelay, api: Node, worker: Node) -> None:
    """A POST is answered in the moment in which another node changes its job."""
    post = await a_post(relay, api)
    assert not post.done()
    await worker.recorder.record("job-1", Cancelled())
    await settle()

    assert Status.CANCELLED is post.result().status


async def test_word_is_lost(relay: FakeRelay, api: Node, worker: Node) -> None:
    """When word of the change is lost, the POST is answered a second later all the same."""
    await api.hearer.start()
    post = await a_post(relay, api)
    relay.store.hearers.clear()
    await worker.recorder.record("job-1", Cancelled())
    await settle()
    assert not post.done()
    await relay.clock.advance(SECOND)
    await api.hearer.stop()

    assert Status.CANCELLED is post.result().status


async def test_refused_on_another_node(relay: FakeRelay, api: Node, worker: Node) -> None:
    """Discord's 429 to a press on another node is what the POST answers with; its job is gone."""
    post = await a_post(relay, api)
    claim = await worker.answers.claim("job-1")
    assert claim is not None
    assert await claim.refuse(LIMITED) is None
    await settle()

    with pytest.raises(DiscordRateLimited, match="429"):
        await post
    assert "job-1" not in relay.store.jobs


async def test_answer_waits_for_a_refusal_under_way(relay: FakeRelay, api: Node, worker: Node) -> None:
    """A POST whose time is up while its refusal is being decided waits for that, and no job is given out."""
    post = await a_post(relay, api)
    claim = await worker.answers.claim("job-1")
    assert claim is not None
    await relay.clock.advance(WAIT + SECOND)
    assert not post.done()
    await claim.refuse(LIMITED)
    await relay.clock.advance(SECOND)

    assert isinstance(post.exception(), DiscordRateLimited)


async def test_spared(relay: FakeRelay, api: Node, worker: Node) -> None:
    """A POST whose refusal is taken back answers with its job."""
    post = await a_post(relay, api)
    claim = await worker.answers.claim("job-1")
    assert claim is not None
    await relay.clock.advance(WAIT + SECOND)
    await claim.spare()
    await relay.clock.advance(SECOND)

    assert "job-1" == post.result().job_id


async def test_refusal_comes_too_late(relay: FakeRelay, api: Node, worker: Node) -> None:
    """Once a POST has answered with its job, no refusal takes that back."""
    post = await a_post(relay, api)
    await relay.clock.advance(WAIT + SECOND)

    assert "job-1" == post.result().job_id
    assert await worker.answers.claim("job-1") is None


async def test_given_by_another_node(relay: FakeRelay, api: Node, worker: Node) -> None:
    """Once any node has answered with the job, no refusal takes that back."""
    await a_post(relay, api)
    await Node(relay).answers.give("job-1")

    assert await worker.answers.claim("job-1") is None


async def test_giving_waits_for_a_refusal_under_way(relay: FakeRelay, api: Node, worker: Node) -> None:
    """A node that would answer with another node's job waits while its refusal is being decided, also when its POST is gone."""
    post = await a_post(relay, api)
    claim = await worker.answers.claim("job-1")
    assert claim is not None
    post.cancel()
    api.answers.close("job-1")
    await settle()
    giving = asyncio.ensure_future(Node(relay).answers.give("job-1"))
    await relay.clock.advance(SECOND)
    assert not giving.done()
    await claim.refuse(LIMITED)
    await relay.clock.advance(SECOND)

    assert giving.done()
    assert "job-1" not in relay.store.jobs


async def test_worker_stands_still(relay: FakeRelay, api: Node, worker: Node) -> None:
    """A worker that comes back when its refusal is owed no more takes no job back that was given out meanwhile."""
    post = await a_post(relay, api)
    claim = await worker.answers.claim("job-1")
    assert claim is not None
    await relay.clock.advance(WAIT + GRACE + SECOND)
    assert "job-1" == post.result().job_id

    kept = await claim.refuse(LIMITED)

    assert kept == relay.store.jobs["job-1"] == post.result()


async def test_store_is_away(relay: FakeRelay, api: Node) -> None:
    """A POST whose store is away when its time is up answers with its job, when the store is back or it may not wait longer."""
    post = await a_post(relay, api)
    relay.store.unavailable |= {"job", "give_answer"}
    await relay.clock.advance(WAIT + SECOND)
    assert not post.done()
    relay.store.unavailable.clear()
    await relay.clock.advance(SECOND)

    assert "job-1" == post.result().job_id


async def test_store_stays_away(relay: FakeRelay, api: Node) -> None:
    """A POST whose store does not come back answers with its job as it knows it: that was admitted, whatever happens."""
    post = await a_post(relay, api)
    relay.store.unavailable |= {"job", "give_answer"}
    await relay.clock.advance(WAIT + GRACE + 3 * SECOND)

    assert "job-1" == post.result().job_id


async def test_callback_waits_for_the_answer(relay: FakeRelay, api: Node, worker: Node) -> None:
    """Another node's callback waits until the answer has left, and no longer than that may take."""
    await a_post(relay, api)
    left = asyncio.ensure_future(worker.answers.left("job-1"))
    await relay.clock.advance(SECOND)
    assert not left.done()
    api.answers.close("job-1")
    await relay.clock.advance(SECOND)

    assert left.done()


async def test_node_died_before_it_answered(relay: FakeRelay, api: Node, worker: Node) -> None:
    """Nobody waits for a dead node's answer longer than it could have taken."""
    await a_post(relay, api)
    left = asyncio.ensure_future(worker.answers.left("job-1"))
    await relay.clock.advance(WAIT + GRACE - SECOND)
    assert not left.done()
    await relay.clock.advance(2 * SECOND)

    assert left.done()
