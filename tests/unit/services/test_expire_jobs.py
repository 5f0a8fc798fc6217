"""Deadlines, and what is tried before them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from pikarelay.errors import AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.job import PressPhase, Status
from pikarelay.services.expire_jobs import GRACE
from tests.factories import a_job, a_message, a_press, a_result, a_running_job
from tests.fakes.clock import START, settle
from tests.fakes.relay import DEADLINES, FakeRelay

TICK = timedelta(milliseconds=1)
AWAY = DiscordUnavailable("no", may_have_happened=True)
LIMITED = DiscordRateLimited("{}")
REFUSED = DiscordRefused(403, "{}")
UNUSABLE = AccountUnusable("no")
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


@pytest.mark.parametrize(
    "trouble", [AWAY, LIMITED, REFUSED, UNUSABLE], ids=lambda value: type(value).__name__
)
async def test_unreadable_history_saves_a_job_for_a_minute(relay: FakeRelay, trouble: Exception) -> None:
    """When a channel cannot be read at the end of a job's time, the job is looked for again for a minute, and fails then."""
    relay.store.jobs["job-1"] = a_running_job(press=PressPhase.BOUND)
    relay.discord.unreadable = trouble

    assert (Status.CREATED, None) == await expire_at(relay, DEADLINES.whole_job)
    assert (Status.CREATED, None) == await expire_at(relay, GRACE - TICK)
    assert (Status.FAILED, SILENT) == await expire_at(relay, TICK)


@pytest.mark.parametrize("trouble", [REFUSED, UNUSABLE], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("phase", [PressPhase.SENT, PressPhase.ACCEPTED])
async def test_silent_job_of_an_unusable_account(
    relay: FakeRelay, phase: PressPhase, trouble: Exception
) -> None:
    """A job of which nothing was heard is spared for no more than a minute when its account cannot read the channel."""
    relay.store.jobs["job-1"] = a_running_job(press=phase)
    relay.discord.unreadable = trouble

    assert (Status.CREATED, None) == await expire_at(relay, DEADLINES.first_message)
    assert (Status.CREATED, None) == await expire_at(relay, GRACE - TICK)
    assert Status.FAILED is (await expire_at(relay, TICK))[0]


@pytest.mark.parametrize("trouble", [AWAY, LIMITED], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("phase", [PressPhase.SENT, PressPhase.ACCEPTED])
async def test_silent_job_outlives_an_outage(relay: FakeRelay, phase: PressPhase, trouble: Exception) -> None:
    """While Discord is away, a press of which nothing was heard is not given up; its result is found afterwards."""
    relay.store.jobs["job-1"] = a_running_job(press=phase)
    relay.discord.messages = {m.id: m for m in (a_message(), a_result())}
    relay.discord.unreadable = trouble
    for _ in range(25):
        assert (Status.CREATED, None) == await expire_at(relay, timedelta(minutes=1))
    relay.discord.unreadable = None

    assert (Status.COMPLETED, None) == await expire_at(relay, timedelta(minutes=1))


async def test_silence_after_an_outage(relay: FakeRelay) -> None:
    """A press of which nothing is in the history either is given up as soon as that can be read."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.unreadable = AWAY
    for _ in range(9):
        await expire_at(relay, timedelta(minutes=1))
    relay.discord.unreadable = None

    assert (Status.FAILED, SILENT) == await expire_at(relay, timedelta(minutes=1))


async def test_outage_without_end(relay: FakeRelay) -> None:
    """An outage spares a silent job until its whole time is up, and a minute."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.unreadable = AWAY
    await expire_at(relay, DEADLINES.whole_job - TICK)

    assert (Status.CREATED, None) == await expire_at(relay, GRACE - TICK)
    assert (Status.FAILED, SILENT) == await expire_at(relay, TICK)


async def test_account_is_unusable_after_an_outage(relay: FakeRelay) -> None:
    """The minute for a person to mend an account begins when Discord is no longer what keeps the channel from being read."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.unreadable = AWAY
    await expire_at(relay, timedelta(minutes=10))
    relay.discord.unreadable = UNUSABLE

    assert (Status.CREATED, None) == await expire_at(relay, timedelta(seconds=59))
    assert (Status.FAILED, SILENT) == await expire_at(relay, timedelta(seconds=1))


async def test_jobs_that_end_one_after_the_other(relay: FakeRelay) -> None:
    """However many jobs of a channel become overdue, and whenever, it is read once in fifteen seconds."""
    for number in range(60):
        press = a_press(PressPhase.ACCEPTED, sent=START + timedelta(seconds=number), nonce=f"n-{number}")
        relay.store.jobs[f"job-{number}"] = a_running_job(f"job-{number}", prompt=f"{number}", press=press)
    await relay.clock.advance(DEADLINES.first_message)
    for _ in range(80):
        await expire_at(relay, timedelta(seconds=1))

    assert 60 == sum(relay.job(f"job-{number}").status is Status.FAILED for number in range(60))
    assert len(relay.discord.histories_read) <= 6


async def test_what_was_read_is_not_read_again(relay: FakeRelay) -> None:
    """A reading that somebody else has begun since the deadline is all that an overdue job needs."""
    relay.store.jobs["job-1"] = a_running_job()
    await relay.clock.advance(DEADLINES.first_message)
    await relay.history.catch_up([relay.job()])

    assert (Status.FAILED, SILENT) == await expire_at(relay, timedelta(seconds=1))
    assert 1 == len(relay.discord.histories_read)


async def test_unreadable_channel_is_asked_for_seldom(relay: FakeRelay) -> None:
    """A channel with overdue jobs that cannot be read is asked for as seldom as any other."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.unreadable = AWAY
    await relay.clock.advance(DEADLINES.first_message)
    for _ in range(120):
        await expire_at(relay, timedelta(seconds=5))

    assert 10 <= len(relay.discord.readers) <= 13


async def test_readable_again_within_the_minute(relay: FakeRelay) -> None:
    """A job whose account may not read for a while, and then may, is completed from the history before it is given up."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.unreadable = REFUSED
    await relay.clock.advance(DEADLINES.first_message)
    for _ in range(9):
        assert (Status.CREATED, None) == await expire_at(relay, timedelta(seconds=5))
    relay.discord.unreadable = None
    relay.discord.messages = {m.id: m for m in (a_message(), a_result())}
    for _ in range(3):
        await expire_at(relay, timedelta(seconds=5))

    assert Status.COMPLETED is relay.job().status


async def test_clock_that_is_set_back(relay: FakeRelay) -> None:
    """A reading from a time that has not come yet neither keeps a channel from being read nor stands for one that was."""
    relay.clock.stand_still(timedelta(days=1))
    relay.store.jobs["other"] = a_running_job("other")
    await relay.history.catch_up([relay.job("other")])
    del relay.store.jobs["other"]
    relay.clock.stand_still(-timedelta(days=1))
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.messages = {m.id: m for m in (a_message(), a_result())}

    assert (Status.COMPLETED, None) == await expire_at(relay, DEADLINES.first_message)


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
