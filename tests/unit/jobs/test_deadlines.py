"""How long jobs, and what is left of them, are waited for."""

from datetime import timedelta

import pytest

from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.job import PressPhase, Status
from tests.factories import a_job, a_press, snowflake
from tests.fakes.clock import START

TICK = timedelta(milliseconds=1)
DEADLINES = Deadlines(first_message=timedelta(minutes=2), whole_job=timedelta(minutes=30))

ALLOWED = [
    (PressPhase.SENT, DEADLINES.first_message),
    (PressPhase.ACCEPTED, DEADLINES.first_message),
    (PressPhase.BOUND, DEADLINES.whole_job),
]


@pytest.mark.parametrize(("phase", "allowed"), [(PressPhase.WAITING, DEADLINES.whole_job), *ALLOWED])
def test_overdue(phase: PressPhase, allowed: timedelta) -> None:
    """A job is overdue from the moment its phase's time is up."""
    job = a_job(press=phase)

    assert [False, True] == [
        DEADLINES.is_overdue(job, START + allowed - tick) for tick in (TICK, timedelta())
    ]


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
@pytest.mark.parametrize(("phase", "allowed"), ALLOWED)
def test_ghost(phase: PressPhase, allowed: timedelta, status: Status) -> None:
    """What is said while a failed or cancelled job would have been waited for may be about it, and is heard as long as any job."""
    job = a_job(press=phase, status=status)
    longest, doubt = DEADLINES.whole_job, 2 * timedelta(seconds=2)

    assert [True, False] == [
        DEADLINES.may_be_about(job, snowflake(allowed - timedelta(seconds=2) + doubt - tick))
        for tick in (TICK, timedelta())
    ]
    assert [True, False] == [DEADLINES.is_ghost(job, START + longest - tick) for tick in (TICK, timedelta())]


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.MODERATED, Status.STARTED])
def test_no_ghost_by_status(status: Status) -> None:
    """What the bot has answered, and what still runs, is no ghost."""
    job = a_job(press=PressPhase.BOUND, status=status)

    assert not DEADLINES.is_ghost(job, START)
    assert not DEADLINES.may_be_about(job, snowflake())


@pytest.mark.parametrize("phase", [PressPhase.WAITING, PressPhase.SETTLED, PressPhase.REFUSED])
def test_no_ghost_by_phase(phase: PressPhase) -> None:
    """A press that never left, or of which nothing comes any more, leaves no ghost."""
    sent = START if phase is not PressPhase.WAITING else None

    job = a_job(press=a_press(phase, sent=sent), status=Status.CANCELLED)

    assert not DEADLINES.is_ghost(job, START)
    assert not DEADLINES.may_be_about(job, snowflake())
