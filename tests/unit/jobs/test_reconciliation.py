"""When a channel is read although nothing says that anything was missed."""

from datetime import timedelta

import msgspec
import pytest

from pikarelay.jobs.job import Job, PressPhase, Status
from pikarelay.jobs.reconciliation import ROUTINE, SILENCE, SLOW, SPACING, Reading, channels_due
from tests.factories import CHANNEL, a_job, a_running_job, snowflake
from tests.fakes.clock import START

TICK = timedelta(milliseconds=1)
BOUND = a_running_job("b", press=PressPhase.BOUND)
SILENT = a_running_job("s")


def due(job: Job, after: timedelta, last: timedelta | None = None, jitter: float | None = None) -> bool:
    readings = {} if last is None else {CHANNEL: read(last)}
    return bool(channels_due([job], readings, START + after, {} if jitter is None else {CHANNEL: jitter}))


def read(after: timedelta) -> Reading:
    """Return a reading at that time, from before the jobs' presses."""
    return Reading(tried=START + after, read=START + after, floor_id=snowflake(timedelta(seconds=-2)))


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


def test_failed_reading_did_not_happen() -> None:
    """A press is looked for until a reading comes about; the more have failed, the later the next."""
    for failures, pause in ((1, 2 * SPACING), (2, 4 * SPACING), (9, 4 * SPACING)):
        failed = {CHANNEL: Reading(tried=START + SILENCE, failures=failures)}
        assert [False, True] == [
            bool(channels_due([SILENT], failed, START + SILENCE + pause - tick, {}))
            for tick in (TICK, timedelta())
        ]


def test_reading_that_did_not_reach_back() -> None:
    """A reading of what came after another press is none of this one's."""
    later = msgspec.structs.replace(read(SILENCE), floor_id=snowflake(timedelta(seconds=1)))

    assert channels_due([SILENT], {CHANNEL: later}, START + SILENCE + SPACING, {})


@pytest.mark.parametrize("phase", [PressPhase.SENT, PressPhase.ACCEPTED, PressPhase.BOUND])
def test_unannounced_ghost(phase: PressPhase) -> None:
    """A ghost that was not announced is looked for when an announcement would be there, though it was acknowledged."""
    ghost = a_running_job(status=Status.CANCELLED, press=phase)

    assert [False, True] == [due(ghost, SLOW - tick) for tick in (TICK, timedelta())]
    assert due(ghost, SLOW + SPACING, last=SLOW - TICK)
    assert not due(ghost, SLOW + SPACING, last=SLOW)
    assert not due(msgspec.structs.replace(ghost, message_id="1"), SLOW)


def test_one_reading_for_a_channel() -> None:
    """A channel comes up once with all its open jobs; presses that wait need no reading."""
    later = START + ROUTINE

    assert {CHANNEL: [BOUND, SILENT]} == channels_due([BOUND, SILENT, a_job("w")], {}, later, {})
    assert {} == channels_due([a_job("w")], {}, later, {})
