"""What Discord shows, written down on the right job."""

import asyncio
from datetime import timedelta

import pytest

from pikarelay.jobs.job import Doubt, PressPhase, Status
from pikarelay.jobs.lifecycle import Accepted
from pikarelay.jobs.messages import (
    FeedInterrupted,
    FormOpened,
    InteractionAccepted,
    InteractionAnswered,
    InteractionFailed,
    Kind,
    MessagesDeleted,
    Sighting,
)
from pikarelay.services.observe_message import BotHabits
from pikarelay.services.ports import Identity
from tests.factories import CHANNEL, a_message, a_press, a_result, a_running_job, snowflake
from tests.fakes.clock import settle
from tests.fakes.discord import APPLICATION
from tests.fakes.relay import FakeRelay

NONCE = "n-job-1"


@pytest.fixture(autouse=True)
def _job(relay: FakeRelay) -> None:
    relay.store.jobs["job-1"] = a_running_job(reply_url="https://hook.example/x")


async def test_life_of_a_job(relay: FakeRelay) -> None:
    """A job is announced, progresses and completes by its messages, each of which is its own from then on."""
    await relay.say("job-1", a_message())
    assert Status.STARTED is relay.job().status
    await relay.see(a_message(content="40%", is_edit=True))
    assert Status.PROGRESS is relay.job().status
    await relay.see(a_result())

    assert Status.COMPLETED is relay.job().status
    assert {a_message().id: "job-1", a_result().id: "job-1"} == relay.store.owners
    assert ["job-1"] == list(relay.store.callbacks)


async def test_same_message_twice(relay: FakeRelay) -> None:
    """A replayed message, with or without ending, changes nothing."""
    for message in (a_message(), a_result()):
        await relay.say("job-1", message)
        before = relay.job()
        await relay.say("job-1", message)

        assert before is relay.job()
    assert 1 == len(relay.store.callbacks)


async def test_result_before_the_queued_message(relay: FakeRelay) -> None:
    """A result that overtakes the "queued" note ends the job; the note is not taken for anything."""
    await relay.say("job-1", a_result())
    await relay.see(a_message())
    await relay.say("job-1", a_message())

    assert (Status.COMPLETED, a_result().id) == (relay.job().status, relay.job().message_id)


async def test_edit_of_a_finished_job(relay: FakeRelay) -> None:
    """An edit of a result is no other job's news, though it quotes the same prompt."""
    await relay.say("job-1", a_result())
    relay.store.jobs["job-2"] = a_running_job("job-2")
    await relay.see(a_result(is_edit=True, content=a_result().content + " edited"))

    assert Status.CREATED is relay.job("job-2").status


async def test_ambiguous_result_is_nobodys(relay: FakeRelay) -> None:
    """A result that may be one of two jobs' changes neither, and the bot is known for it from then on."""
    relay.store.jobs["job-2"] = a_running_job("job-2")
    relay.habits.learn(APPLICATION, identified=True)
    await relay.see(a_result())

    assert [Status.CREATED] * 2 == [relay.job(j).status for j in ("job-1", "job-2")]
    assert not relay.habits.results_identify(APPLICATION)


async def test_note_while_a_press_is_in_the_air(relay: FakeRelay) -> None:
    """A note that a job and a ghost fit waits for what Discord answers to the job's press, and is the job's then."""
    relay.store.jobs["job-1"] = a_running_job(press=a_press(phase=PressPhase.SENT, nonce=NONCE))
    relay.store.jobs["ghost"] = a_running_job(
        "ghost", status=Status.FAILED, press=a_press(phase=PressPhase.SENT, nonce="n-ghost")
    )
    with relay.board.in_the_air("job-1"):
        seeing = asyncio.ensure_future(relay.see(a_message()))
        await settle()
        before = relay.job().press.phase
        await relay.recorder.record("job-1", Accepted())
    await seeing

    assert (PressPhase.SENT, Status.STARTED) == (before, relay.job().status)


async def test_note_that_is_left_open(relay: FakeRelay) -> None:
    """A note that two jobs fit is remembered by both, with each other."""
    relay.store.jobs["job-2"] = a_running_job("job-2")
    for _ in range(2):
        await relay.see(a_message())

    doubts = (Doubt(message_id=a_message().id, job_ids=("job-1", "job-2")),)
    assert [doubts] * 2 == [relay.job(j).press.doubts for j in ("job-1", "job-2")]


async def test_other_users_sessions_show_nothing_of_ours(relay: FakeRelay) -> None:
    """What another Discord user sees on the channel is not about this user's job."""
    await relay.observer.observe(Identity(user_id="6666"), a_result())

    assert Status.CREATED is relay.job().status


