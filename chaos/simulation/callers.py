"""Those who ask for jobs, cancel them, hang up, and ask again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from chaos.simulation.book import Book, Request
from chaos.simulation.confusion import are_alike
from chaos.simulation.loop import VirtualLoop
from chaos.simulation.plan import LATE_PROMPTS, Plan
from chaos.simulation.server import Post, Server
from pikarelay.jobs.job import Caller, Status, Upload, Verb
from pikarelay.jobs.requests import ButtonRequest, CommandRequest, CommonFields
from pikarelay.jobs.secret import Secret
from tests.fakes.clock import START

PICTURE = Upload(size=1, type="image/png", key="picture")

Asked = ButtonRequest | CommandRequest


@dataclass(frozen=True)
class Seat:
    """A Discord user on a channel that they are a member of."""

    user_id: str
    token: Secret
    channel: str


class Callers:
    """One caller, and all its requests over the length of the plan."""

    def __init__(
        self,
        plan: Plan,
        book: Book,
        loop: VirtualLoop,
        server: Callable[[], Server | None],
        seats: tuple["Seat", ...],
        parents: dict[str, str],
        use_by_hand: Callable[[str, str, str], Awaitable[None]],
    ) -> None:
        self._plan = plan
        self._book = book
        self._loop = loop
        self._server = server
        self._seats = seats
        #: By channel: a job that was completed before.
        self._parents = parents
        self._use_by_hand = use_by_hand
        self._chance = Random(f"{plan.seed} callers")
        self._hand = asyncio.Lock()
        #: Prompts of requests that are not answered yet; nothing stands for a button's.
        self._asking: list[str] = []
        self.caller = Caller(caller_id="caller-1", name="Ann", created=START)

    async def ask_for_everything(self) -> None:
        """Make all requests, each in its time, and return when each is answered or given up."""
        chance, plan = self._chance, self._plan
        bursts = chance.random() < 0.3
        at = sorted(
            chance.choice((1.0, plan.length / 2)) if bursts else chance.uniform(0.5, plan.length)
            for _ in range(plan.requests)
        )
        tasks = [self._loop.in_world(self._ask(number, begin)) for number, begin in enumerate(at, 1)]
        for task in tasks:
            await task

    async def _ask(self, number: int, begin: float) -> None:
        await asyncio.sleep(begin)
        chance, plan = self._chance, self._plan
        request = Request(
            number=number,
            reply_url=f"https://{chance.choice('ab')}.example.org/hook" if chance.random() < 0.9 else None,
            max_jobs=plan.max_jobs,
            key=f"key-{number}" if chance.random() < plan.repeating else None,
        )
        self._book.requests.append(request)
        seat = chance.choice(self._seats)
        asked = self._asked(request, seat.channel, seat.token if chance.random() < 0.5 else None)
        if plan.by_hand:
            async with self._hand:
                if isinstance(asked, CommandRequest):
                    await self._use_bot_by_hand(seat, asked.prompt or "")
                asking = self._loop.in_world(self._until_answered(request, asked))
                # Until it is known what is asked for.
                await asyncio.sleep(1.5)
            await asking
        else:
            await self._until_answered(request, asked)

    async def _use_bot_by_hand(self, seat: "Seat", prompt: str) -> None:
        """
        Let the same have been made by hand, before it is asked for.

        Not while something alike is under way: what a person does beside the server with the same prompt cannot be told from
        the server's own.
        """
        if any(
            job.channel == seat.channel and are_alike(job.text, prompt)
            for job in map(self._book.last, self._book.commits)
            if job.status is not Status.COMPLETED
        ) or any(are_alike(asked, prompt) for asked in self._asking):
            return
        await self._use_by_hand(seat.user_id, seat.channel, prompt)
        # Longer than our doubt about Discord's clock.
        await asyncio.sleep(3.5)

    def _asked(self, request: Request, channel: str, token: Secret | None) -> Asked:
        chance = self._chance
        common = CommonFields(
            discord_token=token,
            channel=channel,
            max_jobs=request.max_jobs,
            reply_url=request.reply_url,
            reply_ref=f"request {request.number}",
        )
        if chance.random() < 0.35 and not self._plan.is_late:
            completed = [
                job_id
                for job_id, its in self._book.commits.items()
                if its[-1][1].status is Status.COMPLETED and its[-1][1].buttons
            ]
            parent = chance.choice((self._parents[channel], *completed))
            return ButtonRequest(job_id=parent, button="retry", common=common)
        prompt = LATE_PROMPTS[request.number] if self._plan.is_late else chance.choice(self._plan.prompts)
        picture = None if prompt else PICTURE
        return CommandRequest(verb=Verb.CREATE, prompt=prompt or None, image=picture, common=common)

    async def _until_answered(self, request: Request, asked: Asked) -> None:
        prompt = asked.prompt if isinstance(asked, CommandRequest) else None
        self._asking.append(prompt or "")
        await self._ask_until_answered(request, asked)
        self._asking.remove(prompt or "")

    async def _ask_until_answered(self, request: Request, asked: Asked) -> None:
        """Ask, and ask again where that makes no second job, or where a caller would not know better."""
        for _ in range(4):
            server = self._server()
            if server is None or not server.is_accepting:
                await asyncio.sleep(self._chance.uniform(0.5, 3.0))
                continue
            self._book.note("caller", "asks for request {}: {}", request.number, _told(asked))
            post = server.ask(self.caller, request, asked)
            if self._chance.random() < self._plan.hanging_up:
                self._loop.soon_in_world(self._chance.choice((0.0, 0.05, 1.0, 5.0)), post.hang_up)
            second = self._asked_twice(server, request, asked)
            answer = await post.answer
            if second is not None:
                await second.answer
            if answer is not None:
                await self._go_on(answer.job.job_id)
                return
            if request.refusals or request.key is None:
                return
            await asyncio.sleep(self._chance.uniform(0.1, 2.0))

    def _asked_twice(self, server: Server, request: Request, asked: Asked) -> Post | None:
        """A caller that does not wait for the answer before it asks again."""
        if request.key is None or self._chance.random() < 0.5:
            return None
        return server.ask(self.caller, request, asked)

    async def _go_on(self, job_id: str) -> None:
        chance = self._chance
        if chance.random() >= self._plan.cancelling:
            return
        await asyncio.sleep(chance.choice((0.0, 0.5, 5.0, 20.0)))
        server = self._server()
        if server is None or not server.is_accepting:
            return
        self._book.note("caller", "cancels {}", job_id)
        server.process.spawn(server.cancel(self.caller, job_id))


def _told(asked: Asked) -> str:
    if isinstance(asked, ButtonRequest):
        return f"retry of {asked.job_id}"
    return f"create {asked.prompt!r}"
