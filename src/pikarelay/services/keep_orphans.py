"""
Messages of the bot that brought something and could be given to nobody.

They wait for a person, with one exception: a message that is about one of several jobs becomes the last one's as soon as
the bot has said its last word about each of the others. Nothing less will do; that a job has failed or was cancelled
says nothing about its work.
"""

from datetime import UTC, datetime

import structlog

from pikarelay.jobs.job import Job, PressPhase
from pikarelay.jobs.reading import event_of
from pikarelay.services.ports import MessageTaken, Orphan, OrphanReason, Store
from pikarelay.services.record_event import EventRecorder

_log = structlog.get_logger(__name__)

#: Before any press was sent.
_EVER = datetime.fromtimestamp(0, UTC)


class NotAssignable(Exception):
    """The orphan cannot be given to that job; the message says why."""


class OrphanKeeper:
    """Gives orphans away, by elimination or by hand."""

    def __init__(self, store: Store, recorder: EventRecorder) -> None:
        self._store = store
        self._recorder = recorder

    async def eliminate(self, channel: str) -> None:
        """Give each of the channel's orphans away for which there is only one job left that it can be about."""
        for orphan in await self._store.orphans(channel):
            if orphan.reason is OrphanReason.AMBIGUOUS:
                await self._eliminate(channel, orphan)

    async def _eliminate(self, channel: str, orphan: Orphan) -> None:
        # Asked this way, the store also knows of jobs that a 429 took back.
        known = await self._store.sightings(channel, (), ghosts_since=_EVER)
        left = [job for job in (*known.open_jobs, *known.ghosts) if job.job_id in orphan.candidates]
        if len(left) != 1 or (job := left[0]).is_final:
            return
        try:
            given = await self._give(orphan, job)
        except MessageTaken:
            _log.warning("message.taken", message_id=orphan.message.id, job_id=job.job_id)
            return
        if given is not None:
            _log.info("orphan.given", message_id=orphan.message.id, job_id=job.job_id)

    async def assign(self, message_id: str, job_id: str) -> Job:
        """Give an orphan to a job because a person says so. Raises `NotAssignable`."""
        orphan = await self._store.orphan(message_id)
        if orphan is None:
            raise NotAssignable(f"There is no orphan {message_id}.")
        job = await self._store.job(job_id)
        if job is None:
            raise NotAssignable(f"There is no job {job_id}.")
        if job.channel != orphan.message.channel_id:
            raise NotAssignable(f"Job {job_id} is on another channel than the orphan {message_id}.")
        if job.press.phase is PressPhase.WAITING and not job.is_final:
            raise NotAssignable(f"The press of job {job_id} has not left yet, so nothing can be its result.")
        try:
            if not job.is_final and (given := await self._give(orphan, job)) is not None:
                return given
        except MessageTaken:
            raise NotAssignable(f"The message {message_id} is another job's by now.") from None
        now = await self._store.job(job_id) or job
        if now.is_final:
            raise NotAssignable(
                f"Job {job_id} has ended as {now.status.value}, and an ended job never changes."
            )
        raise NotAssignable(f"The orphan {message_id} says nothing that job {job_id} does not show already.")

    async def _give(self, orphan: Orphan, job: Job) -> Job | None:
        message = orphan.message
        return await self._recorder.decide(
            job.job_id,
            lambda now: event_of(now, message, weak=True),
            message_id=message.id,
            adopts=True,
        )
