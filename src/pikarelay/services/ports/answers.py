"""The answers that POSTs still owe, as all nodes see them."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from pikarelay.jobs.job import Job


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Discord's 429 to the press of a job, for the POST that made the job."""

    details: str
    retry_after: float | None = None


class Giving(StrEnum):
    """What a POST may do that wants to answer with its job."""

    #: Answer. From now on a refusal comes too late.
    MAY = "may"
    #: Wait: a refusal is about to be decided.
    MUST_WAIT = "must_wait"


class AnswerStore(Protocol):
    """
    Owed answers: from the admission of a job until its POST's answer has left, bounded in time.

    As long as one is open and was not given, Discord's 429 can take the job back; as long as it is open at all, the job's callback waits.
    """

    async def claim_refusal(self, job_id: str, now: datetime) -> bool:
        """Hold the answer back, for `refuse` or `spare` follows. False when it was given, or nobody waits any more."""
        ...

    async def spare(self, job_id: str) -> None:
        """Let the answer be given after all."""
        ...

    async def refuse(self, job_id: str, refusal: Refusal, now: datetime, *, was_sent: bool) -> Job | None:
        """
        Withdraw the job and let its POST answer with the refusal, unless it comes too late for that: not claimed, or at a time
        when the answer is owed no more.

        Returns the job where it could not be withdrawn. As a worker sees it, raises `NotHeld` for a job on a channel that is
        not its own.
        """
        ...

    async def refusal(self, job_id: str) -> Refusal | None:
        """Return what the job's POST has to answer with; None unless it was refused."""
        ...

    async def give_answer(self, job_id: str, now: datetime) -> Giving | Refusal:
        """Ask whether the POST may answer with its job now; when it may, nobody can refuse any more."""
        ...

    async def close_answer(self, job_id: str) -> None:
        """Note that the answer has left, or that nobody is there to get one. One that is held back stays until that is over."""
        ...

    async def owed_until(self, job_id: str) -> datetime | None:
        """Return until when the job's callback waits for its POST's answer. None when it does not."""
        ...
