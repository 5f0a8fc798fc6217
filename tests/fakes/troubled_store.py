"""A store that can be out of order, and counts what it is asked."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from pikarelay.errors import OutcomeUnknown, Unavailable
from pikarelay.jobs.callbacks import CallbackAttempt
from pikarelay.jobs.health import AccountHealth
from pikarelay.jobs.job import Job
from pikarelay.jobs.mirror import CopyRecord
from pikarelay.services.ports import (
    Callback,
    CallbackOutcome,
    Change,
    DecideOutcome,
    Giving,
    KeptSession,
    Refusal,
    Sightings,
)
from tests.fakes.store import FakeStore


class TroubledStore(FakeStore):
    """A `FakeStore` of which the methods named in `broken` raise `OSError`, and those in `unavailable` as a real one does."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: set[str] = set()
        self.unavailable: set[str] = set()
        #: So many changes are made, and it is not known.
        self.silent_changes = 0
        #: How often each was called, broken or not.
        self.calls: Counter[str] = Counter()
        #: Answers `sightings` once, as a read does that another write overtakes.
        self.stale_sightings: Sightings | None = None

    async def sightings(
        self, channel: str, message_ids: Sequence[str], *, ghosts_since: datetime | None = None
    ) -> Sightings:
        self._enter("sightings")
        stale, self.stale_sightings = self.stale_sightings, None
        return stale or await super().sightings(channel, message_ids, ghosts_since=ghosts_since)

    async def keep_sessions(
        self, sessions: Mapping[bytes, KeptSession], forgotten: Collection[bytes] = ()
    ) -> None:
        self._enter("keep_sessions")
        await super().keep_sessions(sessions, forgotten)

    async def keep_health(
        self, found: Mapping[bytes, AccountHealth], gone: Collection[bytes], now: datetime
    ) -> None:
        self._enter("keep_health")
        await super().keep_health(found, gone, now)

    async def unfinished(self) -> tuple[Job, ...]:
        self._enter("unfinished")
        return await super().unfinished()

    async def change(self, job_id: str, decide: Callable[[Job], Change | None]) -> Job | None:
        if self.silent_changes:
            self.silent_changes -= 1
            await super().change(job_id, decide)
            raise OutcomeUnknown
        self._enter("change")
        return await super().change(job_id, decide)

    async def job(self, job_id: str) -> Job | None:
        self._enter("job")
        return await super().job(job_id)

    async def withdraw(self, job_id: str, *, was_sent: bool) -> Job | None:
        self._enter("withdraw")
        return await super().withdraw(job_id, was_sent=was_sent)

    async def give_answer(self, job_id: str, now: datetime) -> Giving | Refusal:
        self._enter("give_answer")
        return await super().give_answer(job_id, now)

    async def claim_refusal(self, job_id: str, now: datetime) -> bool:
        self._enter("claim_refusal")
        return await super().claim_refusal(job_id, now)

    async def claim_callbacks(
        self, now: datetime, lease: timedelta, fresh: int, failing: int
    ) -> tuple[Callback, ...]:
        self._enter("claim_callbacks")
        return await super().claim_callbacks(now, lease, fresh, failing)

    async def renew_claim(self, callback_id: str, attempt: int, until: datetime) -> bool:
        self._enter("renew_claim")
        return await super().renew_claim(callback_id, attempt, until)

    async def finish_callback(
        self, attempt: CallbackAttempt, decide: DecideOutcome
    ) -> CallbackOutcome | None:
        self._enter("finish_callback")
        return await super().finish_callback(attempt, decide)

    async def claim_copies(self, now: datetime, lease: timedelta, limit: int) -> tuple[CopyRecord, ...]:
        self._enter("claim_copies")
        return await super().claim_copies(now, lease, limit)

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        self._enter("note_uses")
        await super().note_uses(uses)

    def _enter(self, method: str) -> None:
        self.calls[method] += 1
        if method in self.broken:
            raise OSError("disk")
        if method in self.unavailable:
            raise Unavailable
