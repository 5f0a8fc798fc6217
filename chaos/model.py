"""
A model of the core: random histories against the real store's statements and the real services, on a clock that is told when to move.

Hypothesis draws the steps and shrinks what breaks. Discord is the tests' fake; what a caller, a press and a message may do is in the
rules, what must hold after every step in the invariants. A crash drops every service and task, and keeps the file.

    python -m chaos.model EXAMPLES STEPS SEED
"""

import asyncio
import contextlib
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import hypothesis.strategies as st
import msgspec
import structlog
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pikarelay.errors import ApiError, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.job import Caller, Job, Status
from pikarelay.jobs.messages import BotMessage, Kind
from pikarelay.jobs.ownership import EVERYTHING
from pikarelay.jobs.requests import CommonFields
from pikarelay.jobs.secret import Secret
from pikarelay.services.cancel_job import cancel_job
from pikarelay.services.ports import Identity
from pikarelay.store import sqlite as store_module
from pikarelay.store.migrations import migrate, sqlite_url
from pikarelay.store.root_key import KeySource, load_root_key
from pikarelay.store.sqlite import SqliteRunner, SqliteStore
from tests import factories
from tests.factories import CHANNEL, TOKEN
from tests.fakes import relay as wiring
from tests.fakes.clock import START, FakeClock, settle
from tests.fakes.discord import USER, FakeDiscord
from tests.fakes.ids import FakeIds

T = TypeVar("T")
MAX_JOBS = 2
_RANK = {Status.CREATED: 0, Status.STARTED: 1, Status.PROGRESS: 2}
_FINAL_RANK = 3
_LOST = DiscordUnavailable("reset", may_have_happened=True)
_ANSWERS: dict[str, Exception | None] = {
    "204": None,
    "429": DiscordRateLimited('{"message":"You are being rate limited.","retry_after":1}', 1.0),
    "403": DiscordRefused(403, "{}"),
    "500": DiscordUnavailable("500", may_have_happened=True, status=500),
    "lost": _LOST,
}


