"""Copies of results: what is kept about them, where they come from, and where they go."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from pikarelay.jobs.mirror import CopyCount, CopyRecord, CopyState, KeptCopy


class CopyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Copies that are to be made of a job's files."""

    #: In the order of the job's attachments.
    names: tuple[str, ...]
    #: The clock's time, not the job's.
    due: datetime


class CopyOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one try: the copy, or when to try again; with neither, there is no other try."""

    kept: KeptCopy | None = None
    retry_at: datetime | None = None
    #: What was wrong, in a sentence. None when nothing was.
    error: str | None = None


class CopyFailed(Exception):
    """A copy could not be made or removed. The message is a sentence for the operator, with nothing secret in it."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        #: Whether trying again cannot help.
        self.is_final = is_final


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A file on its way here."""

    #: In bytes, and exactly so many come.
    size: int
    media_type: str
    #: Its bytes, once. Raises `CopyFailed` when they stop.
    chunks: AsyncIterator[bytes]


class FileSource(Protocol):
    """Where results come from."""

    def open(self, url: str) -> AbstractAsyncContextManager[Download]:
        """Begin to read the file behind a link. Raises `CopyFailed`."""
        ...


class Mirror(Protocol):
    """Where copies go."""

    @property
    def name(self) -> str:
        """What tells this mirror from others; a copy that another one holds is not looked for here."""
        ...

    async def put(self, name: str, download: Download) -> None:
        """
        Keep a file under this name, whole or not at all, in place of one that is there. Raises `CopyFailed`.

        When it returns, the copy survives a power cut.
        """
        ...

    async def find(self, name: str, *, method: str) -> Path | str | None:
        """Return a copy's file on this machine, or a link that anybody may follow with that method; None: it is gone."""
        ...

    async def remove(self, names: Sequence[str]) -> None:
        """Delete copies; one that is gone already is no error. Raises `CopyFailed`."""
        ...

    async def tidy(self) -> None:
        """Delete what killed processes have left unfinished. Raises `CopyFailed`."""
        ...


class MirrorStore(Protocol):
    """What is known of copies. They are added by `JobStore.change`."""

    async def claim_copies(self, now: datetime, lease: timedelta, limit: int) -> tuple[CopyRecord, ...]:
        """
        Take up to `limit` copies that are due, oldest first, each with the number of its try.

        A claim whose outcome is not recorded within `lease` is due again, so a killed process loses none.
        """
        ...

    async def renew_copy(self, name: str, attempt: int, until: datetime) -> bool:
        """Keep a claim until then. False when another try has been claimed since, or there is nothing to try."""
        ...

    async def finish_copy(self, name: str, attempt: int, outcome: CopyOutcome) -> bool:
        """Write down what became of a try. False when another has been claimed since: then nothing is written."""
        ...

    async def release_copies(self, now: datetime) -> int:
        """Make all that is claimed due at once: whoever claimed it is known to be dead. Returns how many copies."""
        ...

    async def next_copy(self) -> datetime | None:
        """Return when the next copy can be tried. None when none is waiting."""
        ...

    async def copy(self, name: str) -> CopyRecord | None: ...

    async def undone_copies(self, limit: int) -> tuple[CopyRecord, ...]:
        """Return copies that wait or have failed, oldest first."""
        ...

    async def count_copies(self) -> Mapping[CopyState, CopyCount]: ...

    async def retry_copies(self, now: datetime, job_id: str | None = None) -> int:
        """
        Let copies be tried now, with time to do so as if they were new. Returns how many.

        All that have failed or wait for their next try; of one job all, made ones too. Those being tried are left alone.
        """
        ...

    async def abandoned_copies(self, limit: int, *, with_done: bool) -> tuple[CopyRecord, ...]:
        """Return copies whose job is gone, those that were made only if wanted."""
        ...

    async def forget_copies(self, names: Sequence[str]) -> None:
        """Know nothing of these any more."""
        ...
