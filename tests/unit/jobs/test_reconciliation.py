"""When a channel is read although nothing says that anything was missed."""

from datetime import datetime, timedelta

import pytest

from pikarelay.jobs.job import Job, PressPhase
from pikarelay.jobs.reconciliation import ROUTINE, SILENCE, SPACING, channels_due
from tests.factories import CHANNEL, a_job, a_running_job
from tests.fakes.clock import START

TICK = timedelta(milliseconds=1)
BOUND = a_running_job("b", press=PressPhase.BOUND)
SILENT = a_running_job("s")


def due(job: Job, after: timedelta, last: timedelta | None = None, jitter: float | None = None) -> bool:
    read: dict[str, datetime] = {} if last is None else {CHANNEL: START + last}
    return bool(channels_due([job], read, START + after, {} if jitter is None else {CHANNEL: jitter}))


@pytest.mark.parametrize("phase", [PressPhase.SENT, PressPhase.ACCEPTED])
def test_silence(phase: PressPhase) -> None:
    """A press of which nothing was heard is looked for after a quarter of a minute, once."""
    job = a_running_job(press=phase)

    assert [False, True] == [due(job, SILENCE - tick) for tick in (TICK, timedelta())]
    assert not due(job, SILENCE + SPACING, last=SILENCE)


def test_routine() -> None:
    """A channel with open presses is read every minute, spread by a fifth."""
    assert [False, True] == [due(BOUND, ROUTINE - tick) for tick in (TICK, timedelta())]
    assert [True, False] == [due(BOUND, ROUTINE * 0.8, jitter=jitter) for jitter in (0.0, 1.0)]
    assert [False, True] == [due(BOUND, ROUTINE * 2 - tick, last=ROUTINE) for tick in (TICK, timedelta())]


def test_spacing() -> None:
    """Whatever is the matter, a channel is not read twice in a quarter of a minute."""
    assert [False, True] == [
        due(SILENT, SILENCE + SPACING - TICK - tick, last=SILENCE - TICK) for tick in (TICK, timedelta())
    ]


def test_one_reading_for_a_channel() -> None:
    """A channel comes up once with all its open jobs; presses that wait need no reading."""
    later = START + ROUTINE

    assert {CHANNEL: [BOUND, SILENT]} == channels_due([BOUND, SILENT, a_job("w")], {}, later, {})
    assert {} == channels_due([a_job("w")], {}, later, {})
