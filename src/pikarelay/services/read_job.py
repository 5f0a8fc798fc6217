"""Read a job for its owner."""

from pikarelay.errors import JobIdNotProvided, JobNotFound
from pikarelay.jobs.job import Caller, Job
from pikarelay.services.ports import Store


async def read_job(store: Store, caller: Caller, job_id: str | None) -> Job:
    """Return the caller's job. Somebody else's is `JobNotFound`, exactly as one that never was."""
    if not job_id:
        raise JobIdNotProvided
    job = await store.job(job_id)
    if job is None or job.caller_id != caller.caller_id:
        raise JobNotFound(job_id)
    return job
