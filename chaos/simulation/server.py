"""The server without its edges: what `bootstrap` puts together, on the world's adapters, in a process that can die."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, Protocol

from chaos.simulation.accounts import Accounts
from chaos.simulation.book import Answer, Book, Request
from chaos.simulation.loop import Process, VirtualLoop
from chaos.simulation.plan import Plan
from chaos.simulation.receivers import Receivers, Sender
from chaos.simulation.session_client import OnSighting
from chaos.simulation.store import BookedStore
from pikarelay.contract.bodies import encode, job_body
from pikarelay.errors import ApiError
from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.job import Caller
from pikarelay.jobs.messages import Sighting
from pikarelay.jobs.requests import ButtonRequest, CommandRequest, RequestKey
from pikarelay.jobs.snowflakes import first_of
from pikarelay.services.answer_once import AnswerOnce
from pikarelay.services.answers import LocalAnswers
from pikarelay.services.board import Board
from pikarelay.services.cancel_job import cancel_job
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.expire_jobs import JobExpirer
from pikarelay.services.keep_orphans import OrphanKeeper
from pikarelay.services.observe_message import BotHabits, SightingObserver
from pikarelay.services.ports import Identity
from pikarelay.services.press_button import PressButton
from pikarelay.services.press_floor import PressFloor
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.read_job import read_job
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.run_command import RunCommand
from pikarelay.services.send_press import PressSender
from pikarelay.services.submit_job import Submission, Submitted
from pikarelay.workers.callback_dispatcher import CallbackDispatcher
from pikarelay.workers.gateway_listener import GatewayListener
from pikarelay.workers.lifeline import Lifeline
from pikarelay.workers.presser import Presser
from pikarelay.workers.reconciler import Reconciler
from pikarelay.workers.session_keeper import SessionKeeper
from pikarelay.workers.sole_keeper import SoleKeeper
from tests.fakes.clock import START
from tests.fakes.uploads import FakeUploads

#: Makes the port of Discord for a process.
MakeAccounts = Callable[["SimulatedClock", OnSighting], Accounts]


class SimulatedClock:
    """The world's time, as the server's machine tells it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        #: The last answer, and to which millisecond: many ask in one.
        self._last = 0, START

    def now(self) -> datetime:
        milliseconds = int(self._loop.time() * 1000)
        if milliseconds != self._last[0]:
            self._last = milliseconds, START + timedelta(milliseconds=milliseconds)
        return self._last[1]

    def elapsed(self) -> timedelta:
        return timedelta(seconds=self._loop.time())

    async def sleep(self, delay: timedelta) -> None:
        await asyncio.sleep(delay.total_seconds())


class SimulatedIds:
    """Sortable ids, and nonces from the clock, as `system` makes them; none comes twice, whichever process asks."""

    def __init__(self, clock: SimulatedClock, start: int) -> None:
        self._clock = clock
        self._number = start * 1000
        self._last_nonce = 0

    def job_id(self) -> str:
        return f"job-{self._next():05}"

    def callback_id(self) -> str:
        return f"cb_{self._next():05}"

    def nonce(self) -> str:
        self._last_nonce = max(first_of(self._clock.now()), self._last_nonce + 1)
        return str(self._last_nonce)

    def _next(self) -> int:
        self._number += 1
        return self._number


