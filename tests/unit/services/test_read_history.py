"""Reading what the Gateway did not bring."""

from datetime import timedelta

import msgspec
import pytest

from pikarelay.errors import AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.job import PressPhase, Status
from pikarelay.jobs.reconciliation import SPACING, Reading
from pikarelay.jobs.secret import Secret
from tests.factories import (
    CHANNEL,
    a_job,
    a_message,
    a_press,
    a_result,
    a_running_job,
    an_account,
    snowflake,
)
from tests.fakes.clock import START
from tests.fakes.relay import FakeRelay

OTHER = "1180000000000000002"
EARLIER = snowflake(timedelta(minutes=-2))


async def test_each_channel_once_from_its_oldest_press(relay: FakeRelay) -> None:
    """A channel is read once, from the floor of its oldest open press; presses that wait have none."""
    jobs = [
        a_running_job("a"),
        a_running_job("b", press=a_press(PressPhase.SENT, floor_id=EARLIER)),
        a_running_job("c", channel=OTHER),
        a_job("d", channel="1180000000000000003"),
    ]
    await relay.history.catch_up(jobs)

    assert [(CHANNEL, EARLIER), (OTHER, jobs[0].press.floor_id)] == relay.discord.histories_read


async def test_history_brings_the_whole_life(relay: FakeRelay) -> None:
    """Messages are taken in oldest first, so the last word is the last."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.messages = {m.id: m for m in (a_result(), a_message())}
    await relay.history.catch_up([relay.job()])

    assert Status.COMPLETED is relay.job().status
    assert {a_message().id, a_result().id} == set(relay.store.owners)


async def test_reading_twice_is_harmless(relay: FakeRelay) -> None:
    """A history read again changes nothing."""
    relay.store.jobs["job-1"] = a_running_job()
    later = a_message(id=snowflake(timedelta(seconds=9)), referenced_message_id=a_message().id, content="40%")
    relay.discord.messages = {m.id: m for m in (a_message(), later)}
    await relay.history.catch_up([relay.job()])
    before = relay.job()
    await relay.history.catch_up([relay.job()])

    assert "40%" == before.content
    assert before is relay.job()


async def test_messages_of_completed_jobs_are_not_looked_at_again(relay: FakeRelay) -> None:
    """What the channel's completed jobs have said costs nothing when it is read once more; what others said does."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.messages = {m.id: m for m in (a_message(), a_result())}
    await relay.history.catch_up([relay.job()])
    relay.store.jobs["b"] = open_job = a_running_job("b", prompt="another", press=a_press(nonce="n"))
    before = relay.store.calls["sightings"]
    await relay.history.catch_up([open_job])

    assert Status.COMPLETED is relay.job().status
    assert before == relay.store.calls["sightings"]


@pytest.mark.parametrize(
    "trouble",
    [
        DiscordUnavailable("no", may_have_happened=True),
        DiscordRefused(403, "{}"),
        DiscordRateLimited("{}"),
        AccountUnusable("no"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_unreadable_is_left_for_later(relay: FakeRelay, trouble: Exception) -> None:
    """Whatever keeps a history from being read is nobody's failure, and is told."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.unreadable = trouble

    assert {CHANNEL} == await relay.history.catch_up([relay.job()])
    assert Status.CREATED is relay.job().status


async def test_what_was_read_is_known(relay: FakeRelay) -> None:
    """A reading says from where on it brought everything; one that failed takes nothing back of the one before."""
    job = relay.store.jobs["job-1"] = a_running_job()
    await relay.history.catch_up([job])
    first = Reading(tried=START, read=START, floor_id=job.press.floor_id)
    assert {CHANNEL: first} == relay.history.readings
    await relay.clock.advance(SPACING)
    relay.discord.unreadable = DiscordRefused(403, "{}")
    for _ in range(2):
        await relay.history.catch_up([job])

    assert {
        CHANNEL: msgspec.structs.replace(first, tried=START + SPACING, failures=2)
    } == relay.history.readings


async def test_tokens_are_tried_in_turn(relay: FakeRelay) -> None:
    """The account's token reads the channel for everybody; the newest job's takes over when Discord refuses it."""
    await relay.store.put_account(an_account(discord_token=Secret("account's")))
    older = a_running_job("a", discord_token=Secret("older"))
    newer = a_running_job("b", discord_token=Secret("newer"), created=older.created + timedelta(seconds=1))
    relay.discord.unusable = {"account's"}
    await relay.history.catch_up([older, newer])

    assert ["account's", "newer"] == relay.discord.readers


async def test_one_reading_serves_all_users(relay: FakeRelay) -> None:
    """A channel with presses of two Discord users is read once, and each message is shown to both."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.store.jobs["b"] = a_running_job("b", press=a_press(PressPhase.SENT, user_id="6666", nonce="n"))
    relay.discord.messages[a_result().id] = a_result()
    await relay.history.catch_up(relay.store.jobs[name] for name in ("job-1", "b"))

    assert 1 == len(relay.discord.histories_read)
    assert Status.COMPLETED is relay.job().status