@pytest.mark.parametrize("notice", [InteractionAccepted, InteractionAnswered])
async def test_accepted(relay: FakeRelay, notice: type[InteractionAccepted | InteractionAnswered]) -> None:
    """Discord's name for the interaction is kept, once, whichever notice brings it first."""
    await relay.see(notice(nonce=NONCE, interaction_id="5"))
    first = relay.job()
    for again in (InteractionAccepted, InteractionAnswered):
        await relay.see(again(nonce=NONCE, interaction_id="5"))

    assert "5" == first.press.interaction_id
    assert first is relay.job()


async def test_accepted_before_the_204(relay: FakeRelay) -> None:
    """The interaction's name says that Discord took the press, before the HTTP answer does."""
    relay.store.jobs["job-1"] = a_running_job(press=a_press(PressPhase.SENT, nonce=NONCE))
    await relay.see(InteractionAccepted(nonce=NONCE, interaction_id="5"))

    assert PressPhase.ACCEPTED is relay.job().press.phase


@pytest.mark.parametrize(
    "sighting",
    [
        InteractionFailed(nonce=NONCE, interaction_id="5", reason=2),
        FormOpened(nonce=NONCE, interaction_id="5"),
    ],
)
async def test_interaction_that_leads_nowhere(relay: FakeRelay, sighting: Sighting) -> None:
    """A bot that is silent, or wants a form filled in, fails the job."""
    await relay.see(sighting)

    assert Status.FAILED is relay.job().status
    assert relay.job().error


async def test_failed_interaction_of_a_bot_at_work(relay: FakeRelay) -> None:
    """A bot that works without acknowledging has its interaction called failed; its job goes on."""
    await relay.see(a_message())
    await relay.see(InteractionFailed(nonce=NONCE, interaction_id="5", reason=2))

    assert Status.STARTED is relay.job().status


@pytest.mark.parametrize(
    "sighting",
    [
        MessagesDeleted(channel_id=CHANNEL, message_ids=("1",)),
        FeedInterrupted(),
        InteractionFailed(nonce="another", interaction_id="5", reason=1),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_no_news(relay: FakeRelay, sighting: Sighting) -> None:
    """Deletions, gaps and other people's interactions change no job."""
    before = relay.job()
    await relay.see(sighting)

    assert before is relay.job()


async def test_hidden_acknowledgement_then_plain_messages(relay: FakeRelay) -> None:
    """A bot that acknowledges in hiding and then posts plainly is followed all the way."""
    await relay.say("job-1", a_message(id="1", kind=Kind.HIDDEN, content="", is_ephemeral=True))
    assert (Status.CREATED, PressPhase.BOUND) == (relay.job().status, relay.job().press.phase)
    await relay.see(a_message())
    assert (Status.STARTED, a_message().id) == (relay.job().status, relay.job().message_id)
    await relay.see(a_result())

    assert Status.COMPLETED is relay.job().status
    assert not relay.habits.results_identify(APPLICATION)


async def test_identifying_bot_is_learnt(relay: FakeRelay) -> None:
    """A result that names its press teaches that this bot's results do."""
    assert not relay.habits.results_identify(APPLICATION)
    await relay.say("job-1", a_result())

    assert relay.habits.results_identify(APPLICATION)


async def test_edit_of_a_message_found_by_text_teaches_nothing(relay: FakeRelay) -> None:
    """A result by edit identifies no better than the text by which the edited message was found."""
    await relay.see(a_message())
    await relay.see(a_result(id=a_message().id, is_edit=True))

    assert Status.COMPLETED is relay.job().status
    assert not relay.habits.results_identify(APPLICATION)


async def test_message_that_became_anothers_meanwhile(relay: FakeRelay) -> None:
    """A message that another job owns by the time of writing is left to it."""
    relay.store.stale_sightings = await relay.store.sightings(CHANNEL, ())
    relay.store.owners[a_message().id] = "parent"
    await relay.see(a_message())

    assert Status.CREATED is relay.job().status


def test_one_unnamed_result_is_enough() -> None:
    """A bot once seen not to name its press is treated with care for good; unknown applications always are."""
    habits = BotHabits()
    for identified in (True, False, True):
        habits.learn("a", identified=identified)
    habits.learn(None, identified=True)

    assert not habits.results_identify("a")
    assert not habits.results_identify(None)


async def test_message_of_long_ago(relay: FakeRelay) -> None:
    """A message from before the press is not about it, whatever it quotes."""
    await relay.see(a_result(id=snowflake(timedelta(minutes=-1))))

    assert Status.CREATED is relay.job().status
