"""
Send one press (or command) to Discord, once, and write down what Discord said to it.

The order is the point: `Sent` is committed first, then the press leaves. Whatever happens between the two, the press is
never sent by anybody again; whatever happens after, the stored nonce finds its traces.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

import msgspec
import structlog

from pikarelay.errors import (
    AccountUnusable,
    DiscordRateLimited,
    DiscordRefused,
    DiscordUnavailable,
    SessionElsewhere,
    Unavailable,
)
from pikarelay.jobs.commands import command_name, command_options
from pikarelay.jobs.job import Button, Job, PressPhase, Upload, Verb
from pikarelay.jobs.lifecycle import Accepted, Failed, Sent
from pikarelay.services.answers import Answers
from pikarelay.services.board import Board
from pikarelay.services.ports import (
    ButtonPress,
    Clock,
    Command,
    CommandRun,
    Discord,
    Identity,
    Store,
    UploadedFile,
    UploadReader,
)
from pikarelay.services.press_floor import PressFloor
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.tally import ACCEPTED, NOT_SENT, RATE_LIMITED, REFUSED, UNANSWERED, UNUSABLE
from pikarelay.services.waiting import OvertakenError, unless

_log = structlog.get_logger(__name__)

T = TypeVar("T")

#: A press that is marked as sent leaves within moments. One that did not, because the process or its machine stood still, is one
#: that nobody reckons with any more: its job may have ended meanwhile, and the next press may have had its turn.
_LEAVE_WITHIN = timedelta(seconds=15)

_LONGER_THAN_ANY_JOB = timedelta(days=1)

#: For how long, and how often, it is tried to write down what Discord said to a press. Forgotten, it would be in doubt.
_NOTED_WITHIN = timedelta(minutes=2)
_NOTE_AGAIN = timedelta(seconds=0.5)

#: How long the traces of a press may take after Discord answered it with a 5xx.
_TRACE_WAIT = timedelta(seconds=5)

#: How long they may take after a 429, which mostly is true: its caller waits meanwhile. What Discord took it names in the
#: moment in which it answers.
_DENIAL_WAIT = timedelta(seconds=0.5)

_UNKNOWN_MESSAGE = '{"message":"Unknown Message","code":10008}'
_UNKNOWN_COMMAND = '{"message":"Unknown application command","code":10063}'


class PressSender:
    """Sends presses. One call, one press at most."""

    def __init__(
        self,
        store: Store,
        discord: Discord,
        recorder: EventRecorder,
        board: Board,
        answers: Answers,
        clock: Clock,
        uploads: UploadReader,
        floor: PressFloor,
    ) -> None:
        self._store = store
        self._discord = discord
        self._recorder = recorder
        self._board = board
        self._answers = answers
        self._clock = clock
        self._uploads = uploads
        self._floor = floor

    async def send(self, job: Job) -> Job | None:
        """
        Send the job's press and return the job as it is then; None when it was withdrawn or has ended meanwhile, and when it
        still waits, for the worker that has the account's session.

        Never raises for anything that Discord does.
        """
        with self._board.sending(job.job_id):
            return await self._send(job)

    async def _send(self, job: Job) -> Job | None:
        tally = self._board.tally
        try:
            identity = await self._discord.identify(job.discord_token, job.channel)
            send = self._press if job.verb is Verb.BUTTON else self._run
            with self._board.in_the_air(job.job_id):
                has_left = await send(job, identity)
                tally.press(ACCEPTED if has_left else NOT_SENT)
                return await self._noted(job, lambda: self._accept(job)) if has_left else None
        except DiscordRateLimited as refusal:
            tally.press(RATE_LIMITED)
            return await self._withdraw(job, refusal)
        except DiscordRefused as refusal:
            tally.press(REFUSED)
            return await self._fail(job, refusal.status, refusal.details)
        except AccountUnusable as refusal:
            tally.press(UNUSABLE)
            return await self._fail(job, refusal.status, refusal.details, refusal.reason)
        except SessionElsewhere:
            # Its channel follows. Whoever has both finds it waiting; so does this worker, should the session come back.
            _log.info("press.left_waiting", job_id=job.job_id)
            tally.press(NOT_SENT)
            return None
        except DiscordUnavailable as trouble:
            tally.press(UNANSWERED)
            return await self._doubt(job, trouble)

    async def _press(self, job: Job, identity: Identity) -> bool:
        """Press the button. False when the job had ended, and nothing left."""
        press = _button_press(job)
        bot_id = job.press.bot_id or press.application_id
        # The turn is taken first: what waits for the account's pace has not left, and can still be cancelled.
        async with self._discord.turn(job.discord_token):
            press = msgspec.structs.replace(press, leave_by=self._clock.elapsed() + _LEAVE_WITHIN)
            if not await self._mark_sent(job, identity, press.application_id, bot_id):
                return False
            try:
                await self._discord.press_button(job.discord_token, press)
            except DiscordRefused as refusal:
                if not refusal.is_stale:
                    raise
                button = await self._read_button_again(job, refusal)
                again = msgspec.structs.replace(_button_press(job, button), leave_by=press.leave_by)
                await self._discord.press_button(job.discord_token, again)
        return True

    async def _read_button_again(self, job: Job, refusal: DiscordRefused) -> Button:
        """Return the button as it is now, when it is not what it was any more. Raises the refusal otherwise."""
        press = job.press
        message_id = press.parent_message_id or ""
        try:
            message = await self._discord.read_message(job.discord_token, job.channel, message_id)
        except DiscordUnavailable:
            # What is in doubt is the reading. The press was refused, and nothing of it will show.
            raise refusal from None
        if message is None:
            raise DiscordRefused(404, _UNKNOWN_MESSAGE) from refusal
        for button in message.buttons:
            if button.name == job.button and not button.disabled and button.custom_id != press.custom_id:
                return button
        raise refusal

    async def _run(self, job: Job, identity: Identity) -> bool:
        """Run the command. False when the job had ended, and nothing left."""
        command = await self._find_command(job)
        # Before the account's turn, which others wait for, and before the press is marked as sent: files may take minutes, in
        # which its job may end, and one that is missing must not leave a press nobody sent.
        try:
            files = await self._upload(job)
        except OvertakenError:
            return False
        run = _command_run(job, command, files)
        async with self._discord.turn(job.discord_token):
            run = msgspec.structs.replace(run, leave_by=self._clock.elapsed() + _LEAVE_WITHIN)
            if not await self._mark_sent(job, identity, command.application_id, command.bot_id):
                return False
            try:
                await self._discord.run_command(job.discord_token, run)
            except DiscordRefused as refusal:
                if not refusal.is_stale:
                    raise
                command = await self._find_command_again(job, refusal)
                again = msgspec.structs.replace(_command_run(job, command, files), leave_by=run.leave_by)
                await self._discord.run_command(job.discord_token, again)
        return True

    async def _find_command(self, job: Job, *, fresh: bool = False) -> Command:
        name = command_name(job)
        command = await self._discord.find_command(job.discord_token, job.channel, name, fresh=fresh)
        if command is None:
            raise DiscordRefused(404, _UNKNOWN_COMMAND)
        return command

    async def _find_command_again(self, job: Job, refusal: DiscordRefused) -> Command:
        try:
            return await self._find_command(job, fresh=True)
        except DiscordUnavailable:
            raise refusal from None

    async def _upload(self, job: Job) -> Mapping[str, UploadedFile]:
        """
        Upload the files among the command's options, and return what they are called at Discord, by option.

        Raises `OvertakenError` when the job ends before: others of its channel wait for this.
        """
        files = {
            name: self._uploads.open(value)
            for name, value in command_options(job).items()
            if isinstance(value, Upload)
        }
        if not files:
            return {}
        with self._board.watch(job) as watch:
            uploaded = await unless(
                watch.until(lambda now: now.is_final, _LONGER_THAN_ANY_JOB, self._clock),
                self._discord.upload(job.discord_token, job.channel, tuple(files.values())),
            )
        return dict(zip(files, uploaded, strict=True))

    async def _mark_sent(self, job: Job, identity: Identity, application_id: str, bot_id: str) -> bool:
        """Commit that the press leaves now. False when it has left before or the job has ended: nothing may leave."""
        sent = Sent(
            user_id=identity.user_id,
            floor_id=self._floor.at(self._discord.server_time()),
            application_id=application_id,
            bot_id=bot_id,
        )

        def leave(now: Job) -> Sent | None:
            return sent if now.press.phase is PressPhase.WAITING and not now.is_final else None

        return await self._recorder.decide(job.job_id, leave) is not None

    async def _accept(self, job: Job) -> Job | None:
        def accepted(now: Job) -> Accepted | None:
            # Also when it was cancelled meanwhile: then something is to come for which there is no job.
            return Accepted() if now.press.phase is PressPhase.SENT else None

        return await self._recorder.decide(job.job_id, accepted) or await self._store.job(job.job_id)

    async def _withdraw(self, job: Job, refusal: DiscordRateLimited) -> Job | None:
        """
        A 429 means that no job exists. When the POST was answered with one all the same, that job fails.

        Unless the 429 is untrue: then Discord names the interaction, or the bot answers it, and the job goes on.
        """
        _log.warning("press.rate_limited", job_id=job.job_id, retry_after=refusal.retry_after)
        phase = None if refusal.was_sent else PressPhase.REFUSED
        failed = Failed(error=refusal.message, details=refusal.details, press=phase)
        claim = await self._noted(job, lambda: self._answers.claim(job.job_id))
        if claim is None:
            return await self._await_trace(job, failed, _DENIAL_WAIT if refusal.was_sent else timedelta())
        try:
            if refusal.was_sent:
                # While the store is away, the POST waits no longer: what there is to see, the withdrawal sees as well.
                with suppress(Unavailable):
                    await self._trace(job, _DENIAL_WAIT)
        except BaseException:
            await claim.spare()
            raise
        try:
            kept = await claim.refuse(refusal)
        except Unavailable:
            kept = job
        if kept is None or _left_a_trace(kept):
            return kept
        # Too late: the POST has answered with the job, or will.
        return await self._fail_without_trace(job, failed)

    async def _fail(
        self, job: Job, status: int | None, details: str, reason: str | None = None
    ) -> Job | None:
        _log.warning("press.refused", job_id=job.job_id, status=status, reason=reason)
        if status is None:
            error, said = reason or "Discord /interactions failed", details or None
        else:
            error, said = _failure(status), details or reason
        return await self._record(job, Failed(error=error, details=said, press=PressPhase.REFUSED))

    async def _record(self, job: Job, failed: Failed) -> Job | None:
        return await self._noted(job, lambda: self._recorder.record(job.job_id, failed))

    async def _noted(self, job: Job, note: Callable[[], Awaitable[T]]) -> T:
        """
        Do what writes down, or reads, what came of the press, again and again while the store cannot.

        What was written although the store could not say so is not written twice: everything is decided on the stored job.
        """
        until = self._clock.elapsed() + _NOTED_WITHIN
        is_again = False
        while True:
            try:
                noted = await note()
                # It may have been written by a try before, without anybody's being told.
                if is_again and (stored := await self._store.job(job.job_id)) is not None:
                    self._board.publish(stored)
            except Unavailable:
                if self._clock.elapsed() >= until:
                    raise
                _log.warning("press.not_noted", job_id=job.job_id)
            else:
                return noted
            is_again = True
            await self._clock.sleep(_NOTE_AGAIN)

    async def _doubt(self, job: Job, trouble: DiscordUnavailable) -> Job | None:
        """The press may or may not have happened. Only its traces can tell; it is not sent again."""
        _log.warning("press.unanswered", job_id=job.job_id, status=trouble.status, reason=str(trouble))
        stored = await self._noted(job, lambda: self._store.job(job.job_id))
        if stored is None:
            return None
        if not trouble.may_have_happened or stored.press.phase is PressPhase.WAITING:
            failed = Failed(
                error="Discord /interactions could not be reached",
                details=trouble.details or str(trouble),
                press=PressPhase.REFUSED,
            )
            return await self._record(job, failed)
        if trouble.status is None:
            return stored
        failed = Failed(error=_failure(trouble.status), details=trouble.details or None)
        return await self._await_trace(job, failed, _TRACE_WAIT)

    async def _await_trace(self, job: Job, failed: Failed, at_most: timedelta) -> Job | None:
        """A refusal mostly means no. An interaction that happened all the same shows within moments."""
        stored = await self._noted(job, lambda: self._trace(job, at_most))
        if stored is None or _left_a_trace(stored):
            return stored
        return await self._fail_without_trace(job, failed)

    async def _fail_without_trace(self, job: Job, failed: Failed) -> Job | None:
        def fail(now: Job) -> Failed | None:
            return None if _left_a_trace(now) else failed

        return await self._noted(job, lambda: self._recorder.decide(job.job_id, fail))

    async def _trace(self, job: Job, at_most: timedelta) -> Job | None:
        """Return the job once its press has left a trace, or as it is when time is up; None when it is gone."""
        with self._board.watch(job) as watch:
            # Looked up inside the watch, so that no change falls between the two.
            if (stored := await self._store.job(job.job_id)) is None:
                return None
            watch.show(stored)
            return await watch.until(_left_a_trace, at_most, self._clock)


def _left_a_trace(job: Job) -> bool:
    return job.is_final or job.press.phase not in {PressPhase.WAITING, PressPhase.SENT}


def _failure(status: int) -> str:
    return f"Discord /interactions failed with HTTP status {status}"


def _command_run(job: Job, command: Command, files: Mapping[str, UploadedFile]) -> CommandRun:
    options = {
        name: files[name] if isinstance(value, Upload) else value
        for name, value in command_options(job).items()
    }
    return CommandRun(nonce=job.press.nonce, channel_id=job.channel, command=command, options=options)


def _button_press(job: Job, button: Button | None = None) -> ButtonPress:
    """Return the press of the job's button, as it was planned or as it is now."""
    press = job.press
    return ButtonPress(
        nonce=press.nonce,
        channel_id=job.channel,
        # Bots whose messages do not name their application have one id for it and for their user.
        application_id=press.application_id or press.bot_id or "",
        message_id=press.parent_message_id or "",
        message_flags=press.parent_message_flags,
        custom_id=button.custom_id if button else press.custom_id or "",
        component_type=button.component_type if button else press.component_type,
    )
