"""What Discord tells us, job by job: find out which job it is about, and write it down."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import structlog

from pikarelay.jobs.correlation import Ambiguous, Match, match, related_messages
from pikarelay.jobs.job import Job, Status
from pikarelay.jobs.lifecycle import Accepted, Event, Failed
from pikarelay.jobs.messages import (
    BotMessage,
    FeedInterrupted,
    FormOpened,
    InteractionAccepted,
    InteractionAnswered,
    InteractionFailed,
    Kind,
    MessagesDeleted,
    Sighting,
)
from pikarelay.jobs.reading import event_of
from pikarelay.services.ports import Identity, MessageTaken, Store
from pikarelay.services.record_event import EventRecorder

_log = structlog.get_logger(__name__)


class BotHabits:
    """Which bots' results have identified their press so far. Kept in memory: after a restart we are careful again."""

    def __init__(self) -> None:
        self._identifies: dict[str, bool] = {}

    def results_identify(self, application_id: str | None) -> bool:
        """Whether every result seen of that application named its press. False before the first."""
        return application_id is not None and self._identifies.get(application_id, False)

    def learn(self, application_id: str | None, *, identified: bool) -> None:
        """Note a result. One that did not name its press makes us careful for good."""
        if application_id is not None:
            self._identifies[application_id] = identified and self._identifies.get(application_id, True)


class SightingObserver:
    """
    Writes down what the Gateway sessions and channel histories show.

    Safe to be told the same thing twice and in any order: everything is decided on the stored job, and a final job
    hears nothing more.
    """

    def __init__(self, store: Store, recorder: EventRecorder, habits: BotHabits) -> None:
        self._store = store
        self._recorder = recorder
        self._habits = habits
        #: Messages of one channel are looked at one after the other: what one says may decide what the next means.
        self._channels: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def observe(self, identity: Identity, sighting: Sighting) -> None:
        """Take in one sighting, as seen by this Discord user."""
        match sighting:
            case BotMessage():
                await self.observe_message(identity, sighting)
            case InteractionAccepted(nonce=nonce, interaction_id=interaction_id):
                await self._about(nonce, Accepted(interaction_id=interaction_id))
            case InteractionFailed(nonce=nonce, reason=reason):
                await self._about(nonce, _unanswered(reason))
            case FormOpened(nonce=nonce):
                await self._about(nonce, Failed(error="Pika opened a form, which this API does not support"))
            case InteractionAnswered() | MessagesDeleted() | FeedInterrupted():
                # An acknowledgement says nothing about the work. A deleted "queued" message is normal where the result is
                # a new one. A gap is for those who read histories.
                return

    async def _about(self, nonce: str, event: Event) -> None:
        job = await self._store.job_by_nonce(nonce)
        if job is None or job.is_final:
            return
        if isinstance(event, Accepted) and job.press.interaction_id == event.interaction_id:
            return
        await self._recorder.decide(job.job_id, lambda now: None if _is_past(now, event) else event)

    async def observe_message(self, identity: Identity, message: BotMessage) -> None:
        """Find the job that a created or edited message is about, and move it on."""
        async with self._channels[message.channel_id]:
            known = await self._store.sightings(message.channel_id, related_messages(message))
            found = match(message, known.open_jobs, known.owners, identity.user_id)
            if isinstance(found, Ambiguous):
                _log.warning("message.ambiguous", message_id=message.id, job_ids=found.job_ids)
                self._learn_of_result(message, known.open_jobs, found.job_ids)
            elif found is not None:
                await self._record(message, found)

    async def _record(self, message: BotMessage, found: Match) -> None:
        weak = not found.is_identifying
        try:
            job = await self._recorder.decide(
                found.job_id, lambda job: event_of(job, message, weak=weak), message_id=message.id
            )
        except MessageTaken:
            _log.warning("message.taken", message_id=message.id, job_id=found.job_id)
            return
        if job is None:
            return
        _log.info("job.observed", job_id=job.job_id, status=job.status.value, link=found.link.value)
        if message.kind is Kind.RESULT:
            # An edit of a message that was found by its text identifies no better than the text did.
            identified = found.is_identifying and not job.press.weak
            self._habits.learn(job.press.application_id, identified=identified)

    def _learn_of_result(self, message: BotMessage, jobs: Sequence[Job], job_ids: Sequence[str]) -> None:
        if message.kind is Kind.RESULT:
            for job in jobs:
                if job.job_id in job_ids:
                    self._habits.learn(job.press.application_id, identified=False)


def _is_past(job: Job, event: Event) -> bool:
    """Whether the job is beyond what Discord says of its interaction."""
    # Some bots go to work without acknowledging the interaction, which Discord then calls failed.
    return job.is_final or (isinstance(event, Failed) and job.status is not Status.CREATED)


def _unanswered(reason: int) -> Failed:
    # 2 means that the bot was silent for three seconds; the other numbers are not documented.
    return Failed(error="Pika did not answer the interaction", details=f"Discord gave reason code {reason}")
