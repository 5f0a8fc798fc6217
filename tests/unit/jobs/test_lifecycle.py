"""Every status with every event, and what a job takes over from them."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.jobs.job import FINAL, Job, PressPhase, Status
from pikarelay.jobs.lifecycle import (
    TRANSITIONS,
    Accepted,
    Announced,
    Bound,
    Cancelled,
    Event,
    Fact,
    Failed,
    Finished,
    IllegalTransition,
    Moderated,
    Progressed,
    Sent,
    Settled,
    Step,
    apply,
)
from pikarelay.jobs.messages import Kind
from tests.factories import RETRY, VIDEO, a_job, a_message, a_press, a_result, snowflake
from tests.fakes.clock import START

STEPS: list[Step] = [
    Announced(message=a_message()),
    Progressed(message=a_message(content="40%")),
    Finished(message=a_result()),
    Moderated(message=a_message(kind=Kind.MODERATED, content="moderated")),
    Failed(error="no"),
    Cancelled(),
]
FACTS: list[Fact] = [
    Sent(user_id="1", floor_id="2", application_id="3", bot_id="4"),
    Accepted(interaction_id="5"),
    Bound(),
    Settled(),
]
LATER = START + timedelta(seconds=9)


def named(value: object) -> str:
    return value.value if isinstance(value, Status) else type(value).__name__


def test_every_step_is_in_the_table() -> None:
    """The table knows every step there is."""
    known = {step for row in TRANSITIONS.values() for step in row}

    assert {type(step) for step in STEPS} == known
    assert set(Status) == set(TRANSITIONS)


@pytest.mark.parametrize("step", STEPS, ids=named)
@pytest.mark.parametrize("status", Status, ids=named)
def test_step_by_table(status: Status, step: Step) -> None:
    """A step moves a job as the table says, or is illegal."""
    job = a_job(status=status, press=PressPhase.ACCEPTED)
    expected = TRANSITIONS[status].get(type(step))

    if expected is None:
        with pytest.raises(IllegalTransition, match=status.value):
            apply(job, step, LATER)
    else:
        assert expected is apply(job, step, LATER).status


@pytest.mark.parametrize("event", [*STEPS, FACTS[0]], ids=named)
@pytest.mark.parametrize("status", sorted(FINAL), ids=named)
def test_final_has_no_way_out(status: Status, event: Event) -> None:
    """Nothing happens to a job that has ended, and its press does not leave any more."""
    with pytest.raises(IllegalTransition):
        apply(a_job(status=status), event, LATER)


@pytest.mark.parametrize("fact", FACTS[1:], ids=named)
@pytest.mark.parametrize("status", sorted(FINAL), ids=named)
def test_facts_about_an_ended_job_change_nothing_that_is_shown(status: Status, fact: Fact) -> None:
    """What is learnt of the press of an ended job leaves status, time and body as they are."""
    job = a_job(status=status, press=PressPhase.SENT, reply_url="https://hook.example/x")
    after = apply(job, fact, LATER)

    assert job.press != after.press
    assert job == msgspec.structs.replace(after, press=job.press)


@pytest.mark.parametrize(
    ("step", "phase"),
    [
        (STEPS[2], PressPhase.SETTLED),
        (STEPS[3], PressPhase.SETTLED),
        (Failed(error="no", message=a_message(kind=Kind.FAILED)), PressPhase.SETTLED),
        (Failed(error="no", press=PressPhase.SETTLED), PressPhase.SETTLED),
        (Failed(error="no", press=PressPhase.REFUSED), PressPhase.REFUSED),
        (STEPS[4], PressPhase.ACCEPTED),
        (Cancelled(), PressPhase.ACCEPTED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_an_ending_says_of_the_press(step: Step, phase: PressPhase) -> None:
    """The bot's last word settles the press; an ending of our own leaves it to what may still come."""
    assert phase is apply(a_job(press=PressPhase.ACCEPTED), step, LATER).press.phase


@pytest.mark.parametrize("over", [PressPhase.SETTLED, PressPhase.REFUSED])
@pytest.mark.parametrize("fact", [FACTS[1], FACTS[2]], ids=named)
def test_press_that_is_over_stays_over(over: PressPhase, fact: Fact) -> None:
    """No late fact reopens a press of which nothing comes any more."""
    assert over is apply(a_job(status=Status.FAILED, press=over), fact, LATER).press.phase


@pytest.mark.parametrize("fact", FACTS, ids=named)
@pytest.mark.parametrize("status", sorted(set(Status) - FINAL), ids=named)
def test_fact_leaves_the_status_alone(status: Status, fact: Fact) -> None:
    """What is learnt of a press moves no status."""
    assert status is apply(a_job(status=status), fact, LATER).status


