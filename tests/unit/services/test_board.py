"""Who waits for what, and that nothing is left when they are gone."""

import asyncio
from datetime import timedelta

import pytest

from pikarelay.errors import DiscordRateLimited
from pikarelay.jobs.job import Job, Status
from pikarelay.services.board import Board
from tests.factories import CHANNEL, a_file, a_job
from tests.fakes.clock import FakeClock, settle


async def test_watch_ends_with_what_it_waits_for() -> None:
    """A watch returns the first shown job of which its condition holds."""
    board, clock = Board(), FakeClock()
    with board.watch(a_job()) as watch:
        waiting = asyncio.ensure_future(watch.until(lambda job: job.content == "b", timedelta(9), clock))
        for content in "abc":
            board.publish(a_job(content=content))
            await settle()

    assert "b" == waiting.result().content
    assert 0 == clock.sleepers


async def test_watch_ends_with_its_time() -> None:
    """When time is up, the job is returned as it was last shown."""
    board, clock = Board(), FakeClock()
    with board.watch(a_job()) as watch:
        waiting = asyncio.ensure_future(watch.until(lambda _: False, timedelta(seconds=5), clock))
        board.publish(a_job(content="last"))
        await clock.advance(timedelta(seconds=5))

    assert "last" == waiting.result().content


async def test_several_watches_of_one_job() -> None:
    """Each watch of a job is shown every change, and only those of its job."""
    board, clock = Board(), FakeClock()
    with board.watch(a_job()) as one, board.watch(a_job()) as two, board.watch(a_job("other")) as other:
        waits = [
            asyncio.ensure_future(w.until(lambda job: job.content is not None, timedelta(seconds=5), clock))
            for w in (one, two, other)
        ]
        await settle()
        board.publish(a_job(content="x"))
        await settle()
        done = [wait.done() for wait in waits]
        await clock.advance(timedelta(seconds=5))

    assert [True, True, False] == done
    assert {} == board._watches


async def test_channel_watch() -> None:
    """A channel's watcher is shown its jobs, and none after it left."""
    board, shown = Board(), list[Job]()
    with board.watch_channel(CHANNEL, shown.append):
        board.publish(a_job(channel="another"))
        board.publish(a_job())
    board.publish(a_job("job-2"))

    assert [a_job()] == shown


async def test_answer_that_was_never_open() -> None:
    """Jobs of other processes, and of POSTs long answered, hold no callback back."""
    board = Board()
    board.close_answer("job-1")

    await asyncio.wait_for(board.answered("job-1"), 1)


async def test_hurried_waits_end() -> None:
    """When the process ends, POSTs that wait get their job as it is, and so do those that begin to wait after that."""
    board, clock = Board(), FakeClock()

    async def post(job_id: str) -> str | None:
        with board.refusable(a_job(job_id, content="so far")) as watch:
            return (await watch.until(lambda _: False, timedelta(seconds=60), clock)).content

    before = asyncio.ensure_future(post("job-1"))
    await settle()
    assert not before.done()
    board.hurry()
    after = asyncio.ensure_future(post("job-2"))
    await settle()

    assert ("so far", "so far") == (before.result(), after.result())
    assert 0 == clock.sleepers


async def test_hurry_does_not_overtake_a_refusal() -> None:
    """A POST whose refusal is being carried out waits for it all the same: its job may be gone."""
    board, clock = Board(), FakeClock()
    with board.refusable(a_job()) as watch:
        waiting = asyncio.ensure_future(watch.until(lambda _: False, timedelta(seconds=60), clock))
        await settle()
        claimed = board.claim_refusal(a_job().job_id)
        board.hurry()
        await settle()
        assert not waiting.done()
        assert claimed is not None
        claimed.refuse(DiscordRateLimited("{}"))
        await settle()

    with pytest.raises(DiscordRateLimited):
        waiting.result()


async def test_copies_are_due_with_their_job() -> None:
    """Whoever makes copies is woken by a job that has some, once it is final, and by no other."""
    board, files = Board(), (a_file(copy_name="a.mp4"),)
    board.publish(a_job(status=Status.COMPLETED, attachments=(a_file(),)))
    board.publish(a_job(status=Status.PROGRESS, attachments=files))
    assert not board.copy_due.is_set()
    board.publish(a_job(status=Status.COMPLETED, attachments=files))

    assert board.copy_due.is_set()


async def test_copy_watch() -> None:
    """Everybody who waits for a copy is woken by the end of its try, and nothing is remembered of those who left."""
    board = Board()
    with board.watch_copy("a.mp4") as first, board.watch_copy("a.mp4") as second:
        with board.watch_copy("a.mp4"):
            board.copy_tried("b.mp4")
            assert not first.is_set()
        board.copy_tried("a.mp4")
        assert first.is_set()
        assert second.is_set()
    board.copy_tried("a.mp4")

    assert {} == board._copies


async def test_landing() -> None:
    """Whoever asks for presses in the air waits until Discord has answered; who asks for others does not."""
    board, clock = Board(), FakeClock()
    with board.in_the_air("job-1"):
        waiting = asyncio.ensure_future(board.landed(["job-1", "job-2"], clock))
        await settle()
        before = waiting.done()
        others = await board.landed(["job-2"], clock)
    await settle()

    assert (False, False, True) == (before, others, waiting.result())
    assert not await board.landed(["job-1"], clock)
    assert 0 == clock.sleepers


async def test_landing_takes_too_long() -> None:
    """A press that stays in the air keeps nobody for more than five seconds."""
    board, clock = Board(), FakeClock()
    with board.in_the_air("job-1"):
        waiting = asyncio.ensure_future(board.landed(["job-1"], clock))
        await clock.advance(timedelta(seconds=5))

    assert waiting.result()
