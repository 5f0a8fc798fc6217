"""What copies are called, and when they are tried again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.jobs.job import Status
from pikarelay.jobs.mirror import GIVE_UP_AFTER, LONGEST_WAIT, copies_of, is_mirrored, next_try, with_copies
from tests.factories import VIDEO, a_file, a_job
from tests.fakes.clock import START

SECOND = timedelta(seconds=1)


def test_names_of_a_completed_job() -> None:
    """Every file of a completed job gets a name of its own that ends in an extension; nothing else changes."""
    picture = a_file(filename="still.png", id="2")
    job = with_copies(a_job(status=Status.COMPLETED, attachments=(VIDEO, picture, VIDEO)), "abc")

    assert ("abc.mp4", "abc-1.png", "abc-2.mp4") == copies_of(job)
    assert is_mirrored(job)
    assert a_file(copy_name="abc.mp4") == job.attachments[0]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.COMPLETED])
def test_no_names_before_the_end(status: Status) -> None:
    """Files that a job does not give out are not copied."""
    job = a_job(status=status, attachments=(VIDEO,))

    assert job is with_copies(job, "abc")
    assert () == copies_of(job)
    assert not is_mirrored(job)


def test_first_and_last_wait() -> None:
    """The first wait is five seconds, the longest an hour, and after a week there is none."""
    assert START + 5 * SECOND == next_try(START, START, 0.5)
    assert LONGEST_WAIT == (next_try(START, START + timedelta(days=6), 0.5) or START) - (
        START + timedelta(days=6)
    )
    assert None is next_try(START, START + GIVE_UP_AFTER, 0.5)


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_tries_end(jitter: float, share: float) -> None:
    """From any moment on, there are fewer than three hundred tries, each after the one before."""
    now, tries = START + share * GIVE_UP_AFTER, 0
    while (then := next_try(START, now, jitter)) is not None:
        assert then > now
        now, tries = then, tries + 1

    assert tries < 300
