"""POST /v1/pika/create and its sisters: run one of the bot's commands on an account with room."""

from collections.abc import Callable, Mapping, Sequence

from pikarelay.jobs.accounts import candidates, choose, plan
from pikarelay.jobs.job import Account, Caller, Job
from pikarelay.jobs.requests import CommandRequest, RequestKey
from pikarelay.services.ports import Clock, Ids, Store
from pikarelay.services.submit_job import Submission, Submitted


class RunCommand:
    """Chooses the account, then submits."""

    def __init__(
        self, store: Store, submission: Submission, clock: Clock, ids: Ids, draw: Callable[[], float]
    ) -> None:
        self._store = store
        self._submission = submission
        self._clock = clock
        self._ids = ids
        #: Returns a random number in [0, 1).
        self._draw = draw

    async def __call__(
        self, caller: Caller, request: CommandRequest, *, required: str, key: RequestKey | None = None
    ) -> Submitted:
        """
        Raises `MissingValue(required)` when there is no account to run on, `TooManyJobs` or `DiscordRateLimited`.

        `required` are the fields that the verb's 400 names.
        """
        seats = candidates(request, await self._accounts(caller, request), required=required)
        job_id, nonce, now, draw = self._ids.job_id(), self._ids.nonce(), self._clock.now(), self._draw()

        def decide(executing: Mapping[str, tuple[str, ...]]) -> Job:
            seat = choose(seats, executing, draw)
            return plan(request, seat, caller=caller, job_id=job_id, nonce=nonce, now=now)

        return await self._submission.submit(caller, [seat.channel for seat in seats], decide, key)

    async def _accounts(self, caller: Caller, request: CommandRequest) -> Sequence[Account]:
        """Return those accounts of the caller that the request may run on: it may have thousands, and mostly names one."""
        if request.common.discord_token is not None:
            return ()
        if request.common.channel is None:
            return await self._store.accounts(caller.caller_id)
        account = await self._store.account(caller.caller_id, request.common.channel)
        return () if account is None else (account,)
