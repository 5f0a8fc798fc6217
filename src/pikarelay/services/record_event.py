"""Write down what happened to a job, and tell those who wait for it."""

from collections.abc import Callable
from datetime import datetime

import structlog

from pikarelay.contract.bodies import encode, job_body
from pikarelay.contract.urls import origin_of
from pikarelay.jobs.job import Job
from pikarelay.jobs.lifecycle import Event, apply
from pikarelay.jobs.mirror import copies_of, with_copies
from pikarelay.services.board import Board
from pikarelay.services.ports import CallbackDraft, Change, Clock, CopyPlan, Ids, NotHeld, Orphan, Store

_log = structlog.get_logger(__name__)


class EventRecorder:
    """
    The one way to change a stored job.

    What an event does is decided inside the transaction, on the job as it is then, so two events at once cannot both
    win. When the job becomes final its callback is rendered and recorded as due in that same transaction; with a mirror,
    so are the copies of its files, whose links the callback has.
    """

    def __init__(
        self, store: Store, board: Board, clock: Clock, ids: Ids, files_at: str | None = None
    ) -> None:
        self._store = store
        self._board = board
        self._clock = clock
        self._ids = ids
        #: What links to copies begin with. None without a mirror.
        self._files_at = files_at

    async def record(self, job_id: str, event: Event, *, message_id: str | None = None) -> Job | None:
        """Apply the event. None when the job is gone or final, and nothing was written."""
        return await self.decide(job_id, lambda job: None if job.is_final else event, message_id=message_id)

    async def decide(
        self,
        job_id: str,
        event_of: Callable[[Job], Event | None],
        *,
        message_id: str | None = None,
        orphan: Orphan | None = None,
        adopts: bool = False,
    ) -> Job | None:
        """
        Apply the event that `event_of` reads from the job; `message_id` becomes the job's own.

        With it, `orphan` is kept, or (`adopts`) the message that was one is none any more. None when there is no such job, `event_of` says so, or the
        job is on a channel that another worker has taken over. `event_of` must be pure. Raises `MessageTaken` when the
        message is another job's.
        """
        now, callback_id = self._clock.now(), self._ids.callback_id()
        file_id = None if self._files_at is None else self._ids.file_id()

        ended = False

        def change(job: Job) -> Change | None:
            nonlocal ended
            event = event_of(job)
            if event is None:
                return None
            changed = apply(job, event, now)
            ended = changed.is_final and not job.is_final
            if job.is_final:
                # It has called back about its end, and nothing that it learns later is worth another call.
                return Change(job=changed, message_id=message_id, orphan=orphan, adopts=adopts)
            if file_id is not None:
                changed = with_copies(changed, file_id)
            names = copies_of(changed)
            return Change(
                job=changed,
                callback=self._callback(changed, callback_id, now),
                message_id=message_id,
                orphan=orphan,
                adopts=adopts,
                copies=CopyPlan(names=names, due=now) if names else None,
            )

        try:
            job = await self._store.change(job_id, change)
        except NotHeld as refusal:
            # Another worker has taken over, and hears what there is to hear.
            _log.warning("job.not_held", job_id=job_id, name=str(refusal))
            return None
        if job is not None:
            if ended:
                self._board.tally.job_ended(job.status)
            self._board.publish(job)
        return job

    def _callback(self, job: Job, callback_id: str, now: datetime) -> CallbackDraft | None:
        if not job.callback_is_due or job.reply_url is None:
            return None
        body = encode(job_body(job, files_at=self._files_at))
        return CallbackDraft(
            callback_id=callback_id,
            job_id=job.job_id,
            target=origin_of(job.reply_url),
            url=job.reply_url,
            body=body,
            due=now,
        )
