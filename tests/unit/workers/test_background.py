"""Tasks that nobody waits for."""

import asyncio

from structlog.testing import capture_logs

from pikarelay.workers.background import BackgroundTasks
from tests.fakes.clock import settle


async def test_a_task_that_ends_is_forgotten() -> None:
    """What has ended is not kept."""
    background = BackgroundTasks("watcher")
    background.start(asyncio.sleep(0))
    before = len(background)
    await settle()

    assert (1, 0) == (before, len(background))


async def test_a_failure_is_logged() -> None:
    """An error that nobody waits for is in the log, under the worker's name."""
    background = BackgroundTasks("watcher")

    async def fail() -> None:
        raise RuntimeError("out of ink")

    with capture_logs() as logs:
        background.start(fail())
        await settle()

    assert [("worker.task_failed", "watcher")] == [(log["event"], log["worker"]) for log in logs]


async def test_stop_ends_what_is_under_way() -> None:
    """A stop cancels, and waits for what the tasks do then."""
    background = BackgroundTasks("watcher")
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    background.start(wait())
    await settle()
    await background.stop()

    assert (["cleaned up"], 0) == (ended, len(background))