class InlineRunner(SqliteRunner):
    """The runner without its thread, so that a history always runs alike: a transaction is committed where it is asked for."""

    async def write(self, make: Any, /, *args: Any, **kwargs: Any) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()
        queued = store_module._Queued(make(*args, **kwargs), future)
        store_module._resolve(self._write_group([queued]))
        return await future

    async def write_soon(self, make: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await self.write(make, *args, **kwargs)


class Kept:
    """The store as the wiring of the fakes expects one: it puts a parent into `jobs`, which here goes nowhere."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.jobs: dict[str, Job] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Core(RuleBasedStateMachine):
    """Histories of one caller on two channels."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="pikarelay-model-"))
        shutil.copytree(self.template, self.folder, dirs_exist_ok=True)
        self.clock, self.ids = FakeClock(), FakeIds()
        self.stack = contextlib.AsyncExitStack()
        self.seen: dict[str, Job] = {}
        self.serial = 0
        self.said: list[BotMessage] = []

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    # The world

    @initialize()
    def begin(self) -> None:
        async def start() -> None:
            path = self.folder / "pikarelay.db"
            store_module.SqliteRunner = InlineRunner  # type: ignore[misc]
            opened = SqliteStore.open(path, root_key=load_root_key(KeySource(self.folder)))
            self.store = await self.stack.enter_async_context(opened)
            await self.store.add_caller(Caller(caller_id="caller-1", name="Ann", created=START))
            self.discord = FakeDiscord(self.clock)
            self.relay = self._wire()

        self.do(start())

    def _wire(self) -> wiring.FakeRelay:
        """Put new services around the store, the clock and Discord, which outlive them."""
        given = {
            "FakeClock": lambda: self.clock,
            "FakeIds": lambda: self.ids,
            "FakeDiscord": lambda _clock: self.discord,
            "TroubledStore": lambda: Kept(self.store),
        }
        usual = {name: getattr(wiring, name) for name in given}
        for name, value in given.items():
            setattr(wiring, name, value)
        try:
            return wiring.FakeRelay()
        finally:
            for name, value in usual.items():
                setattr(wiring, name, value)

    # What callers do

    @rule(number=st.integers(0, 3), second=st.booleans(), answer=st.sampled_from(sorted(_ANSWERS)))
    def create(self, number: int, *, second: bool, answer: str) -> None:
        """POST create; equal prompts happen. Discord answers the press as told."""

        async def post() -> None:
            self.discord.answers.append(_ANSWERS[answer])
            common = CommonFields(
                discord_token=Secret(TOKEN),
                channel=f"{int(CHANNEL) + second}",
                max_jobs=MAX_JOBS,
                reply_url="https://example.org/hook",
            )
            task = self.relay.create(f"a kite {number}", common=common)
            await settle()
            if task.done():
                with contextlib.suppress(ApiError):
                    task.result()
            else:
                task.add_done_callback(lambda done: done.cancelled() or done.exception())

        self.do(post())

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.seen)))

        async def ask() -> None:
            with contextlib.suppress(ApiError):
                caller = factories.a_caller()
                await cancel_job(self.store, self.relay.recorder, caller, job)
            await settle()

        self.do(ask())

    # What Discord does

    @precondition(lambda self: self.discord.interactions)
    @rule(data=st.data(), kind=st.sampled_from([Kind.UPDATE, Kind.RESULT, Kind.FAILED]), tied=st.booleans())
    def say(self, data: st.DataObject, kind: Kind, *, tied: bool) -> None:
        """The bot says something about one of its presses, with a tie to it or by its prompt alone."""
        run: Any = data.draw(st.sampled_from(self.discord.interactions))
        self.serial += 1
        prompt = run.options["prompt"]
        message = factories.a_message() if kind is Kind.UPDATE else factories.a_result()
        message = msgspec.structs.replace(
            message,
            id=factories.snowflake(self.clock.now() - START + timedelta(seconds=1), serial=self.serial),
            channel_id=run.channel_id,
            kind=kind,
            content=f"<@{USER}> Prompt: {prompt}  Author: <@{USER}>)",
            nonce=run.nonce if tied else None,
            interaction_id=f"1{run.nonce}" if tied else None,
            interaction_user_id=USER if tied else None,
        )
        self.said.append(message)
        self._see(message)

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Discord tells of a message again."""
        self._see(data.draw(st.sampled_from(self.said)))

    def _see(self, message: BotMessage) -> None:
        async def observe() -> None:
            await self.relay.observer.observe(Identity(user_id=USER), message)
            await settle()

        self.do(observe())

    # What time and trouble do

    @rule(seconds=st.sampled_from([1, 5, 25, 130, 2000]))
    def wait(self, seconds: int) -> None:
        async def pass_time() -> None:
            await self.clock.advance(timedelta(seconds=seconds))
            await self.relay.expirer.expire()
            await settle()

        self.do(pass_time())

    @rule()
    def crash(self) -> None:
        """The process dies and comes back."""

        async def die() -> None:
            mine = asyncio.current_task()
            tasks = [task for task in asyncio.all_tasks() if task is not mine]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.relay = self._wire()
            await self.relay.presser.take_up(EVERYTHING)
            await settle()

        self.do(die())

    # What must hold

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "relay"):
            return
        jobs = {job.job_id: job for job in self.do(self.store.newest_jobs(10_000))}
        for job_id, job in jobs.items():
            before = self.seen.get(job_id)
            assert before is None or _is_forward(before, job), f"{job_id}: {before} became {job}"
        for job_id, before in self.seen.items():
            assert job_id in jobs or before.status is Status.CREATED, f"{job_id} is gone: {before}"
        self.seen = jobs
        nonces = Counter(self.discord.nonces)
        assert all(count == 1 for count in nonces.values()), f"pressed twice: {nonces}"
        running = Counter(job.channel for job in jobs.values() if not job.is_final)
        assert all(count <= MAX_JOBS for count in running.values()), f"too many run: {running}"
        with contextlib.closing(sqlite3.connect(self.folder / "pikarelay.db")) as database:
            callbacks = Counter(job for (job,) in database.execute("SELECT job_id FROM callbacks"))
        due = Counter(job.job_id for job in jobs.values() if job.is_final)
        assert due == callbacks, f"ended: {due}, called back: {callbacks}"
        videos = Counter(job.message_id for job in jobs.values() if job.status is Status.COMPLETED)
        assert all(count == 1 for count in videos.values()), f"one video for several jobs: {videos}"

    def teardown(self) -> None:
        async def end() -> None:
            mine = asyncio.current_task()
            tasks = [task for task in asyncio.all_tasks() if task is not mine]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.stack.aclose()

        self.do(end())
        self.runner.close()
        shutil.rmtree(self.folder)


def _is_forward(before: Job, after: Job) -> bool:
    if before.is_final:
        return after.status is before.status and after.updated == before.updated
    ranks = (_RANK.get(before.status, _FINAL_RANK), _RANK.get(after.status, _FINAL_RANK))
    return ranks[0] <= ranks[1] and before.updated <= after.updated


def _drop(_logger: Any, _method: str, _event: Any) -> Any:
    raise structlog.DropEvent


def check(examples: int, steps: int, number: int) -> None:
    """Run so many histories of so many steps. Raises what breaks, with the shortest history that does."""
    # What is meant to go wrong need not be told.
    structlog.configure(processors=[_drop])
    with tempfile.TemporaryDirectory() as folder:
        Core.template = Path(folder) / "template"
        Core.template.mkdir()
        migrate(sqlite_url(Core.template / "pikarelay.db"))
        load_root_key(KeySource(Core.template))
        run_state_machine_as_test(
            seed(number)(Core),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )


if __name__ == "__main__":
    check(*map(int, sys.argv[1:4]))
