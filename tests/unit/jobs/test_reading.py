"""What a message does to the job it is about."""

from datetime import timedelta

import pytest

from pikarelay.jobs.job import FINAL, PressPhase, Status
from pikarelay.jobs.lifecycle import Announced, Bound, Event, Failed, Finished, Moderated, Progressed
from pikarelay.jobs.messages import Kind
from pikarelay.jobs.reading import event_of
from tests.factories import a_message, a_running_job, snowflake

NOTE = a_message()


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("status", sorted(FINAL))
def test_ended_job_hears_nothing(status: Status, kind: Kind) -> None:
    """No message does anything to a job that has ended."""
    assert None is event_of(a_running_job(status=status), a_message(kind=kind), weak=False)


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (Kind.RESULT, Finished),
        (Kind.MODERATED, Moderated),
        (Kind.FAILED, Failed),
        (Kind.UPDATE, Announced),
        (Kind.HIDDEN, Bound),
    ],
)
def test_kinds(kind: Kind, event: type[Event]) -> None:
    """Each kind of message means one event for a job that has heard nothing yet."""
    assert event is type(event_of(a_running_job(), a_message(kind=kind), weak=False))


def test_later_update_is_progress() -> None:
    """A job that was announced progresses, with another message or another text of the same."""
    job = a_running_job(status=Status.STARTED, message_id=NOTE.id, content=NOTE.content)

    for message in (a_message(content="40%"), a_message(id=snowflake(timedelta(seconds=5)))):
        assert isinstance(event_of(job, message, weak=False), Progressed)


def test_repeated_message_says_nothing_new() -> None:
    """A resumed session's replay of the job's message is no event."""
    job = a_running_job(status=Status.STARTED, message_id=NOTE.id, content=NOTE.content)

    assert None is event_of(job, NOTE, weak=False)


def test_older_note_read_again_says_nothing_new() -> None:
    """The history's "queued" note does not take the place of the progress message that followed it."""
    job = a_running_job(status=Status.PROGRESS, message_id=snowflake(timedelta(seconds=9)), content="40%")

    assert None is event_of(job, NOTE, weak=False)


def test_second_acknowledgement_says_nothing_new() -> None:
    """A press that is bound is not bound again."""
    job = a_running_job(press=PressPhase.BOUND)

    assert None is event_of(job, a_message(kind=Kind.HIDDEN), weak=False)


@pytest.mark.parametrize("weak", [True, False])
def test_weakness_is_passed_on(weak: bool) -> None:
    """How sure the tie was goes into the event."""
    for kind in (Kind.RESULT, Kind.MODERATED, Kind.UPDATE):
        event = event_of(a_running_job(), a_message(kind=kind), weak=weak)

        assert isinstance(event, Finished | Moderated | Announced)
        assert weak is event.weak


def test_wordless_failure_has_words() -> None:
    """A failure message without content still says something."""
    event = event_of(a_running_job(), a_message(kind=Kind.FAILED, content=""), weak=False)

    assert isinstance(event, Failed)
    assert event.error == "Pika failed"
