"""POST /v1/pika/button: press a button of a finished job's message."""

from collections.abc import Mapping

from pikarelay.errors import JobNotFound
from pikarelay.jobs.admission import admit
from pikarelay.jobs.buttons import plan, pressable
from pikarelay.jobs.job import Caller, Job
from pikarelay.jobs.requests import ButtonRequest, RequestKey
from pikarelay.services.ports import Clock, Ids, Store
from pikarelay.services.submit_job import Submission, Submitted


class PressButton:
    """Runs a parent job again by its own message, without its content being sent again."""

    def __init__(self, store: Store, submission: Submission, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._submission = submission
        self._clock = clock
        self._ids = ids

    async def __call__(
        self, caller: Caller, request: ButtonRequest, key: RequestKey | None = None
    ) -> Submitted:
        """Raises `JobNotFound`, `ButtonNotSupported`, `TooManyJobs` or `DiscordRateLimited`, in that order."""
        parent = await self._store.job(request.job_id)
        if parent is None or parent.caller_id != caller.caller_id:
            raise JobNotFound(request.job_id)
        pressable(parent, request.button)
        job = plan(
            parent,
            request,
            account=await self._store.account(caller.caller_id, parent.channel),
            caller=caller,
            job_id=self._ids.job_id(),
            nonce=self._ids.nonce(),
            now=self._clock.now(),
        )

        def decide(executing: Mapping[str, tuple[str, ...]]) -> Job:
            admit(executing.get(job.channel, ()), job.max_jobs)
            return job

        return await self._submission.submit(caller, [job.channel], decide, key)
