"""The last place of a channel."""

import pytest

from pikarelay.errors import TooManyJobs
from pikarelay.jobs.admission import admit


@pytest.mark.parametrize(("executing", "max_jobs"), [((), 1), (("a",), 2), (("a",) * 9, 10)])
def test_room(executing: tuple[str, ...], max_jobs: int) -> None:
    """A channel with fewer jobs than the limit takes one more."""
    admit(executing, max_jobs)


@pytest.mark.parametrize(("executing", "max_jobs"), [(("a",), 1), (("a", "b", "c"), 2)])
def test_full(executing: tuple[str, ...], max_jobs: int) -> None:
    """At the limit, or beyond it since another request allowed more, the request is refused with the jobs in its way."""
    with pytest.raises(TooManyJobs) as refused:
        admit(executing, max_jobs)

    assert executing == refused.value.executing
    assert f"Maximum of {max_jobs} jobs executing in parallel supported" == refused.value.message
