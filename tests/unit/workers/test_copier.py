"""The mirror is filled: at once, a few at a time, and without spinning."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pikarelay.jobs.lifecycle import Finished
from pikarelay.jobs.mirror import SHORTEST_WAIT, CopyState
from pikarelay.services.copy_file import FileCopier
from pikarelay.services.ports import CopyFailed
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.refresh_links import LinkRefresher
from pikarelay.workers.copier import AT_ONCE, LEASE, Copier
from tests.factories import VIDEO, a_press, a_result, a_running_job
from tests.fakes.clock import settle
from tests.fakes.mirror import FakeMirror, FakeSource
from tests.fakes.relay import FakeRelay

SECOND = timedelta(seconds=1)


@pytest.fixture
def mirror() -> FakeMirror:
    return FakeMirror()


def a_worker(relay: FakeRelay, mirror: FakeMirror) -> Copier:
    source = FakeSource()
    source.files[VIDEO.url] = b"a video"
    links = LinkRefresher(relay.store, relay.discord, relay.clock)
    copier = FileCopier(
        relay.store, links, source, mirror, relay.board, relay.clock, lambda: 0.5, total_seconds=60
    )
    return Copier(relay.store, copier, relay.board, relay.clock)


@pytest.fixture
async def worker(relay: FakeRelay, mirror: FakeMirror) -> AsyncIterator[Copier]:
    worker = a_worker(relay, mirror)
    await worker.start()
    await settle()
    yield worker
    await worker.stop()


async def complete(relay: FakeRelay, *job_ids: str) -> None:
    recorder = EventRecorder(relay.store, relay.board, relay.clock, relay.ids, "https://relay.example/")
    for job_id in job_ids:
        relay.store.jobs[job_id] = a_running_job(job_id, press=a_press(nonce=job_id))
        await recorder.record(job_id, Finished(message=a_result()))


def states(relay: FakeRelay) -> list[str]:
    return [copy.state.value for copy in relay.store.copies.values()]


@pytest.mark.usefixtures("worker")
async def test_copied_at_once(relay: FakeRelay, mirror: FakeMirror) -> None:
    """No time passes between a job's completion and its copy."""
    await complete(relay, "job-1")
    await settle()

    assert {"file1.mp4": b"a video"} == mirror.files
    assert ["done"] == states(relay)


@pytest.mark.usefixtures("worker")
async def test_idle_worker_looks_every_five_seconds(relay: FakeRelay) -> None:
    """With nothing due the store is asked every five seconds, not all the time."""
    before = relay.store.calls["claim_copies"]
    await settle(500)
    assert before == relay.store.calls["claim_copies"]
    await relay.clock.advance(5 * SECOND)
    await settle(500)

    assert before + 1 == relay.store.calls["claim_copies"]


@pytest.mark.usefixtures("worker")
async def test_a_few_at_a_time(relay: FakeRelay, mirror: FakeMirror) -> None:
    """No more than four are copied at once, and the others follow as places become free."""
    mirror.flows.clear()
    await complete(relay, *(f"job-{n}" for n in range(AT_ONCE + 5)))
    await settle(500)
    assert AT_ONCE == mirror.most_at_once
    mirror.flows.set()
    await settle(1000)

    assert ["done"] * (AT_ONCE + 5) == states(relay)
    assert AT_ONCE == mirror.most_at_once


@pytest.mark.usefixtures("worker")
async def test_no_spin_while_all_places_are_taken(relay: FakeRelay, mirror: FakeMirror) -> None:
    """While nothing can be begun, nothing is claimed."""
    mirror.flows.clear()
    await complete(relay, *(f"job-{n}" for n in range(AT_ONCE + 1)))
    await settle(500)
    before = relay.store.calls["claim_copies"]
    await settle(500)

    assert before == relay.store.calls["claim_copies"]


@pytest.mark.usefixtures("worker")
async def test_tried_again_when_it_is_due(relay: FakeRelay, mirror: FakeMirror) -> None:
    """A copy that failed is tried again at its time, and not a moment sooner."""
    mirror.out_of_order = CopyFailed("The bucket is away.")
    await complete(relay, "job-1")
    await relay.clock.advance(SHORTEST_WAIT - timedelta(milliseconds=1))
    assert 1 == relay.store.copies["file1.mp4"].attempt
    mirror.out_of_order = None
    await relay.clock.advance(timedelta(milliseconds=1))

    assert ["done"] == states(relay)


@pytest.mark.usefixtures("worker")
async def test_long_copies_keep_their_claim(relay: FakeRelay, mirror: FakeMirror) -> None:
    """A copy that takes longer than a claim is made once."""
    mirror.flows.clear()
    await complete(relay, "job-1")
    await relay.clock.advance(5 * LEASE)
    mirror.flows.set()
    await settle()

    assert (CopyState.DONE, 1) == (
        relay.store.copies["file1.mp4"].state,
        relay.store.copies["file1.mp4"].attempt,
    )


async def test_killed_in_the_middle(relay: FakeRelay, mirror: FakeMirror, worker: Copier) -> None:
    """What a process left in the middle is copied by the next one, once the claim has run out."""
    mirror.flows.clear()
    await complete(relay, "job-1")
    await settle()
    await worker.stop()
    mirror.flows.set()
    after = a_worker(relay, mirror)
    await after.start()
    await relay.clock.advance(LEASE - SECOND)
    assert {} == mirror.files
    await relay.clock.advance(SECOND)
    await after.stop()

    assert {"file1.mp4": b"a video"} == mirror.files
    assert ["done"] == states(relay)


@pytest.mark.usefixtures("worker")
async def test_a_defect_stops_nobody(
    relay: FakeRelay, mirror: FakeMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outcome that cannot be written down is no end: the claim runs out, and the copy is made again."""
    finish = relay.store.finish_copy

    async def broken(*_: object) -> bool:
        monkeypatch.setattr(relay.store, "finish_copy", finish)
        raise OSError("disk")

    monkeypatch.setattr(relay.store, "finish_copy", broken)
    await complete(relay, "job-1")
    await relay.clock.advance(LEASE + 5 * SECOND)

    assert ["done"] == states(relay)
    assert 2 == relay.store.copies["file1.mp4"].attempt
    assert {"file1.mp4"} == set(mirror.files)
