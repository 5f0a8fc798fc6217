"""What Discord tells us, job by job: find out which job it is about, and write it down."""

import asyncio
from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

import structlog

from pikarelay.jobs.correlation import Ambiguous, Link, Match, match, suspects
from pikarelay.jobs.job import Doubt, Job, PressPhase, Status
from pikarelay.jobs.lifecycle import Accepted, Bound, Event, Failed, Settled
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
from pikarelay.jobs.reading import event_of, is_last_word, late_event_of
from pikarelay.services.board import Board
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.keep_orphans import OrphanKeeper
from pikarelay.services.ports import (
    Clock,
    Identity,
    MessageTaken,
    Orphan,
    OrphanReason,
    Sightings,
    Store,
)
from pikarelay.services.press_floor import PressFloor
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

    Safe to be told the same thing twice and in any order: everything is decided on the stored job. A job that has ended
    changes no more; what comes for it late is kept as an orphan.
    """

    def __init__(
        self,
        store: Store,
        view: ChannelView,
        recorder: EventRecorder,
        orphans: OrphanKeeper,
        habits: BotHabits,
        floor: PressFloor,
        board: Board,
        clock: Clock,
    ) -> None:
        self._store = store
        self._view = view
        self._recorder = recorder
        self._orphans = orphans
        self._habits = habits
        self._floor = floor
        self._board = board
        self._clock = clock
        #: Messages of one channel are looked at one after the other: what one says may decide what the next means. A lock
        #: lives as long as somebody holds it or waits for it.
        self._channels: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def observe(self, identity: Identity, sighting: Sighting) -> None:
        """Take in one sighting, as seen by this Discord user."""
        match sighting:
            case BotMessage():
                await self.observe_message(identity, sighting)
            # That the bot acknowledged it names it as well, should the first notice be lost. It says nothing about the work.
            case (
                InteractionAccepted(nonce=nonce, interaction_id=interaction_id)
                | InteractionAnswered(nonce=nonce, interaction_id=interaction_id)
            ):
                self._floor.see(interaction_id)
                accepted = Accepted(interaction_id=interaction_id)
                await self._about(nonce, lambda job: _if_news(job, accepted))
            case InteractionFailed(nonce=nonce, reason=reason):
                failed = _unanswered(reason)
                await self._about(nonce, lambda job: _if_unheard(job, failed))
            case FormOpened(nonce=nonce):
                opened = Failed(
                    error="Pika opened a form, which this API does not support", press=PressPhase.SETTLED
                )
                await self._about(nonce, lambda job: _if_unheard(job, opened))
            case MessagesDeleted() | FeedInterrupted():
                # A deleted "queued" message is normal where the result is a new one. A gap is for those who read histories.
                return

    async def _about(self, nonce: str, event_of_job: Callable[[Job], Event | None]) -> None:
        job = await self._store.job_by_nonce(nonce)
        if job is None or event_of_job(job) is None:
            return
        told = await self._recorder.decide(job.job_id, event_of_job)
        if told is not None and told.press.is_over:
            await self._orphans.eliminate(told.channel)

    async def observe_message(self, identity: Identity, message: BotMessage) -> None:
        """Find the job that a created or edited message is about, and move it on."""
        self._floor.see(message.id)
        async with self._channels.setdefault(message.channel_id, asyncio.Lock()):
            known, found = await self._look(identity, message)
            if isinstance(found, Ambiguous) and await self._board.landed(found.job_ids, self._clock):
                # What Discord says to a press tells it from those that never happened.
                known, found = await self._look(identity, message)
            if found is None:
                found = _follow_up(message, known)
            if isinstance(found, Ambiguous):
                await self._leave_open(identity, message, found, known)
            elif found is not None and await self._is_its_own(message, found):
                await self._record(identity, message, found, known)

    async def _look(
        self, identity: Identity, message: BotMessage
    ) -> tuple[Sightings, Match | Ambiguous | None]:
        known = await self._view.look_for(message)
        return known, match(message, known.open_jobs, known.owners, identity.user_id, known.ghosts)

    async def _leave_open(
        self, identity: Identity, message: BotMessage, found: Ambiguous, known: Sightings
    ) -> None:
        """Give the message to nobody."""
        _log.warning("message.ambiguous", message_id=message.id, job_ids=found.job_ids)
        everybody = (*known.open_jobs, *known.ghosts)
        self._learn_of_result(message, everybody, found.job_ids)
        doubtful = Bound(weak=True, doubt=Doubt(message_id=message.id, job_ids=found.job_ids))
        for job in suspects(message, found, everybody):
            await self._recorder.decide(
                job.job_id, lambda now: None if now.message_id or now.press.is_over else doubtful
            )
        if is_last_word(message):
            await self._store.keep_orphan(
                self._orphan(identity, message, OrphanReason.AMBIGUOUS, found.job_ids)
            )

    async def _is_its_own(self, message: BotMessage, found: Match) -> bool:
        """
        Whether the message may be given to the job.

        One that was left open before is not any clearer for being seen again when fewer jobs are there. Only elimination,
        or a tie of its own, decides about it.
        """
        if found.is_identifying or not is_last_word(message):
            return True
        return await self._store.orphan(message.id) is None

    async def _record(self, identity: Identity, message: BotMessage, found: Match, known: Sightings) -> None:
        weak = not found.is_identifying
        is_open = any(job.job_id == found.job_id for job in known.open_jobs)
        try:
            job = await self._tell(message, found.job_id, weak=weak) if is_open else None
            is_known = known.owners.get(message.id) == found.job_id
            if job is None and not (is_open and is_known and not is_last_word(message)):
                # It has ended, perhaps in this moment; or this is no news.
                job = await self._tell_late(identity, message, found.job_id, weak=weak, is_known=is_known)
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
        if job.press.is_over:
            await self._orphans.eliminate(job.channel)

    async def _tell(self, message: BotMessage, job_id: str, *, weak: bool) -> Job | None:
        # Left open once, and named since: it is no orphan any more.
        adopts = not weak and is_last_word(message) and await self._store.orphan(message.id) is not None
        return await self._recorder.decide(
            job_id, lambda job: event_of(job, message, weak=weak), message_id=message.id, adopts=adopts
        )

    async def _tell_late(
        self, identity: Identity, message: BotMessage, job_id: str, *, weak: bool, is_known: bool
    ) -> Job | None:
        orphan = self._orphan(identity, message, OrphanReason.LATE, (job_id,))

        def late(job: Job) -> Event | None:
            if not job.is_final or job.press.bot_id != message.author_id:
                return None
            return late_event_of(job, message, weak=weak, is_known=is_known)

        return await self._recorder.decide(
            job_id, late, message_id=message.id, orphan=orphan if is_last_word(message) else None
        )

    def _orphan(
        self, identity: Identity, message: BotMessage, reason: OrphanReason, job_ids: Sequence[str]
    ) -> Orphan:
        return Orphan(
            message=message,
            user_id=identity.user_id,
            seen=self._clock.now(),
            reason=reason,
            candidates=tuple(job_ids),
        )

    def _learn_of_result(self, message: BotMessage, jobs: Sequence[Job], job_ids: Sequence[str]) -> None:
        if message.kind is Kind.RESULT:
            for job in jobs:
                if job.job_id in job_ids:
                    self._habits.learn(job.press.application_id, identified=False)


def _follow_up(message: BotMessage, known: Sightings) -> Match | None:
    """
    Return the job whose message this one follows up on, when that is all there is: it may have ended long ago.

    Only what would be lost otherwise is worth it.
    """
    if not is_last_word(message):
        return None
    for related, link in (
        (message.original_response_message_id, Link.ORIGINAL),
        (message.referenced_message_id, Link.REFERENCE),
    ):
        if related is not None and (owner := known.owners.get(related)) is not None:
            return Match(owner, link)
    return None


def _if_news(job: Job, accepted: Accepted) -> Event | None:
    if job.press.is_over or job.press.interaction_id == accepted.interaction_id:
        return None
    return accepted


def _if_unheard(job: Job, failed: Failed) -> Event | None:
    """Return what follows when Discord says that the bot failed the interaction."""
    if job.is_final:
        return Settled() if job.press.is_unbound else None
    # Some bots go to work without acknowledging the interaction, which Discord then calls failed.
    return failed if job.status is Status.CREATED else None


def _unanswered(reason: int) -> Failed:
    # 2 means that the bot was silent for three seconds; the other numbers are not documented.
    return Failed(
        error="Pika did not answer the interaction",
        details=f"Discord gave reason code {reason}",
        press=PressPhase.SETTLED,
    )
