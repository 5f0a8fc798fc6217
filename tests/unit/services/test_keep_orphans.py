"""What could be given to nobody, and who gets it after all."""

from datetime import timedelta

import msgspec
import pytest

from pikarelay.jobs.job import Job, PressPhase, Status
from pikarelay.jobs.messages import BotMessage, InteractionAccepted, InteractionFailed, Kind
from pikarelay.services.cancel_job import cancel_job
from pikarelay.services.keep_orphans import NotAssignable
from pikarelay.services.ports import OrphanReason
from tests.factories import (
    CHANNEL,
    a_caller,
    a_job,
    a_message,
    a_press,
    a_result,
    a_running_job,
    pressed_by,
    snowflake,
)
from tests.fakes.relay import FakeRelay

HOOK = "https://hook.example/x"


def bound(job_id: str, **its: object) -> Job:
    return a_running_job(
        job_id, press=a_press(PressPhase.BOUND, nonce=f"n-{job_id}"), status=Status.STARTED, **its
    )


@pytest.fixture(autouse=True)
def _two_alike(relay: FakeRelay) -> None:
    relay.store.jobs |= {name: bound(name, reply_url=HOOK) for name in ("a", "b")}


async def cancel(relay: FakeRelay, job_id: str) -> Job:
    return await cancel_job(relay.store, relay.recorder, a_caller(), job_id)


def named(relay: FakeRelay, job_id: str, message: BotMessage) -> BotMessage:
    return pressed_by(relay.job(job_id), message)


OTHER_RESULT = a_result(id=snowflake(timedelta(seconds=40)))


async def test_ambiguous_result_is_kept(relay: FakeRelay) -> None:
    """A result that is one of two jobs' is kept once, with both, however often it is seen."""
    for _ in range(2):
        await relay.see(a_result())
    (orphan,) = await relay.store.orphans()

    assert (OrphanReason.AMBIGUOUS, ("a", "b"), a_result()) == (
        orphan.reason,
        orphan.candidates,
        orphan.message,
    )


async def test_ambiguous_note_is_not_kept(relay: FakeRelay) -> None:
    """A note without an ending is not worth a person's look."""
    await relay.see(a_message())

    assert () == await relay.store.orphans()


async def test_elimination_takes_from_nobody(relay: FakeRelay) -> None:
    """What another job has been given meanwhile is not given away, by elimination or by hand."""
    await relay.see(a_result())
    relay.store.owners[a_result().id] = "elsewhere"
    await relay.see(named(relay, "a", OTHER_RESULT))
    with pytest.raises(NotAssignable, match="another job's"):
        await relay.orphans.assign(a_result().id, "b")

    assert "elsewhere" == relay.store.owners[a_result().id]
    assert Status.STARTED is relay.job("b").status


async def test_elimination(relay: FakeRelay) -> None:
    """When the bot has said its last word about all but one, an ambiguous result is that one's."""
    await relay.see(a_result())
    await relay.see(named(relay, "a", OTHER_RESULT))

    assert [OTHER_RESULT.id, a_result().id] == [relay.job(j).message_id for j in ("a", "b")]
    assert [Status.COMPLETED] * 2 == [relay.job(j).status for j in ("a", "b")]
    assert () == await relay.store.orphans()
    assert {"a", "b"} == set(relay.store.callbacks)


async def test_no_elimination_by_cancelling(relay: FakeRelay) -> None:
    """That a job was given up says nothing about its work, nor does seeing the message again."""
    await relay.see(a_result())
    await cancel(relay, "a")
    await relay.clock.advance(timedelta(hours=1))
    await relay.see(a_result())

    assert Status.STARTED is relay.job("b").status
    assert 1 == len(await relay.store.orphans())


async def test_ambiguous_note_stays_so(relay: FakeRelay) -> None:
    """A note that was one of two jobs' is not the one's because the other has ended when it is read again."""
    hidden = a_message(id=snowflake(serial=3), kind=Kind.HIDDEN, is_ephemeral=True, content="")
    relay.store.jobs = {name: a_running_job(name) for name in ("a", "b")}
    await relay.see(named(relay, "a", hidden))
    await relay.see(a_message())
    await relay.see(named(relay, "a", OTHER_RESULT))
    await relay.see(a_message())

    assert {hidden.id, OTHER_RESULT.id} == set(relay.store.owners)
    assert (Status.CREATED, True) == (relay.job("b").status, relay.job("b").press.weak)


async def test_elimination_of_what_a_429_took_back(relay: FakeRelay) -> None:
    """A job that a 429 took back, untruly, counts as long as the bot may speak of it, and no longer."""
    relay.store.jobs["a"] = a_job("a", press=a_press(PressPhase.SENT, nonce="n-a"))
    await relay.store.withdraw("a", was_sent=True)
    await relay.see(InteractionAccepted(nonce="n-a", interaction_id="5"))
    relay.store.jobs["b"] = a_running_job("b", press=a_press(PressPhase.ACCEPTED, nonce="n-b"))
    await relay.see(a_result())
    assert Status.CREATED is relay.job("b").status
    await relay.see(msgspec.structs.replace(OTHER_RESULT, interaction_id="5"))

    assert (Status.COMPLETED, a_result().id) == (relay.job("b").status, relay.job("b").message_id)


