"""One history: a seed's world from its first second to the last, and what the judge says of it."""

import asyncio
import gc
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from chaos.simulation import logs
from chaos.simulation.accounts import Accounts
from chaos.simulation.book import Book, Interaction
from chaos.simulation.bot import Bot
from chaos.simulation.callers import PICTURE, Callers, Seat
from chaos.simulation.channels import Channels, retry_button, video
from chaos.simulation.interactions import Interactions
from chaos.simulation.judge import counts, judge
from chaos.simulation.loop import Stalled, VirtualLoop
from chaos.simulation.plan import Death, Plan, draw
from chaos.simulation.receivers import Receivers
from chaos.simulation.server import Server, SimulatedClock
from chaos.simulation.session_client import OnSighting
from chaos.simulation.store import BookedStore
from chaos.simulation.streams import Streams
from pikarelay.jobs.callbacks import CallbackState
from pikarelay.jobs.job import PressPhase
from pikarelay.jobs.secret import Secret
from tests import factories
from tests.fakes.clock import START
from tests.fakes.uploads import FakeUploads

#: No history goes on for longer than that.
_LONGEST_SECONDS = 7200.0
#: How often it is looked whether all is done.
_LOOK_SECONDS = 2.0
#: So often it is looked again for what is left.
_LOOKS = 3
#: After the trouble, and beyond the deadlines of jobs: a pause of a target, a try that runs into its time limit, the wait
#: after it, and a few of the longest steps.
_REST_SECONDS = 1200.0
#: So long everything goes on after all is done, so that what is forgotten late is forgotten.
_AFTERWARDS_SECONDS = 20.0


@dataclass
class Verdict:
    """What became of a history."""

    plan: Plan
    violations: list[str]
    numbers: Counter[str] = field(default_factory=Counter)
    book: Book | None = None


def run(seed: int, *, is_told: bool = False) -> Verdict:
    """Run the seed's history and judge it. Told, the verdict's book has the server's log lines, too."""
    return play(draw(seed), is_told=is_told)


def play(plan: Plan, *, is_told: bool = False) -> Verdict:
    """Run a history as planned, and judge it."""
    loop = VirtualLoop()  # type: ignore[abstract]
    world = World(plan, loop)
    was_enabled = gc.isenabled()
    # What a killed process leaves is closed when it is collected, which must not be in the middle of the history.
    gc.disable()
    try:
        with logs.into(world.book, is_told=is_told):
            try:
                loop.run(world.live(), _LONGEST_SECONDS)
            except Stalled:
                world.book.defects.append("somebody waits for something that does not come")
    finally:
        if was_enabled:
            gc.enable()
    world.book.defects += loop.uncaught
    world.bury()
    return Verdict(plan, judge(plan, world.book), counts(plan, world.book), world.book)


