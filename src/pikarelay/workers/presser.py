"""
Presses what waits, channel by channel, each when its turn has come.

Every channel with waiting presses has a lane: a task that sends one after the other and ends when none waits. Whose turn it is,
`pikarelay.jobs.turns` says; that no press is sent twice, `pikarelay.services.send_press`.
"""

import asyncio
from collections.abc import Callable, Container
from contextlib import suppress
from datetime import timedelta

import structlog

from pikarelay.jobs.job import Job, PressPhase
from pikarelay.jobs.ownership import channel_name, session_name
from pikarelay.jobs.turns import look_again, next_press
from pikarelay.services.board import Board
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.observe_message import BotHabits
from pikarelay.services.ports import Clock, Store
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.send_press import PressSender
from pikarelay.services.waiting import wait

_log = structlog.get_logger(__name__)

#: A lane whose way is not free looks again after this long at the latest, whatever it waits for.
_LOOK_AGAIN = timedelta(seconds=5)

#: How long a stop waits for Discord's answer to a press that has just left. After that the press is as safe as in a crash.
_GRACE_SECONDS = 5.0

_AFTER_DEFECT = timedelta(seconds=1)


class Presser:
    """The lanes of all channels. Implements `PressQueue`."""

    def __init__(
        self,
        store: Store,
        view: ChannelView,
        history: HistoryReader,
        sender: PressSender,
        habits: BotHabits,
        board: Board,
        clock: Clock,
    ) -> None:
        self._store = store
        self._view = view
        self._history = history
        self._sender = sender
        self._habits = habits
        self._board = board
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._stopping = False

    async def start(self) -> None:
        """Do nothing: work begins with `take_up`."""

    async def take_up(self, names: Container[str]) -> None:
        """Take up the presses that wait on these channels, or for these sessions. Those that were sent are not touched."""
        for job in await self._store.unfinished():
            if job.press.phase is PressPhase.WAITING and (
                channel_name(job.channel) in names or session_name(job.discord_token) in names
            ):
                self.put(job)

    async def let_go(self, names: Container[str]) -> None:
        """Press no more on these channels, letting presses that have left hear Discord's answer."""
        gone = [lane for channel, lane in self._lanes.items() if channel_name(channel) in names]
        await asyncio.gather(*(lane.stop() for lane in gone))

    async def stop(self) -> None:
        """Stop all lanes, letting presses that have left hear Discord's answer. What waits is for the next process."""
        self._stopping = True
        await asyncio.gather(*(lane.stop() for lane in list(self._lanes.values())))

    def put(self, job: Job) -> None:
        """Queue the job's press behind those of its channel. A no-op for one that is queued already."""
        if self._stopping:
            return
        lane = self._lanes.get(job.channel)
        if lane is None:
            lane = Lane(
                job.channel, self._view, self._history, self._sender, self._habits, self._board, self._clock
            )
            self._lanes[job.channel] = lane
            lane.start(on_end=lambda: self._lanes.pop(job.channel, None))
        lane.put(job)


class Lane:
    """The presses of one channel."""

    def __init__(
        self,
        channel: str,
        view: ChannelView,
        history: HistoryReader,
        sender: PressSender,
        habits: BotHabits,
        board: Board,
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._view = view
        self._history = history
        self._sender = sender
        self._habits = habits
        self._board = board
        self._clock = clock
        self._waiting: list[Job] = []
        self._changed = asyncio.Event()
        #: The job whose press is on its way to Discord.
        self._sending: str | None = None
        self._stopping = False
        #: The application that answered here last; a command's own is not known before it is looked up.
        self._application_id: str | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, on_end: Callable[[], object]) -> None:
        """Begin to work in a task of its own; `on_end` is called in the same step in which it finds nothing waiting."""
        self._task = asyncio.create_task(self._work(on_end), name=f"lane {self._channel}")

    async def stop(self) -> None:
        self._stopping = True
        if self._task is None:
            return
        if self._sending:
            await asyncio.wait({self._task}, timeout=_GRACE_SECONDS)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def put(self, job: Job) -> None:
        if job.job_id != self._sending and all(job.job_id != its.job_id for its in self._waiting):
            self._waiting.append(job)
            self._changed.set()

    def _see(self, job: Job) -> None:
        """Take in that a job of the channel has changed. One that was given up while it waited waits no more."""
        if job.is_final:
            self._waiting = [waiting for waiting in self._waiting if waiting.job_id != job.job_id]
        self._changed.set()

    async def _work(self, on_end: Callable[[], object]) -> None:
        try:
            with self._board.watch_channel(self._channel, self._see):
                while self._waiting and not self._stopping:
                    await self._turn()
        finally:
            on_end()

    async def _turn(self) -> None:
        """Send the press whose turn it is; else wait for something to change."""
        # Cleared before looking, so that a change which comes while we look is not slept through.
        self._changed.clear()
        try:
            known = await self._view.look(self._channel)
            running = known.open_jobs
            # A press that left before its turn went wrong would wait for itself.
            left = {job.job_id for job in running}
            self._waiting = [job for job in self._waiting if job.job_id not in left]
            now = self._clock.now()
            job = next_press(
                self._waiting,
                running,
                results_identify=self._results_identify,
                now=now,
                ghosts=known.ghosts,
                reading=self._history.readings.get(self._channel),
            )
            if job is not None:
                await self._send(job)
            elif self._waiting:
                at_most = min(look_again(running, now) or _LOOK_AGAIN, _LOOK_AGAIN)
                await wait(self._changed, at_most, self._clock)
        except Exception:  # noqa: BLE001 - whatever it is, the lane must go on
            # A defect, or the store is out of order. The press stays in the lane: whether it left, the store knows.
            _log.exception("press.turn_failed", channel=self._channel)
            await self._clock.sleep(_AFTER_DEFECT)

    async def _send(self, job: Job) -> None:
        self._waiting.remove(job)
        self._sending = job.job_id
        try:
            sent = await self._sender.send(job)
        except Exception:
            # Behind the others, lest one press with a defect stop them all.
            self._waiting.append(job)
            raise
        finally:
            self._sending = None
        if sent is not None:
            self._application_id = sent.press.application_id or self._application_id

    def _results_identify(self, job: Job) -> bool:
        return self._habits.results_identify(job.press.application_id or self._application_id)
