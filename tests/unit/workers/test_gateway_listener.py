"""Sessions are opened, and what they show arrives."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from pikarelay.errors import AccountUnusable, DiscordUnavailable, Unavailable
from pikarelay.jobs.job import PressPhase, Status
from pikarelay.jobs.messages import FeedInterrupted
from pikarelay.jobs.ownership import EVERYTHING
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import Identity
from pikarelay.workers.gateway_listener import GatewayListener
from tests.factories import CHANNEL, TOKEN, a_job, a_message, a_press, a_result, a_running_job, an_account
from tests.fakes.clock import settle
from tests.fakes.discord import USER
from tests.fakes.relay import FakeRelay

OTHER = "1180000000000000002"
US = Identity(user_id=USER)


@pytest.fixture
async def listener(relay: FakeRelay) -> AsyncIterator[GatewayListener]:
    listener = GatewayListener(
        relay.store, relay.discord, relay.view, relay.observer, relay.history, relay.clock
    )
    yield listener
    await listener.stop()


async def test_sessions_of_accounts_and_of_open_jobs(relay: FakeRelay, listener: GatewayListener) -> None:
    """At the start every account listens, and every unfinished job's own token does, each once."""
    await relay.store.put_account(an_account())
    relay.store.jobs["a"] = a_running_job("a")
    relay.store.jobs["b"] = a_job("b", discord_token=Secret("mine"), channel=OTHER)
    await listener.start()
    await listener.take_up(EVERYTHING)
    await settle()

    assert {(TOKEN, CHANNEL), ("mine", OTHER)} == set(relay.discord.listening)
    assert 2 == len(relay.discord.listening)


async def test_answers_to_the_last_process(relay: FakeRelay, listener: GatewayListener) -> None:
    """What the bot said while the server was down is read when it starts."""
    relay.store.jobs["job-1"] = a_running_job(press=PressPhase.BOUND, status=Status.STARTED)
    relay.discord.messages[a_result().id] = a_result()
    await listener.start()
    await listener.take_up(EVERYTHING)
    await settle()

    assert Status.COMPLETED is relay.job().status


@pytest.mark.parametrize(
    "trouble", [AccountUnusable("no"), DiscordUnavailable("no", may_have_happened=False)]
)
async def test_account_that_is_not_ready(
    relay: FakeRelay, listener: GatewayListener, trouble: Exception
) -> None:
    """An account that cannot listen now stops neither the start nor the others."""
    relay.discord.not_ready = trouble
    for channel in (CHANNEL, OTHER):
        await relay.store.put_account(an_account(channel))
    await listener.start()
    await listener.take_up(EVERYTHING)
    await settle()

    assert 2 == len(relay.discord.listening)


async def test_sighting_is_taken_in(relay: FakeRelay, listener: GatewayListener) -> None:
    """A message arrives at its job."""
    relay.store.jobs["job-1"] = a_running_job()
    await listener.on_sighting(US, a_message())

    assert Status.STARTED is relay.job().status


async def test_gap_is_filled_from_the_history(relay: FakeRelay, listener: GatewayListener) -> None:
    """After a gap, the histories of this user's open jobs are read, and no others."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.store.jobs["b"] = a_running_job(
        "b", channel=OTHER, press=a_press(PressPhase.SENT, user_id="6666", nonce="n")
    )
    relay.discord.messages[a_result().id] = a_result()
    await listener.on_sighting(US, FeedInterrupted())
    await settle()

    assert Status.COMPLETED is relay.job().status
    assert [CHANNEL] == [channel for channel, _ in relay.discord.histories_read]


async def test_many_gaps_at_once(relay: FakeRelay, listener: GatewayListener) -> None:
    """However many sessions have a gap at once, the store is asked once for what they may have missed, and all of it is read."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.store.jobs["b"] = a_running_job(
        "b", channel=OTHER, press=a_press(PressPhase.SENT, user_id="6666", nonce="n")
    )
    for user_id in (USER, "6666", *map(str, range(50))):
        await listener.on_sighting(Identity(user_id=user_id), FeedInterrupted())
    await settle()

    assert {CHANNEL, OTHER} == {channel for channel, _ in relay.discord.histories_read}
    assert 1 == relay.store.calls["unfinished"]


async def test_gap_while_the_store_is_away(relay: FakeRelay, listener: GatewayListener) -> None:
    """A gap is remembered until the store can say what may have been missed."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.messages[a_result().id] = a_result()
    relay.store.unavailable.add("unfinished")
    await listener.on_sighting(US, FeedInterrupted())
    await settle()
    assert Status.COMPLETED is not relay.job().status
    relay.store.unavailable.clear()
    await relay.clock.advance(timedelta(seconds=1))
    await settle()

    assert Status.COMPLETED is relay.job().status


async def test_gap_may_hide_a_ghost(relay: FakeRelay, listener: GatewayListener) -> None:
    """After a gap, what was said of a cancelled job is found as well, beside a press that still waits."""
    relay.store.jobs["g"] = a_running_job("g", status=Status.CANCELLED)
    relay.store.jobs["job-1"] = a_job()
    relay.discord.messages[a_message().id] = a_message()
    await listener.on_sighting(US, FeedInterrupted())
    await settle()

    assert PressPhase.BOUND is relay.job("g").press.phase


async def test_sighting_that_could_not_be_written(relay: FakeRelay, listener: GatewayListener) -> None:
    """A message that met a failing store ends no session, and is found in the history."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.discord.messages[a_result().id] = a_result()
    relay.store.broken.add("sightings")
    await listener.on_sighting(US, a_result())
    relay.store.broken.clear()
    await settle()

    assert Status.COMPLETED is relay.job().status


