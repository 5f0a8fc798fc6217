"""Presses that come from other nodes reach the worker whose channel it is, and nobody else."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pikarelay.errors import Unavailable
from pikarelay.jobs.job import Job, PressPhase
from pikarelay.services.ports import Announcement, News
from pikarelay.workers.press_hearer import PressHearer
from tests.factories import a_job, a_press
from tests.fakes.clock import settle
from tests.fakes.relay import FakeRelay

MINE = "1180000000000000001"
OTHER = "1180000000000000002"


class Presses:
    """A `PressQueue` that only keeps."""

    def __init__(self) -> None:
        self.queued: list[str] = []

    def put(self, job: Job) -> None:
        self.queued.append(job.job_id)


class Desk:
    """A hearer whose worker holds the channel `MINE`, and whatever session a test says."""

    def __init__(self, relay: FakeRelay) -> None:
        self.presses = Presses()
        self.strangers: list[str] = []
        self.keeps_session = True
        self.hearer = PressHearer(
            relay.store,
            self.presses,
            relay.clock,
            lambda channel: channel == MINE,
            lambda job: job.channel == MINE and self.keeps_session,
            self.strangers.append,
        )


@pytest.fixture
async def desk(relay: FakeRelay) -> AsyncIterator[Desk]:
    desk = Desk(relay)
    yield desk
    await desk.hearer.stop()


def admitted(relay: FakeRelay, job_id: str, channel: str, phase: str = "waiting") -> Announcement:
    relay.store.jobs[job_id] = a_job(job_id, channel=channel, press=a_press(PressPhase(phase), nonce=job_id))
    return Announcement(news=News.ADMITTED, job_id=job_id, channel=channel)


async def test_mine(relay: FakeRelay, desk: Desk) -> None:
    """A job on a channel of this worker is queued at once; one that was pressed already is not."""
    desk.hearer.hear(admitted(relay, "a", MINE))
    desk.hearer.hear(admitted(relay, "b", MINE, "sent"))
    await settle()

    assert ["a"] == desk.presses.queued
    assert [] == desk.strangers


async def test_of_others(relay: FakeRelay, desk: Desk) -> None:
    """A job on another channel costs no look into the store: it is asked only whether somebody works there."""
    desk.hearer.hear(Announcement(news=News.ADMITTED, job_id="not there", channel=OTHER))
    await settle()

    assert [] == desk.presses.queued
    assert [OTHER] == desk.strangers


async def test_new_token_on_my_channel(relay: FakeRelay, desk: Desk) -> None:
    """A job whose channel is this worker's, and whose session nobody's yet, waits until that is claimed."""
    desk.keeps_session = False
    desk.hearer.hear(admitted(relay, "a", MINE))
    await settle()

    assert [] == desk.presses.queued
    assert [MINE] == desk.strangers


@pytest.mark.parametrize("news", [News.MISSED, None])
async def test_word_was_lost(relay: FakeRelay, desk: Desk, news: News | None) -> None:
    """What nobody told of is found at the next look: at once when something was missed, else within five seconds."""
    await desk.hearer.start()
    await settle()
    admitted(relay, "a", MINE)
    relay.store.jobs.pop("parent")
    if news is not None:
        desk.hearer.hear(Announcement(news=news))
    else:
        await relay.clock.advance(timedelta(seconds=5))
    await settle()

    assert ["a"] == desk.presses.queued


async def test_store_is_away(relay: FakeRelay, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that cannot be looked up is looked for among all that wait."""
    await desk.hearer.start()
    await settle()

    async def away(_job_id: str) -> Job:
        raise Unavailable

    relay.store.jobs.pop("parent")
    with monkeypatch.context() as for_now:
        for_now.setattr(relay.store, "job", away)
        desk.hearer.hear(admitted(relay, "a", MINE))
        await settle()

    assert ["a"] == desk.presses.queued