class World:
    """Everything there is in a history."""

    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        self.book = Book(loop)
        self._plan = plan
        self._loop = loop
        self._streams = Streams(plan, self.book, loop)
        self._channels = Channels(self.book, self._discord_time, self._streams.tell)
        self._bot = Bot(plan, self.book, self._channels, self._streams.tell)
        self._interactions = Interactions(plan, self.book, loop, self._channels, self._streams, self._bot)
        self._receivers = Receivers(plan, self.book, loop)
        self._store = BookedStore(plan, self.book)
        self._uploads = FakeUploads()
        self._uploads.files[PICTURE.key] = b"."
        self._server: Server | None = None
        self._lives: list[Server] = []
        self._deaths = list(plan.deaths)
        self._armed: tuple[Death, int] | None = None
        self._users = [f"700{number}" for number in range(1, plan.users + 1)]
        self._user_of = {f"token-of-{user}": user for user in self._users}
        seats = self._make_channels()
        self._callers = Callers(
            plan,
            self.book,
            loop,
            lambda: self._server,
            seats,
            self._make_parents(seats),
            self._interactions.by_hand,
        )
        self._store.kept_callers[self._callers.caller.caller_id] = self._callers.caller
        self.book.on_moment = self._at_moment

    def _discord_time(self) -> datetime:
        return START + timedelta(seconds=self._loop.time() + self._plan.skew)

    def _make_channels(self) -> tuple[Seat, ...]:
        seats = []
        for number in range(self._plan.channels):
            channel = str(int(factories.CHANNEL) + number)
            members = tuple(self._users) if self._plan.is_guild else (self._users[number % len(self._users)],)
            self._channels.open(channel, members)
            its = [Seat(user, Secret(f"token-of-{user}"), channel) for user in members]
            seats += its
            account = factories.an_account(channel, discord_token=its[0].token)
            self._store.kept_accounts[account.caller_id, channel] = account
        return tuple(seats)

    def _make_parents(self, seats: tuple[Seat, ...]) -> dict[str, str]:
        """Let a job have been completed on each channel before."""
        parents: dict[str, str] = {}
        chance = Random(f"{self._plan.seed} parents")
        for seat in seats:
            if seat.channel in parents:
                continue
            number = len(parents) + 1
            prompt = chance.choice(self._plan.prompts)
            message_id, file = factories.snowflake(timedelta(hours=-1), serial=number), f"file-{number}"
            buttons = retry_button(f"retry:{file}")
            cause = Interaction(
                f"1{number}", f"899{number}", seat.user_id, seat.channel, prompt, 0.0, None, "plain", over=0.0
            )
            self.book.cause_of_message[message_id] = self.book.cause_of_video[file] = cause
            press = factories.a_press(
                PressPhase.SETTLED,
                nonce=cause.nonce,
                custom_id=None,
                parent_message_id=None,
                user_id=seat.user_id,
            )
            job = factories.a_parent(
                job_id=f"parent-{number}",
                channel=seat.channel,
                prompt=prompt,
                discord_token=seat.token,
                message_id=message_id,
                buttons=buttons,
                attachments=(video(file),),
                press=press,
            )
            self._channels.keep(
                factories.a_result(
                    id=message_id,
                    channel_id=seat.channel,
                    buttons=buttons,
                    attachments=job.attachments,
                    mentions=(seat.user_id,),
                    content=f"<@{seat.user_id}> Prompt: {prompt}",
                )
            )
            self._store.jobs[job.job_id] = job
            self._store.owners[message_id] = job.job_id
            parents[seat.channel] = job.job_id
        return parents

    # Its course

    async def live(self) -> None:
        """Let everything happen."""
        book, plan = self.book, self._plan
        self._begin_life()
        asking = self._loop.in_world(self._callers.ask_for_everything())
        ends = [outage.end for outage in (*plan.session_outages, *plan.receiver_outages)]
        await asyncio.sleep(max([plan.length, *ends]) + 1.0)
        await asking
        book.calm = book.now
        book.note("world", "all trouble is over")
        self._deaths, self._armed = [], None
        if self._server is not None:
            self._server.process.dies_at = None
        horizon = book.now + 2 * plan.whole_job.total_seconds() + _REST_SECONDS
        while not self._is_done() and book.now < horizon:  # noqa: ASYNC110  # the store tells nobody
            await asyncio.sleep(_LOOK_SECONDS)
        if self._is_done():
            book.quiet = book.now
            await asyncio.sleep(_AFTERWARDS_SECONDS)
        await self._end()

    def bury(self) -> None:
        """Close what killed servers were doing."""
        for server in self._lives:
            server.process.bury()

    async def _end(self) -> None:
        """Look at what is left: as a caller does, and in the memory of the server."""
        book, server = self.book, self._server
        if server is None or not server.is_accepting:
            return
        caller = self._callers.caller
        for job_id in book.commits:
            book.shown[job_id] = await server.process.spawn(server.show(caller, job_id))
        if book.quiet is not None:
            # A message that comes in this moment is under way. Whatever is still there when it has been looked at is left.
            left = server.leaks()
            for _ in range(_LOOKS):
                if not left:
                    break
                await asyncio.sleep(_LOOK_SECONDS)
                left = server.leaks()
            book.leaks += left
        await server.process.spawn(server.stop())
        await asyncio.sleep(1.0)
        book.leaks += server.unfinished_tasks()

    def _is_done(self) -> bool:
        store = self._store
        return (
            self._server is not None
            and self._server.is_accepting
            and self._interactions.at_work == 0
            and all(job.is_final for job in store.jobs.values())
            and all(kept.state is not CallbackState.WAITING for kept in store.callbacks.values())
        )

    # The server's lives

    def _begin_life(self) -> None:
        book = self.book
        book.starts.append(book.now)
        server = Server(
            self._plan, book, self._loop, self._store, self._receivers, self._uploads, self._make_accounts
        )
        book.note("server", "starts")
        self._server = server
        self._lives.append(server)
        server.on_end = self._end_life
        if self._deaths:
            death = self._deaths.pop(0)
            self._armed = (death, death.number)
            if death.moment == "steps":
                server.process.dies_at = death.steps
        server.process.spawn(server.start())

    def _make_accounts(self, clock: SimulatedClock, on_sighting: OnSighting) -> Accounts:
        return Accounts(
            self._plan,
            self.book,
            self._loop,
            clock,
            self._channels,
            self._interactions,
            self._streams,
            on_sighting,
            self._user_of,
        )

    def _at_moment(self, moment: str) -> None:
        if self._armed is None or self._server is None:
            return
        death, left = self._armed
        if death.moment != moment or left == 0:
            return
        self._armed = (death, left - 1)
        if left > 1:
            return
        process = self._server.process
        if death.is_stop:
            self._loop.in_world(self._stop(self._server))
        elif death.steps == 0:
            process.kill()
        else:
            process.dies_at = process.steps + death.steps

    async def _stop(self, server: Server) -> None:
        self.book.note("world", "asks the server to stop")
        await asyncio.wait({server.process.spawn(server.stop())}, timeout=30)
        server.process.kill()

    def _end_life(self) -> None:
        death = self._armed[0] if self._armed else None
        self._server, self._armed = None, None
        self._loop.soon_in_world(death.pause if death else 0.1, self._begin_life)