async def test_sighting_that_the_store_cannot_take_now(relay: FakeRelay, listener: GatewayListener) -> None:
    """What meets a store that is away is to be told again, and no history is read for it, which lacks hidden messages."""
    relay.store.jobs["job-1"] = a_running_job()
    relay.store.unavailable.add("sightings")
    with pytest.raises(Unavailable):
        await listener.on_sighting(US, a_message())
    relay.store.unavailable.clear()
    await settle()
    assert [] == relay.discord.histories_read
    await listener.on_sighting(US, a_message())

    assert Status.STARTED is relay.job().status


async def test_stop_ends_what_is_under_way(relay: FakeRelay, listener: GatewayListener) -> None:
    """A stop leaves no task behind."""
    await relay.store.put_account(an_account())
    await listener.start()
    await listener.take_up(EVERYTHING)
    await listener.stop()
    await settle()

    assert 0 == len(listener._background)


async def test_let_go_while_the_store_is_silent(relay: FakeRelay, listener: GatewayListener) -> None:
    """Sessions are closed at once, also while a look at the accounts waits for a store that says nothing."""
    await relay.store.put_account(an_account())
    await listener.start()
    await listener.take_up(EVERYTHING)
    await settle()
    async with listener._looking:
        leaving = asyncio.create_task(listener.let_go(EVERYTHING))
        await settle()
        assert [TOKEN] == relay.discord.left
    await leaving


async def test_replaced_token(relay: FakeRelay, listener: GatewayListener) -> None:
    """A new token listens at once; the old one's session is closed when no job needs it any more."""
    await relay.store.put_account(an_account())
    await listener.start()
    await listener.take_up(EVERYTHING)
    await settle()
    relay.store.jobs["job-1"] = a_running_job()
    await relay.store.put_account(an_account(discord_token=Secret("fresh"), updated=relay.clock.now()))
    await listener.accounts_changed()
    await settle()
    assert [(TOKEN, CHANNEL), ("fresh", CHANNEL)] == relay.discord.listening
    assert [] == relay.discord.forgotten
    relay.store.jobs["job-1"] = a_running_job(status=Status.FAILED)
    await listener.accounts_changed()

    assert [TOKEN] == relay.discord.forgotten


async def test_account_set_up_anew(relay: FakeRelay, listener: GatewayListener) -> None:
    """The same token stored again, by whichever process, is used again within seconds, and only then."""
    await relay.store.put_account(an_account())
    await listener.start()
    await listener.take_up(EVERYTHING)
    await relay.clock.advance(timedelta(seconds=20))
    assert [] == relay.discord.released
    await relay.store.put_account(an_account(updated=relay.clock.now()))
    await relay.clock.advance(timedelta(seconds=5))

    assert [TOKEN] == relay.discord.released
    assert 2 == len(relay.discord.listening)


async def test_account_that_is_set_up_again_while_a_job_needs_it(
    relay: FakeRelay, listener: GatewayListener
) -> None:
    """An account that was removed, and set up with the same token while a job went on with it, is used again."""
    await relay.store.put_account(an_account())
    await listener.start()
    await listener.take_up(EVERYTHING)
    await settle()
    relay.store.jobs["job-1"] = a_running_job()
    await relay.store.delete_account("caller-1", CHANNEL)
    await listener.accounts_changed()
    assert [] == relay.discord.released
    await relay.store.put_account(an_account(updated=relay.clock.now()))
    await listener.accounts_changed()

    assert [TOKEN] == relay.discord.released
    assert [] == relay.discord.forgotten


async def test_token_that_is_set_up_on_another_channel(relay: FakeRelay, listener: GatewayListener) -> None:
    """A person who sets up a token anew has taken care of it, whichever channel it is for."""
    await relay.store.put_account(an_account())
    await listener.start()
    await listener.take_up(EVERYTHING)
    await settle()
    later = relay.clock.now() + timedelta(seconds=1)
    await relay.store.put_account(an_account(OTHER, updated=later))
    await listener.accounts_changed()

    assert [TOKEN] == relay.discord.released


async def test_account_that_is_taken_up_later(relay: FakeRelay, listener: GatewayListener) -> None:
    """An account that was set up before the others of its token, and comes to this worker after them, is no reason to use it again."""
    await relay.store.put_account(an_account(updated=relay.clock.now()))
    await listener.start()
    await listener.take_up(EVERYTHING)
    await settle()
    await relay.store.put_account(an_account(OTHER, updated=relay.clock.now() - timedelta(seconds=1)))
    await listener.take_up(EVERYTHING)

    assert [] == relay.discord.released


async def test_removed_account(relay: FakeRelay, listener: GatewayListener) -> None:
    """The session of an account that was removed is closed."""
    await relay.store.put_account(an_account())
    await listener.start()
    await listener.take_up(EVERYTHING)
    await relay.store.delete_account("caller-1", CHANNEL)
    await listener.accounts_changed()

    assert [TOKEN] == relay.discord.forgotten


async def test_account_that_is_let_go_of(relay: FakeRelay) -> None:
    """An account that is not this worker's any more was not removed: its session is not forgotten, for another goes on with it."""
    kept = True
    listener = GatewayListener(
        relay.store, relay.discord, relay.view, relay.observer, relay.history, relay.clock, lambda _: kept
    )
    await relay.store.put_account(an_account())
    await listener.take_up(EVERYTHING)
    kept = False
    await relay.store.delete_account("caller-1", CHANNEL)
    await listener.accounts_changed()
    await listener.let_go(EVERYTHING)
    await listener.stop()

    assert [] == relay.discord.forgotten
    assert [TOKEN] == relay.discord.left
