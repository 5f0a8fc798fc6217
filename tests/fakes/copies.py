"""The part of the store in memory that is about copies."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from pikarelay.jobs.mirror import CopyCount, CopyRecord, CopyState
from pikarelay.services.ports import CopyOutcome, CopyPlan
from pikarelay.store.rules import copy_state


class FakeCopies:
    """A `MirrorStore`. Tests may look into it."""

    def __init__(self) -> None:
        #: By name.
        self.copies: dict[str, CopyRecord] = {}

    async def claim_copies(self, now: datetime, lease: timedelta, limit: int) -> tuple[CopyRecord, ...]:
        await asyncio.sleep(0)
        due = [(c.due, c.name, c) for c in self.copies.values() if c.due is not None and c.due <= now]
        claimed = [
            replace(copy, due=now + lease, attempt=copy.attempt + 1, error=None)
            for _, _, copy in sorted(due, key=lambda each: each[:2])[:limit]
        ]
        self.copies |= {copy.name: copy for copy in claimed}
        return _oldest_first(claimed)

    async def renew_copy(self, name: str, attempt: int, until: datetime) -> bool:
        await asyncio.sleep(0)
        copy = self._tried(name, attempt)
        if copy is not None:
            self.copies[name] = replace(copy, due=until)
        return copy is not None

    async def finish_copy(self, name: str, attempt: int, outcome: CopyOutcome) -> bool:
        await asyncio.sleep(0)
        state = copy_state(outcome)
        copy = self._tried(name, attempt)
        if copy is not None:
            self.copies[name] = replace(
                copy, state=state, due=outcome.retry_at, error=outcome.error, kept=outcome.kept
            )
        return copy is not None

    async def release_copies(self, now: datetime) -> int:
        await asyncio.sleep(0)
        claimed = [
            copy
            for copy in self.copies.values()
            if copy.due is not None and copy.due > now and copy.attempt and copy.error is None
        ]
        self.copies |= {copy.name: replace(copy, due=now) for copy in claimed}
        return len(claimed)

    async def next_copy(self) -> datetime | None:
        await asyncio.sleep(0)
        return min((copy.due for copy in self.copies.values() if copy.due is not None), default=None)

    async def copy(self, name: str) -> CopyRecord | None:
        await asyncio.sleep(0)
        return self.copies.get(name)

    async def undone_copies(self, limit: int) -> tuple[CopyRecord, ...]:
        await asyncio.sleep(0)
        return _oldest_first(c for c in self.copies.values() if c.state is not CopyState.DONE)[:limit]

    async def count_copies(self) -> Mapping[CopyState, CopyCount]:
        await asyncio.sleep(0)
        found: dict[CopyState, CopyCount] = {}
        for copy in self.copies.values():
            before = found.get(copy.state, CopyCount(0, 0))
            size = 0 if copy.kept is None else copy.kept.size
            found[copy.state] = CopyCount(before.copies + 1, before.size + size)
        return found

    async def retry_copies(self, now: datetime, job_id: str | None = None) -> int:
        await asyncio.sleep(0)
        meant = [
            copy
            for copy in self.copies.values()
            if (copy.job_id is not None and _rests(copy) if job_id is None else copy.job_id == job_id)
            and (_rests(copy) or copy.state is CopyState.DONE)
        ]
        for copy in meant:
            self.copies[copy.name] = replace(copy, state=CopyState.WAITING, due=now, begun=now, error=None)
        return len(meant)

    async def abandoned_copies(self, limit: int, *, with_done: bool) -> tuple[CopyRecord, ...]:
        await asyncio.sleep(0)
        found = [
            copy
            for copy in self.copies.values()
            if copy.job_id is None and (with_done or copy.state is not CopyState.DONE)
        ]
        return tuple(sorted(found, key=lambda copy: copy.name))[:limit]

    async def forget_copies(self, names: Sequence[str]) -> None:
        await asyncio.sleep(0)
        for name in names:
            self.copies.pop(name, None)

    def _plan(self, plan: CopyPlan, job_id: str) -> None:
        for number, name in enumerate(plan.names):
            copy = CopyRecord(
                name=name,
                job_id=job_id,
                number=number,
                state=CopyState.WAITING,
                begun=plan.due,
                attempt=0,
                due=plan.due,
            )
            self.copies.setdefault(name, copy)

    def _abandon(self, job_id: str) -> None:
        self.copies |= {c.name: replace(c, job_id=None) for c in self.copies.values() if c.job_id == job_id}

    def _tried(self, name: str, attempt: int) -> CopyRecord | None:
        copy = self.copies.get(name)
        return copy if copy is not None and copy.attempt == attempt and copy.due is not None else None


def _rests(copy: CopyRecord) -> bool:
    """Whether nobody is trying it, nor about to for the first time, and it is not made."""
    return copy.state is CopyState.FAILED or (copy.state is CopyState.WAITING and copy.error is not None)


def _oldest_first(copies: Iterable[CopyRecord]) -> tuple[CopyRecord, ...]:
    return tuple(sorted(copies, key=lambda copy: (copy.begun, copy.name)))
