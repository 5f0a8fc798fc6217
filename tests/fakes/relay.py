"""All services wired to fakes, as `bootstrap` wires them to the real ones."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import msgspec

from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.job import Job, Verb
from pikarelay.jobs.messages import BotMessage, InteractionAccepted, Sighting
from pikarelay.jobs.requests import ButtonRequest, CommandRequest, CommonFields
from pikarelay.services.answers import Answers, LocalAnswers
from pikarelay.services.board import Board
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.expire_jobs import JobExpirer
from pikarelay.services.keep_orphans import OrphanKeeper
from pikarelay.services.observe_message import BotHabits, SightingObserver
from pikarelay.services.ports import Identity
from pikarelay.services.press_button import PressButton
from pikarelay.services.press_floor import PressFloor
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.run_command import RunCommand
from pikarelay.services.send_press import PressSender
from pikarelay.services.submit_job import Submission, Submitted
from pikarelay.workers.presser import Presser
from tests.factories import a_caller, a_parent
from tests.fakes.clock import FakeClock, settle
from tests.fakes.discord import USER, FakeDiscord
from tests.fakes.ids import FakeIds
from tests.fakes.troubled_store import TroubledStore
from tests.fakes.uploads import FakeUploads

ANSWER_WAIT = timedelta(seconds=10)
DEADLINES = Deadlines(first_message=timedelta(seconds=120), whole_job=timedelta(minutes=30))


class FakeRelay:
    """A whole server without its edges. Its parts are attributes; tests may reach into the fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = TroubledStore()
        self.discord = FakeDiscord(self.clock)
        self.ids = FakeIds()
        self.uploads = FakeUploads()
        self.board = Board()
        self.answers = LocalAnswers(self.store, self.board, self.clock)
        self.habits = BotHabits()
        self.floor = PressFloor()
        self.recorder = EventRecorder(self.store, self.board, self.clock, self.ids)
        self.view = ChannelView(self.store, self.clock, DEADLINES)
        self.orphans = OrphanKeeper(self.store, self.recorder)
        self.observer = SightingObserver(
            self.store,
            self.view,
            self.recorder,
            self.orphans,
            self.habits,
            self.floor,
            self.board,
            self.clock,
        )
        self.history = HistoryReader(self.store, self.discord, self.observer, self.clock)
        self.expirer = JobExpirer(self.store, self.history, self.recorder, self.board, self.clock, DEADLINES)
        self.sender = self.make_sender(self.answers)
        self.presser = Presser(
            self.store, self.view, self.history, self.sender, self.habits, self.board, self.clock
        )
        self.submission = Submission(self.store, self.answers, self.presser, ANSWER_WAIT)
        self.press_button = PressButton(self.store, self.submission, self.clock, self.ids)
        self.run_command = RunCommand(self.store, self.submission, self.clock, self.ids, lambda: 0.0)
        self.store.jobs["parent"] = a_parent()
        self._posts: list[asyncio.Task[Submitted]] = []

    def make_sender(self, answers: Answers) -> PressSender:
        """Return one that owes its answers so."""
        return PressSender(
            self.store,
            self.discord,
            self.recorder,
            self.board,
            answers,
            self.clock,
            self.uploads,
            self.floor,
        )

    def retry(self, parent: str = "parent", **common: Any) -> asyncio.Task[Submitted]:
        """POST /button in a task of its own."""
        request = ButtonRequest(job_id=parent, button="retry", common=CommonFields(**common))
        return self.post(self.press_button(a_caller(), request))

    def create(self, prompt: str, **its: Any) -> asyncio.Task[Submitted]:
        """POST /create in a task of its own."""
        common = its.pop("common", CommonFields())
        request = CommandRequest(verb=Verb.CREATE, prompt=prompt, common=common, **its)
        return self.post(self.run_command(a_caller(), request, required="prompt, discord or channel"))

    def post(self, work: Coroutine[Any, Any, Submitted]) -> asyncio.Task[Submitted]:
        task = asyncio.ensure_future(work)
        self._posts.append(task)
        return task

    async def see(self, sighting: Sighting) -> None:
        """Let the account's session show something."""
        await self.observer.observe(Identity(user_id=USER), sighting)

    async def say(self, job_id: str, message: BotMessage) -> None:
        """Let the bot answer the job's press directly, with the job's nonce and interaction."""
        press = self.store.jobs[job_id].press
        await self.see(
            msgspec.structs.replace(
                message,
                nonce=press.nonce,
                interaction_id=f"1{press.nonce}",
                interaction_user_id=USER,
                interacted_message_id=press.parent_message_id,
            )
        )

    async def accept(self, job_id: str) -> None:
        """Let Discord name the interaction that it made of the job's press."""
        nonce = self.store.jobs[job_id].press.nonce
        await self.see(InteractionAccepted(nonce=nonce, interaction_id=f"1{nonce}"))

    def job(self, job_id: str = "job-1") -> Job:
        return self.store.jobs[job_id]

    @property
    def jobs_made(self) -> list[str]:
        return [job_id for job_id in self.store.jobs if job_id != "parent"]

    async def end(self) -> None:
        for post in self._posts:
            post.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)
        stopping = asyncio.ensure_future(self.presser.stop())
        await self.clock.advance(timedelta(hours=1))
        await stopping
        await settle()


@asynccontextmanager
async def fake_relay() -> AsyncIterator[FakeRelay]:
    """Run a relay, and leave no task behind."""
    relay = FakeRelay()
    relay.store.kept_callers["caller-1"] = a_caller()
    try:
        yield relay
    finally:
        await relay.end()
