"""
Who in this process waits for what: a POST for its job to be announced, a press for the bot's first message.

Nothing here is the truth; the store is. The board only wakes those who then look, so losing it in a crash loses nothing. What other nodes
change comes here by way of the store's announcements.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from pikarelay.errors import ApiError
from pikarelay.jobs.job import Job
from pikarelay.jobs.mirror import copies_of
from pikarelay.services.ports import Clock
from pikarelay.services.tally import Tally
from pikarelay.services.waiting import wait

#: For so long after its admission a job is known to be this process's own: longer than any POST waits.
_REMEMBERED = timedelta(minutes=10)
#: What Discord says to a press is waited for that long before the bot's words are judged without it.
_LANDING = timedelta(seconds=5)


class Watch:
    """Somebody who waits for one job to change."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._event = asyncio.Event()
        self._refusal: ApiError | None = None
        #: Set while a refusal is being carried out: the waiter must not answer with the job meanwhile.
        self._claimed = False
        self._is_hurried = False

    def show(self, job: Job) -> None:
        """Hand over the job as it is now."""
        self._job = job
        self._event.set()

    def claim(self) -> None:
        """Promise that `refuse` or `release` follows, whatever time it takes."""
        self._claimed = True

    def release(self, job: Job | None) -> None:
        """Take the claim back: the job could not be withdrawn, and this is how it is. None: as it was."""
        self._claimed = False
        self.show(job or self._job)

    def refuse(self, refusal: ApiError) -> None:
        """Let `until` raise; the job is gone."""
        self._refusal = refusal
        self._event.set()

    def hurry(self) -> None:
        """Let `until` wait no longer than it must."""
        self._is_hurried = True
        self._event.set()

    async def until(self, holds: Callable[[Job], bool], at_most: timedelta, clock: Clock) -> Job:
        """Return the job as soon as `holds` is true of it, or as it is when time is up. Raises a refusal."""
        timer = asyncio.ensure_future(clock.sleep(at_most))
        timer.add_done_callback(lambda _: self._event.set())
        try:
            while self._claimed or not (holds(self._job) or timer.done() or self._is_hurried):
                if self._refusal is not None:
                    raise self._refusal
                await self._event.wait()
                self._event.clear()
        finally:
            timer.cancel()
        return self._job