def test_sent_fixes_who_where_and_when() -> None:
    """A press that leaves is stamped with its presser, its floor and its time."""
    press = apply(a_job(), FACTS[0], LATER).press

    assert (press.user_id, press.floor_id, press.application_id, press.bot_id) == ("1", "2", "3", "4")
    assert (press.phase, press.sent) == (PressPhase.SENT, LATER)


@pytest.mark.parametrize("phase", [phase for phase in PressPhase if phase is not PressPhase.WAITING])
def test_sent_twice_is_illegal(phase: PressPhase) -> None:
    """A press that has left cannot leave again."""
    with pytest.raises(IllegalTransition):
        apply(a_job(press=phase), FACTS[0], LATER)


def test_acceptance_does_not_unbind() -> None:
    """Discord's 204 after the bot's message changes nothing but adds the interaction."""
    press = apply(a_job(press=PressPhase.BOUND), Accepted(interaction_id="5"), LATER).press

    assert (press.phase, press.interaction_id) == (PressPhase.BOUND, "5")


def test_first_interaction_id_stays() -> None:
    """An interaction once named is not renamed, nor forgotten by a later 204."""
    press = a_press(PressPhase.SENT, interaction_id="4")

    for fact in (Accepted(interaction_id="5"), Accepted()):
        assert apply(a_job(press=press), fact, LATER).press.interaction_id == "4"


def test_result_is_taken_over() -> None:
    """A finished job shows the message with the video, its buttons and its files."""
    job = apply(a_job(press=PressPhase.SENT), Finished(message=a_result(), weak=True), LATER)

    assert (a_result().id, (VIDEO,), PressPhase.SETTLED) == (job.message_id, job.attachments, job.press.phase)
    assert RETRY in job.buttons
    assert job.press.weak


def test_weak_is_never_unlearnt() -> None:
    """A job once tied by its text alone stays marked, whatever ties its later messages."""
    job = apply(a_job(press=PressPhase.SENT), Announced(message=a_message(), weak=True), LATER)

    assert apply(job, Finished(message=a_result()), LATER).press.weak


def test_progress_brings_no_files() -> None:
    """Files of a message without an ending are not the job's."""
    job = apply(a_job(press=PressPhase.SENT), Progressed(message=a_result(kind=Kind.UPDATE)), LATER)

    assert (job.attachments, job.buttons) == ((), ())


def test_moderation_says_why_in_the_bots_words() -> None:
    """The bot's refusal is the job's error; a refusal without words still has one."""
    errors = [
        apply(a_job(), Moderated(message=a_message(content=said)), LATER).error for said in ("Not that.", "")
    ]

    assert errors == ["Not that.", "Moderated"]


def test_hidden_note_does_not_replace_a_visible_message() -> None:
    """An ephemeral refusal ends the job and leaves the message that its caller knows."""
    job = a_job(status=Status.STARTED, message_id="55", content="queued", press=PressPhase.BOUND)
    hidden = a_message(kind=Kind.MODERATED, content="Not that.", is_ephemeral=True)

    ended = apply(job, Moderated(message=hidden), LATER)

    assert (ended.message_id, ended.content, ended.error) == ("55", "queued", "Not that.")


def test_hidden_result_is_a_result() -> None:
    """A video that only the presser can see is still the job's video."""
    job = a_job(status=Status.STARTED, message_id="55", press=PressPhase.BOUND)

    assert apply(job, Finished(message=a_result(is_ephemeral=True)), LATER).attachments == (VIDEO,)


def test_failure_of_the_bot_shows_its_message() -> None:
    """When the bot says itself that it failed, that message is shown."""
    message = a_message(kind=Kind.FAILED, content="Something went wrong")

    assert message.id == apply(a_job(), Failed(error="x", message=message), LATER).message_id


@given(
    events=st.lists(st.sampled_from([*STEPS, *FACTS]), max_size=12),
    ticks=st.lists(st.integers(-60, 60), min_size=12, max_size=12),
)
def test_any_life(events: list[Event], ticks: list[int]) -> None:
    """
    Through any legal events, at any times, `updated` and the phase never go back, identity never changes, and the
    first ending is the last: after it, neither status nor time moves.
    """
    job = a_job()
    for event, tick in zip(events, ticks, strict=False):
        try:
            after = apply(job, event, START + timedelta(seconds=tick))
        except IllegalTransition:
            continue
        assert not job.is_final or (after.status, after.updated) == (job.status, job.updated)
        assert after.updated >= job.updated
        assert phase(after) >= phase(job)
        assert identity(job) == identity(after)
        job = after


def phase(job: Job) -> int:
    return list(PressPhase).index(job.press.phase)


def identity(job: Job) -> tuple[object, ...]:
    return job.job_id, job.caller_id, job.created, job.press.nonce, job.channel, job.discord_token


def test_apply_changes_nothing_in_place() -> None:
    """The job before the event is as it was."""
    job = a_job()
    copy = msgspec.structs.replace(job)

    apply(job, Announced(message=a_message(id=snowflake(timedelta(seconds=3)))), LATER)

    assert copy == job
