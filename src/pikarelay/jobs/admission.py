"""How many jobs a channel may execute at once. Counted from stored jobs each time; there is no counter to leak."""

from collections.abc import Sequence

from pikarelay.errors import TooManyJobs

#: When neither the request nor anything it refers to says otherwise.
DEFAULT_MAX_JOBS = 10


def admit(executing: Sequence[str], max_jobs: int) -> None:
    """Raise `TooManyJobs` unless the channel, which executes these jobs, has room for one more."""
    if len(executing) >= max_jobs:
        raise TooManyJobs(max_jobs, executing)
