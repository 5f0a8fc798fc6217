"""Deadlines, and what is tried before them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from pikarelay.errors import DiscordUnavailable
from pikarelay.jobs.job import PressPhase, Status
from pikarelay.services.expire_jobs import GRACE
from tests.factories import a_job, a_message, a_result, a_running_job
from tests.fakes.clock import settle
from tests.fakes.relay import DEADLINES, FakeRelay

TICK = timedelta(milliseconds=1)
SILENT = "Pika did not answer in time"


async def expire_at(relay: FakeRelay, age: timedelta) -> tuple[Status, str | None]:
    await relay.clock.advance(age)
    await relay.expirer.expire()
    return relay.job().status, relay.job().error


@pytest.mark.parametrize(
    ("its", "deadline", "error"),
    [
        ({"press": PressPhase.SENT}, DEADLINES.first_message, "Outcome of the press is unknown"),
        ({"press": PressPhase.ACCEPTED}, DEADLINES.first_message, SILENT),
        ({"press": PressPhase.BOUND}, DEADLINES.whole_job, SILENT),
        ({"press": PressPhase.BOUND, "status": Status.STARTED}, DEADLINES.whole_job, SILENT),
        ({"press": PressPhase.BOUND, "status": Status.PROGRESS}, DEADLINES.whole_job, SILENT),
        ({"press": PressPhase.WAITING}, DEADLINES.whole_job, SILENT),
    ],
    ids=["sent", "accepted", "acknowledged", "started", "progress", "waiting"],
)
async def test_deadlines(relay: FakeRelay, its: dict[str, Any], deadline: timedelta, error: str) -> None:
    """Up to its deadline a job is left alone; at it, it fails, with a callback."""
    relay.store.jobs["job-1"] = job = a_job(reply_url="https://hook.example/x", **its)

    assert (job.status, None) == await expire_at(relay, deadline - TICK)
    assert (Status.FAILED, error) == await expire_at(relay, TICK)
    assert ["job-1"] == list(relay.store.callbacks)


async def test_press_in_our_hands(relay: FakeRelay) -> None:
    """While this process is at sending a press, it does not call the press's outcome unknown."""
    relay.store.jobs["job-1"] = a_job(press=PressPhase.SENT)
    with relay.board.sending("job-1"):
        assert (Status.CREATED, None) == await expire_at(relay, 2 * DEADLINES.first_message)

    assert (Status.FAILED, "Outcome of the press is unknown") == await expire_at(relay, timedelta())


async def test_deadline_runs_from_the_press(relay: FakeRelay) -> None:
    """Time in which the press waited for its turn does not count against the bot."""
    created = relay.clock.now() - timedelta(minutes=20)
    relay.store.jobs["job-1"] = a_running_job(created=created)

    assert (Status.CREATED, None) == await expire_at(relay, timedelta(seconds=30))


async def test_history_is_read_first(relay: FakeRelay) -> None:
    """A result that the Gateway did not bring is found in the channel's history, and is no failure."""
    relay.store.jobs["job-1"] = a_running_job(press=PressPhase.BOUND)
    relay.discord.messages[a_result().id] = a_result()

    assert (Status.COMPLETED, None) == await expire_at(relay, DEADLINES.whole_job)


async def test_late_first_message_is_reprieve(relay: FakeRelay) -> None:
    """A first message found in the history gives the job the rest of its time."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.messages[a_message().id] = a_message()

    assert (Status.STARTED, None) == await expire_at(relay, DEADLINES.first_message)
    assert (Status.FAILED, SILENT) == await expire_at(relay, DEADLINES.whole_job)


async def test_unreadable_history_saves_a_job_for_a_minute(relay: FakeRelay) -> None:
    """When Discord is out of reach at the deadline, the job is looked for again for a minute, and fails then."""
    relay.store.jobs["job-1"] = a_running_job(press=PressPhase.BOUND)
    relay.discord.unreadable = DiscordUnavailable("no", may_have_happened=True)

    assert (Status.CREATED, None) == await expire_at(relay, DEADLINES.whole_job)
    assert (Status.CREATED, None) == await expire_at(relay, GRACE - TICK)
    assert (Status.FAILED, SILENT) == await expire_at(relay, TICK)


async def test_result_is_found_when_discord_is_back(relay: FakeRelay) -> None:
    """A job whose channel could not be read at its deadline completes when it can be."""
    relay.store.jobs["job-1"] = a_running_job(press=PressPhase.BOUND)
    relay.discord.messages[a_result().id] = a_result()
    relay.discord.unreadable = DiscordUnavailable("no", may_have_happened=True)
    await expire_at(relay, DEADLINES.whole_job)
    relay.discord.unreadable = None

    assert (Status.COMPLETED, None) == await expire_at(relay, GRACE / 2)


async def test_nobody_is_spared_for_an_earlier_trouble(relay: FakeRelay) -> None:
    """The minute is counted anew each time that a channel cannot be read, and a press that never left has none."""
    relay.discord.unreadable = DiscordUnavailable("no", may_have_happened=True)
    relay.store.jobs["job-1"] = a_running_job()
    relay.store.jobs["job-2"] = a_job("job-2")
    await expire_at(relay, DEADLINES.first_message)
    await expire_at(relay, GRACE)
    await expire_at(relay, TICK)
    relay.store.jobs["job-3"] = a_running_job("job-3", press=PressPhase.BOUND)
    await expire_at(relay, DEADLINES.whole_job - DEADLINES.first_message - GRACE - TICK)

    assert [Status.FAILED, Status.FAILED, Status.CREATED] == [
        relay.job(name).status for name in ("job-1", "job-2", "job-3")
    ]


async def test_slow_history_keeps_no_other_channel_waiting(relay: FakeRelay) -> None:
    """While one channel's history is still being read, the jobs of another end."""
    relay.store.jobs["job-1"] = a_running_job(channel="1180000000000000002")
    relay.store.jobs["slow"] = a_running_job("slow")
    never = asyncio.Event()

    async def read(channel: str) -> None:
        if channel == relay.store.jobs["slow"].channel:
            await never.wait()

    relay.discord.reading = read
    await relay.clock.advance(DEADLINES.first_message)
    expiring = asyncio.create_task(relay.expirer.expire())
    await settle()

    assert (Status.FAILED, Status.CREATED) == (relay.job().status, relay.store.jobs["slow"].status)
    never.set()
    assert 2 == await expiring


async def test_nothing_overdue_asks_nothing(relay: FakeRelay) -> None:
    """Jobs in time cost Discord no question, and are not counted."""
    relay.store.jobs["job-1"] = a_running_job()

    assert 0 == await relay.expirer.expire()
    assert [] == relay.discord.histories_read


async def test_count(relay: FakeRelay) -> None:
    """The number of failed jobs is told."""
    for name in ("job-1", "job-2"):
        relay.store.jobs[name] = a_running_job(name, prompt=name)
    await relay.clock.advance(DEADLINES.first_message)

    assert 2 == await relay.expirer.expire()
    assert 0 == await relay.expirer.expire()
