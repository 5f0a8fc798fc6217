"""Jobs, as they are kept."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from pikarelay.jobs.job import Job
from pikarelay.jobs.requests import RequestKey
from pikarelay.services.ports.callbacks import CallbackDraft
from pikarelay.services.ports.mirror import CopyPlan
from pikarelay.services.ports.orphans import Orphan


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction writes about one job."""

    job: Job
    #: Set when this change makes the job final and its caller is to be called back.
    callback: CallbackDraft | None = None
    #: A message of the bot that belongs to this job from now on. A message belongs to one job only, for ever.
    message_id: str | None = None
    #: True of a message that was kept as an orphan: it is none any more. One that came late may have been its ended job's.
    adopts: bool = False
    #: A message to keep for a person to look at.
    orphan: "Orphan | None" = None
    #: Set when this change completes the job and copies of its files are to be made.
    copies: CopyPlan | None = None


class Sightings(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows that a new message of the bot could be about."""

    #: Unfinished jobs of the channel whose press has left this server, oldest press first.
    open_jobs: tuple[Job, ...]
    #: Message id to job id, of those asked for that belong to a job, finished ones included.
    owners: Mapping[str, str]
    #: Failed, cancelled and withdrawn jobs of the channel whose press may still come to something, oldest press first.
    ghosts: tuple[Job, ...] = ()


class KeyedJob(msgspec.Struct, frozen=True, kw_only=True):
    """The job that a request with a key has made, and the digest of that request."""

    job: Job
    digest: bytes


class MessageTaken(Exception):
    """A message of the bot already belongs to another job."""


class KeyTaken(Exception):
    """The caller has used this key for another request, or for this one."""


#: How long the use of a key is remembered.
KEY_LIFETIME = timedelta(hours=24)


class JobStore(Protocol):
    """Jobs, and what decides about them."""

    async def job(self, job_id: str) -> Job | None: ...

    async def executing(self, caller_id: str) -> tuple[str, ...]:
        """Return the ids of the caller's unfinished jobs, oldest first."""
        ...

    async def admit(
        self,
        caller_id: str,
        channels: Sequence[str],
        decide: Callable[[Mapping[str, tuple[str, ...]]], Job],
        key: RequestKey | None = None,
        *,
        answer_until: datetime | None = None,
    ) -> Job:
        """
        Let `decide` see which jobs execute on each of the caller's channels, and insert the job it returns.

        Admissions to one channel are serialised, so two callers of this cannot both take its last place. What
        `decide` raises is passed on, and nothing is written. `decide` must be pure: it may run in another thread, and again when
        the channel that it chose is fuller by then. Of several channels it must choose by whether there is room.

        With a key, its use is written with the job, and goes with the job. When the caller has used it less than
        `KEY_LIFETIME` before the job's creation, raises `KeyTaken` and writes nothing. With `answer_until`, its POST owes
        an answer, until then at the latest.

        Raises `Unauthorized`, before it lets `decide` see anything, when the caller is gone by now.
        """
        ...

    async def change(self, job_id: str, decide: Callable[[Job], Change | None]) -> Job | None:
        """
        Read one job, let `decide` say what becomes of it, and write that, as one transaction.

        Returns the job as it is afterwards; None when there is no such job, or `decide` returned None. When the
        message of the change belongs to another job already, raises `MessageTaken` and writes nothing. As a worker sees it,
        raises `NotHeld` for a job on a channel that is not its own.
        """
        ...

    async def withdraw(self, job_id: str, *, was_sent: bool) -> Job | None:
        """
        Let there be no job, where Discord never accepted it. Any other is left alone, and returned.

        When its press has left this server (`was_sent`; its phase only says that it was about to), a failed job remains that
        `change`, `job_by_nonce` and `sightings` know, and nobody else.
        """
        ...

    async def sightings(
        self, channel: str, message_ids: Sequence[str], *, ghosts_since: datetime | None = None
    ) -> Sightings:
        """Return what a message could be about. Ghosts are those sent after `ghosts_since`; None: nobody asks."""
        ...

    async def closed_messages(self, message_ids: Sequence[str]) -> frozenset[str]:
        """Return those that belong to a completed or moderated job: whatever they show is no news."""
        ...

    async def job_by_key(self, caller_id: str, key: str, since: datetime) -> KeyedJob | None:
        """Return the job of the request for which the caller has used this key, at `since` or later."""
        ...

    async def job_by_nonce(self, nonce: str) -> Job | None: ...

    async def unfinished(self) -> tuple[Job, ...]:
        """Return every unfinished job of every caller, oldest first."""
        ...

    async def ghosts(self, since: datetime) -> tuple[Job, ...]:
        """Return the ghosts that were sent after then, as `sightings` has them, of all channels with an unfinished job."""
        ...

    async def newest_jobs(self, limit: int) -> tuple[Job, ...]:
        """Return the jobs of all callers that were made last, newest first."""
        ...

    async def prune(self, before: datetime) -> int:
        """Delete final jobs last changed before then, with all that hangs on them, and old orphans. Returns how many jobs."""
        ...

    async def prune_keys(self, before: datetime) -> int:
        """Forget the keys of requests made before then. Returns how many."""
        ...

    async def known_uploads(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of the uploads' keys that belong to a job."""
        ...
