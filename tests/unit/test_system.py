"""The machine's clock, and identifiers made of it."""

from datetime import UTC, datetime, timedelta

from pikarelay.jobs.snowflakes import first_of
from pikarelay.system import SystemClock, SystemIds

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


def test_times_are_stored_as_they_are() -> None:
    """The clock gives whole milliseconds in UTC, so that a time read back equals the time written."""
    now = SystemClock().now()

    assert 0 == now.microsecond % 1000
    assert timedelta() == now.utcoffset()


def test_elapsed_time_is_no_clock() -> None:
    """Elapsed time only grows."""
    clock = SystemClock()
    times = [clock.elapsed() for _ in range(1000)]

    assert sorted(times) == times
    assert times[0] > timedelta()


def test_job_ids_sort_by_time_and_never_repeat() -> None:
    """A later millisecond's id is greater, and ids of one millisecond differ."""
    early, late = SystemIds(lambda: NOW), SystemIds(lambda: NOW + timedelta(milliseconds=1))

    ids = {early.job_id() for _ in range(10_000)}

    assert 10_000 == len(ids)
    assert max(ids) < late.job_id()
    assert all(26 == len(job_id) and job_id.isalnum() and job_id.islower() for job_id in ids)


def test_nonces_grow_whatever_the_clock_does() -> None:
    """Every nonce is greater than the one before, also when the clock stands still or goes back."""
    times = [NOW, NOW, NOW - timedelta(hours=1), NOW + timedelta(seconds=1)]
    ids = SystemIds(lambda: times.pop(0))

    nonces = [int(ids.nonce()) for _ in range(4)]

    assert nonces == sorted(set(nonces))
    assert first_of(NOW) <= nonces[0] < first_of(NOW + timedelta(milliseconds=1))
    assert first_of(NOW + timedelta(seconds=1)) <= nonces[3] < first_of(NOW + timedelta(milliseconds=1001))


def test_nonces_of_two_processes_differ() -> None:
    """Two processes that make nonces in the same millisecond make different ones."""
    one, other = SystemIds(lambda: NOW), SystemIds(lambda: NOW)

    assert one.nonce() != other.nonce()


def test_file_ids_cannot_be_guessed() -> None:
    """A file's id says nothing of the time, and no two are alike."""
    ids = [SystemIds(lambda: NOW).file_id() for _ in range(1000)]

    assert 1000 == len(set(ids))
    assert all(26 == len(file_id) and file_id.isalnum() and file_id.islower() for file_id in ids)
    # Each place holds any of the 32 characters: a thousand draws miss one of them hardly ever in a billion tries.
    assert {32} == {len(set(place)) for place in zip(*ids, strict=True)}


def test_callback_ids_have_no_full_stop() -> None:
    """A callback's id can be signed with its body, where a full stop separates the two."""
    assert "." not in SystemIds(lambda: NOW).callback_id()