async def test_named_at_last(relay: FakeRelay) -> None:
    """A message that was ambiguous and is named later goes where it belongs, and is no orphan any more."""
    await relay.see(a_result())
    await relay.see(named(relay, "b", a_result()))

    assert [Status.STARTED, Status.COMPLETED] == [relay.job(j).status for j in ("a", "b")]
    assert () == await relay.store.orphans()


async def test_late_result(relay: FakeRelay) -> None:
    """A result for a job that has ended is kept, settles its press, changes nothing that is shown, calls nobody again."""
    cancelled = await cancel(relay, "a")
    for _ in range(2):
        await relay.see(named(relay, "a", a_result()))
    (orphan,) = await relay.store.orphans()
    after = relay.job("a")

    assert (OrphanReason.LATE, ("a",)) == (orphan.reason, orphan.candidates)
    assert PressPhase.SETTLED is after.press.phase
    assert cancelled == msgspec.structs.replace(after, press=cancelled.press)
    assert "a" == relay.store.owners[a_result().id]
    assert 1 == len(relay.store.callbacks)


async def test_result_of_a_ghost_by_text(relay: FakeRelay) -> None:
    """A plain result that fits a ghost and a running job is neither's."""
    await cancel(relay, "a")
    await relay.see(a_result())

    assert Status.STARTED is relay.job("b").status
    assert [("b", "a")] == [orphan.candidates for orphan in await relay.store.orphans()]


async def test_replayed_result_is_no_orphan(relay: FakeRelay) -> None:
    """The result of a completed job that is told again, or edited, is kept nowhere else."""
    await relay.see(named(relay, "a", a_result()))
    before = relay.job("a")
    await relay.see(named(relay, "a", a_result()))
    await relay.see(a_result(is_edit=True, content="edited"))

    assert before is relay.job("a")
    assert () == await relay.store.orphans()


async def test_first_word_about_a_ghost(relay: FakeRelay) -> None:
    """What the bot says first about a cancelled job is known as that job's, whatever runs elsewhere."""
    relay.store.jobs = {"g": a_running_job("g", status=Status.CANCELLED)}
    await relay.see(a_message())
    await relay.see(a_result(id=a_message().id, is_edit=True))

    assert (PressPhase.SETTLED, True) == (relay.job("g").press.phase, relay.job("g").press.weak)
    assert 1 == len(await relay.store.orphans())


async def test_interactions_of_ghosts(relay: FakeRelay) -> None:
    """Discord's name for the interaction of an ended job is kept; that the bot did not answer settles it."""
    relay.store.jobs = {"g": a_job("g", status=Status.CANCELLED, press=a_press(PressPhase.SENT, nonce="n-g"))}
    await relay.see(InteractionAccepted(nonce="n-g", interaction_id="5"))
    assert (PressPhase.ACCEPTED, "5") == (relay.job("g").press.phase, relay.job("g").press.interaction_id)
    await relay.see(InteractionFailed(nonce="n-g", interaction_id="5", reason=2))

    assert PressPhase.SETTLED is relay.job("g").press.phase


async def test_assigned_by_hand(relay: FakeRelay) -> None:
    """A person gives an orphan to a running job, which it completes as if the bot had named it."""
    await relay.see(a_result())
    job = await relay.orphans.assign(a_result().id, "b")

    assert (Status.COMPLETED, a_result().id) == (job.status, job.message_id)
    assert ["b"] == list(relay.store.callbacks)
    assert () == await relay.store.orphans()


async def test_not_assignable(relay: FakeRelay) -> None:
    """Unknown orphans and jobs, other channels, presses that wait and jobs that have ended are refused with a reason."""
    await relay.see(a_result())
    await cancel(relay, "a")
    relay.store.jobs |= {"c": bound("c", channel="1180000000000000002"), "d": a_job("d")}
    for job_id, orphan_id, reason in (
        ("b", "1", "no orphan 1"),
        ("x", a_result().id, "no job x"),
        ("a", a_result().id, "has ended as cancelled"),
        ("c", a_result().id, "another channel"),
        ("d", a_result().id, "has not left"),
    ):
        with pytest.raises(NotAssignable, match=reason):
            await relay.orphans.assign(orphan_id, job_id)
    assert 1 == len(await relay.store.orphans())


async def test_ephemeral_refusal_is_no_orphan(relay: FakeRelay) -> None:
    """A hidden refusal that ends its job is that job's, though another message is shown."""
    relay.store.jobs["a"] = msgspec.structs.replace(relay.job("a"), message_id=a_message().id)
    hidden = a_message(id=snowflake(timedelta(seconds=5)), kind=Kind.MODERATED, is_ephemeral=True)
    await relay.see(named(relay, "a", hidden))

    assert Status.MODERATED is relay.job("a").status
    assert () == await relay.store.orphans(CHANNEL)