class _Worker(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Server:
    """One life of the server, from its start to its end."""

    def __init__(
        self,
        plan: Plan,
        book: Book,
        loop: VirtualLoop,
        store: BookedStore,
        receivers: Receivers,
        uploads: FakeUploads,
        make_accounts: MakeAccounts,
    ) -> None:
        self.process = Process(loop)
        self._book = book
        self._loop = loop
        self._plan = plan
        self._store = store
        self._chance = Random(f"{plan.seed} server {len(book.starts)}")
        #: Answers that callers wait for.
        self._open: dict[asyncio.Future[Answer | None], None] = {}
        #: Called after it has died.
        self.on_end: Callable[[], object] = lambda: None
        self.is_accepting = False
        self.process.on_death = self._die
        self.process.context.run(self._put_together, receivers, uploads, make_accounts)

    def _put_together(self, receivers: Receivers, uploads: FakeUploads, make_accounts: MakeAccounts) -> None:
        plan, store, chance = self._plan, self._store, self._chance
        clock = SimulatedClock(self._loop)
        ids = SimulatedIds(clock, len(self._book.starts))
        self.board = board = Board()
        self.recorder = recorder = EventRecorder(store, board, clock, ids)
        deadlines = Deadlines(first_message=plan.first_message, whole_job=plan.whole_job)
        view = ChannelView(store, clock, deadlines)
        habits, floor = BotHabits(), PressFloor()
        orphans = OrphanKeeper(store, recorder)
        self.observer = SightingObserver(store, view, recorder, orphans, habits, floor, board, clock)

        async def on_sighting(identity: Identity, sighting: Sighting) -> None:
            await self.listener.on_sighting(identity, sighting)

        self.accounts = discord = make_accounts(clock, on_sighting)
        self.history = history = HistoryReader(store, discord, self.observer, clock)
        self.listener = GatewayListener(store, discord, view, self.observer, history, clock)
        self.answers = answers = LocalAnswers(store, board, clock)
        sender = PressSender(store, discord, recorder, board, answers, clock, uploads, floor)
        self.presser = Presser(store, view, history, sender, habits, board, clock)
        submission = Submission(store, answers, self.presser, plan.answer_wait)
        self.answer_once = AnswerOnce(store, answers, clock)
        self.press_button = PressButton(store, submission, clock, ids)
        self.run_command = RunCommand(store, submission, clock, ids, chance.random)
        sends = Sender(receivers, self._book, self._loop)
        delivery = CallbackDelivery(store, sends, answers, board.tally, clock, plan.schedule, chance.random)
        self.dispatcher = CallbackDispatcher(store, delivery, board, clock)
        self.reconciler = Reconciler(store, view, history, clock, chance.random)
        sessions = (SessionKeeper(store, discord, clock),) if plan.keeps_sessions else ()
        self._workers: tuple[_Worker, ...] = (
            *sessions,
            discord,
            self.listener,
            self.presser,
            SoleKeeper((*sessions, self.listener, self.presser)),
            self.dispatcher,
            Lifeline(JobExpirer(store, history, recorder, board, clock, deadlines), clock),
            self.reconciler,
        )

    # Its life

    async def start(self) -> None:
        for worker in self._workers:
            await worker.start()
        self.is_accepting = True

    async def stop(self) -> None:
        """End as it does when it is asked to: requests under way are answered first."""
        self.is_accepting = False
        if self._open:
            await asyncio.wait(self._open, timeout=15)
        for worker in reversed(self._workers):
            await worker.stop()

    def _die(self) -> None:
        self.is_accepting = False
        self._book.ends.append(self._book.now)
        self._book.note("server", "dies after {} steps", self.process.steps)
        self.accounts.cut()
        for answer in list(self._open):
            if not answer.done():
                answer.set_result(None)
        self.on_end()

    def leaks(self) -> list[str]:
        """Return what is kept in memory although nothing is under way."""
        board = self.board
        kept: dict[str, object] = {
            "watches": board._watches,
            "refusable POSTs": board._refusable,
            "watched channels": board._channels,
            "open answers": board._open,
            "refusals under way": self.answers._refusing,
            "lanes": self.presser._lanes,
            "channel locks": dict(self.observer._channels),
            "requests under way": self.answer_once._under_way,
            "tries of callbacks": self.dispatcher._tries,
            "tasks of the listener": len(self.listener._background),
            "readings remembered": self.history.readings,
            "jitter of channels": self.reconciler._jitter,
        }
        return [f"{name}: {its}" for name, its in kept.items() if its]

    def unfinished_tasks(self) -> list[str]:
        """Return what still runs of it, after it was stopped."""
        mine = asyncio.current_task()
        return [str(task.get_coro()) for task in self.process.tasks if not task.done() and task is not mine]

    # Its edge

    async def show(self, caller: Caller, job_id: str) -> bytes | None:
        """Answer a GET. None when there is no such job."""
        try:
            return encode(job_body(await read_job(self._store, caller, job_id)))
        except ApiError:
            return None

    async def cancel(self, caller: Caller, job_id: str) -> None:
        try:
            await cancel_job(self._store, self.recorder, caller, job_id)
        except ApiError:
            # It was withdrawn.
            return

    def ask(self, caller: Caller, request: Request, asked: ButtonRequest | CommandRequest) -> "Post":
        """Take in a POST. Its future comes to None when there is no answer."""
        answer = self._loop.create_future()
        self._open[answer] = None
        answer.add_done_callback(lambda done: self._open.pop(done, None))
        key = RequestKey(text=request.key, digest=b"same") if request.key else None
        handling = self.process.spawn(self._handle(caller, request, asked, key, answer))
        return Post(answer, handling)

    async def _handle(
        self,
        caller: Caller,
        request: Request,
        asked: ButtonRequest | CommandRequest,
        key: RequestKey | None,
        answer: "asyncio.Future[Answer | None]",
    ) -> None:
        """What `api.operations` does with a POST, from its parsed form to the last byte of its answer."""

        def submit() -> Awaitable[Submitted]:
            if isinstance(asked, ButtonRequest):
                return self.press_button(caller, asked, key)
            return self.run_command(caller, asked, required="prompt, discord or channel", key=key)

        try:
            submitted = await self.answer_once(caller, key, submit)
        except ApiError as error:
            request.refusals.append(f"{error.code} {type(error).__name__}")
            self._book.note("server", "answers request {} with {}", request.number, error.code)
            self._finish(answer, None)
            return
        except BaseException as error:
            if isinstance(error, Exception):
                self._book.defects.append(f"request {request.number}: {error!r}")
            self._finish(answer, None)
            raise
        job = submitted.job
        try:
            await asyncio.sleep(self._chance.choice((0.0, 0.001, 0.3)))
            its = Answer(self._book.now, self._book.next_order(), job, submitted.code, submitted.is_repeat)
            request.answers.append(its)
            self._book.note(
                "server", "answers request {} with {} {}", request.number, submitted.code, job.job_id
            )
            self._book.moment("answer leaves")
            self._finish(answer, its)
            await asyncio.sleep(0)
        finally:
            if not submitted.is_repeat:
                self.board.close_answer(job.job_id)
            self._finish(answer, None)

    def _finish(self, answer: "asyncio.Future[Any]", its: Answer | None) -> None:
        if not answer.done():
            answer.set_result(its)


class Post:
    """A request under way, as its caller holds it."""

    def __init__(self, answer: "asyncio.Future[Answer | None]", handling: "asyncio.Task[None]") -> None:
        self.answer = answer
        self._handling = handling

    def hang_up(self) -> None:
        self._handling.cancel()