class Board:
    """Wakes waiters in this process, and has the tally of what happens in it."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._watches: dict[str, set[Watch]] = {}
        #: POSTs among those who wait.
        self._posts: set[Watch] = set()
        #: POSTs that can still be answered with a refusal.
        self._being_sent: set[str] = set()
        self._in_the_air: dict[str, asyncio.Event] = {}
        self._refusable: dict[str, Watch] = {}
        self._channels: dict[str, Callable[[Job], None]] = {}
        #: POSTs whose answer has not left yet.
        self._open: dict[str, asyncio.Event] = {}
        #: Jobs that this process has admitted of late, and when, in that order.
        self._admitted: dict[str, datetime] = {}
        #: Set whenever a callback may have become due; its dispatcher clears it.
        self.callback_due = asyncio.Event()
        self._is_hurried = False
        #: Set whenever a copy may have become due; whoever makes copies clears it.
        self.copy_due = asyncio.Event()
        #: By name of the copy: how many wait for it, and what wakes them.
        self._copies: dict[str, tuple[int, asyncio.Event]] = {}

    def hurry(self) -> None:
        """Let every POST answer now, with its job as it is: this process ends."""
        self._is_hurried = True
        for watch in self._posts:
            watch.hurry()

    def publish(self, job: Job) -> None:
        """Say that the job was changed, after the change is safe in the store."""
        self.show(job)
        if (show := self._channels.get(job.channel)) is not None:
            show(job)
        if job.callback_is_due:
            self.callback_due.set()
        if job.is_final and copies_of(job):
            self.copy_due.set()

    def show(self, job: Job) -> None:
        """Let those who wait for the job see how it is in the store, whoever has changed it."""
        for watch in self._watches.get(job.job_id, ()):
            watch.show(job)

    @contextmanager
    def watch(self, job: Job) -> Iterator[Watch]:
        """Wait for the job inside the block."""
        watch = Watch(job)
        self._watches.setdefault(job.job_id, set()).add(watch)
        try:
            yield watch
        finally:
            self._watches[job.job_id].discard(watch)
            if not self._watches[job.job_id]:
                del self._watches[job.job_id]

    @contextmanager
    def watch_channel(self, channel: str, show: Callable[[Job], None]) -> Iterator[None]:
        """Call `show` with each job of the channel that changes, as it is then. One watcher a channel."""
        self._channels[channel] = show
        try:
            yield
        finally:
            del self._channels[channel]

    @contextmanager
    def watch_as_post(self, job: Job) -> Iterator[Watch]:
        """The same for a POST, which is hurried when the process ends."""
        with self.watch(job) as watch:
            self._posts.add(watch)
            if self._is_hurried:
                watch.hurry()
            try:
                yield watch
            finally:
                self._posts.discard(watch)

    @property
    def watched(self) -> frozenset[str]:
        """The jobs for which somebody waits."""
        return frozenset(self._watches)

    def concerns(self, job_id: str, channel: str) -> bool:
        """Say whether somebody here waits for the job, or for anything of its channel."""
        return job_id in self._watches or channel in self._channels

    def refuse(self, job_id: str, refusal: ApiError) -> None:
        """Tell those who wait for a job that there is none, and why."""
        for watch in self._watches.get(job_id, ()):
            watch.refuse(refusal)

    @contextmanager
    def refusable(self, job: Job) -> Iterator[Watch]:
        """
        Wait as a POST: inside the block it can still be told that its press was refused and its job withdrawn.

        Leaving the block and giving out the job is one step for the event loop, so nothing can come between.
        """
        self._open[job.job_id] = asyncio.Event()
        self._remember(job)
        with self.watch_as_post(job) as watch:
            self._refusable[job.job_id] = watch
            try:
                yield watch
            finally:
                del self._refusable[job.job_id]

    @contextmanager
    def sending(self, job_id: str) -> Iterator[None]:
        """Inside the block, this process is about to send the job's press, or waits for what Discord says to it."""
        self._being_sent.add(job_id)
        try:
            yield
        finally:
            self._being_sent.discard(job_id)

    @contextmanager
    def in_the_air(self, job_id: str) -> Iterator[None]:
        """Inside the block, what Discord answers to the job's press is to come, and to be stored."""
        self._in_the_air[job_id] = landed = asyncio.Event()
        try:
            yield
        finally:
            del self._in_the_air[job_id]
            landed.set()

    async def landed(self, job_ids: Iterable[str], clock: Clock) -> bool:
        """Wait, some seconds at most, until none of these is in the air. Returns False when none was."""
        in_the_air = [self._in_the_air[job_id] for job_id in job_ids if job_id in self._in_the_air]
        for landed in in_the_air:
            await wait(landed, _LANDING, clock)
        return bool(in_the_air)

    def is_being_sent(self, job_id: str) -> bool:
        """Whether this process still has the job's press in its hands, and will say what came of it."""
        return job_id in self._being_sent

    def claim_refusal(self, job_id: str) -> Watch | None:
        """Return the POST that will answer with a refusal; None when it has answered already, with the job."""
        watch = self._refusable.get(job_id)
        if watch is not None:
            watch.claim()
        return watch

    def close_answer(self, job_id: str) -> None:
        """Note that the POST's answer has left, or that nobody is there to get one."""
        if (left := self._open.pop(job_id, None)) is not None:
            left.set()

    async def answered(self, job_id: str) -> None:
        """Return when the POST of this job has been answered; at once when none is open in this process."""
        if (left := self._open.get(job_id)) is not None:
            await left.wait()

    def has_admitted(self, job_id: str) -> bool:
        """Whether this process has admitted the job, as far as it remembers: it does for ten minutes."""
        return job_id in self._admitted

    def _remember(self, job: Job) -> None:
        self._admitted[job.job_id] = job.created
        while self._admitted[oldest := next(iter(self._admitted))] < job.created - _REMEMBERED:
            del self._admitted[oldest]

    @contextmanager
    def watch_copy(self, name: str) -> Iterator[asyncio.Event]:
        """Inside the block, have an event that is set when a try of this copy is over."""
        waiting, tried = self._copies.get(name, (0, asyncio.Event()))
        self._copies[name] = (waiting + 1, tried)
        try:
            yield tried
        finally:
            waiting, tried = self._copies.pop(name)
            if waiting > 1:
                self._copies[name] = (waiting - 1, tried)

    def copy_tried(self, name: str) -> None:
        """Say that a try of a copy is over, after its outcome is safe in the store."""
        if (watched := self._copies.get(name)) is not None:
            watched[1].set()
