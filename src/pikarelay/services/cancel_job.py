"""Give a job up."""

from pikarelay.jobs.job import Caller, Job
from pikarelay.jobs.lifecycle import Cancelled
from pikarelay.services.ports import Store
from pikarelay.services.read_job import read_job
from pikarelay.services.record_event import EventRecorder


async def cancel_job(store: Store, recorder: EventRecorder, caller: Caller, job_id: str | None) -> Job:
    """
    End the caller's job as cancelled, which frees its place at once, and return it as it is then.

    A job that has ended keeps the status it ended with. What Discord runs already is not undone.
    """
    job = await read_job(store, caller, job_id)
    cancelled = await recorder.record(job.job_id, Cancelled())
    return cancelled or await read_job(store, caller, job_id)
