"""A crowd that strains a server, and callers who ask it meanwhile: what they may be told, and how soon."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from chaos import crowd
from chaos.judge import History, Violation
from chaos.outcome import Outcome
from chaos.pictures import png
from chaos.processes import ROOT, clean_environment
from chaos.stage import Stage

#: Whoever asks is told something, or hung up on, within so many seconds, beside those in which the server, or whoever asks,
#: waited for a processor of the machine's.
TOLD_WITHIN = 5.0
_BUSY = {"error": "Service Unavailable", "code": 503}
_PAUSE = 0.1
#: A crowd needs so long to come at most, on a busy machine.
_GATHERS_WITHIN = 120.0


class Crowd:
    """What is known of a crowd in its process."""

    def __init__(self) -> None:
        self.most = 0
        self.last: Mapping[str, Any] = {}

    def take(self, news: Mapping[str, Any]) -> None:
        self.last = news
        self.most = max(self.most, int(news["open"]))

    @property
    def refused(self) -> int:
        """How many of its requests were answered with 503."""
        return int(self.last.get("answers", {}).get("503", 0))

    async def reaches(self, count: int) -> bool:
        """Wait until so many of its connections are open; False when time is up."""
        limit = time.monotonic() + _GATHERS_WITHIN
        while self.most < count and time.monotonic() < limit:  # noqa: ASYNC110 -- it tells once a second
            await asyncio.sleep(_PAUSE)
        return self.most >= count

    def judge(self, context: str, outcome: Outcome) -> None:
        """Hold against the server what it has told the crowd."""
        for odd in self.last.get("odd", ()):
            outcome.require(False, f"{context}: the crowd was told {odd}")
        slowest = float(self.last.get("slowest", 0))
        answers = ", ".join(f"{count} x {status}" for status, count in self.last.get("answers", {}).items())
        others = ", ".join(f"{count:,} {what}" for what, count in self.last.get("counts", {}).items())
        outcome.table.append(
            f"{context}: {self.most:,} connections at once; {others}; answers {answers or 'none'}; slowest {slowest:.2f} s"
        )


@asynccontextmanager
async def crowded(stage: Stage, count: int, kinds: Mapping[str, int], *, pace: float) -> AsyncIterator[Crowd]:
    """Have a crowd hold connections to the stage's server until the block ends, opening `pace` a second at most."""
    address = urlsplit(stage.clients.base_url)
    order = {
        "host": address.hostname, "port": address.port, "token": stage.clients.api_token, "count": count, "pace": pace, "kinds": kinds,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chaos.crowd", json.dumps(order),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment(stage.world.sources), cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    known = Crowd()

    async def hear() -> None:
        async for line in process.stdout or ():
            known.take(json.loads(line))

    hearing = asyncio.create_task(hear())
    await stage.ledgers.killer.noted("crowd_came", count=count, kinds=dict(kinds))
    try:
        yield known
    finally:
        process.stdin.close()
        await process.wait()
        await hearing
        await stage.ledgers.killer.noted("crowd_went", **known.last)


class Asker:
    """Asks for all that callers ask for, over and over, and takes down how it was answered."""

    def __init__(self, stage: Stage, known: str, rng: Random, context: str, outcome: Outcome) -> None:
        assert stage.server is not None
        self._pid = stage.server.pid.result()
        self._stage = stage
        self._known = known
        self._rng = rng
        self._context = context
        self._outcome = outcome
        #: By what became of a request: served, refused, cut.
        self.came: Counter[str] = Counter()
        self.slowest = self.slowest_own = 0.0

    @asynccontextmanager
    async def asking(self) -> AsyncIterator["Asker"]:
        """Ask until the block ends, side by side: to create, with a picture and without one, to look, and for readiness."""
        enough = asyncio.Event()
        kinds = (self._create, self._picture, self._look, self._ready)
        tasks = [asyncio.create_task(self._repeat(each, enough)) for each in kinds]
        try:
            yield self
        finally:
            enough.set()
            await asyncio.gather(*tasks)

    async def _repeat(self, ask: Callable[[], Awaitable[str]], enough: asyncio.Event) -> None:
        while not enough.is_set():
            await self._once(ask)
            await asyncio.sleep(_PAUSE)

    async def _once(self, ask: Callable[[], Awaitable[str]]) -> None:
        began, waited = time.monotonic(), self._waited()
        word = await ask()
        all_of_it = time.monotonic() - began
        seconds = all_of_it - (self._waited() - waited)
        self.came[word] += 1
        self.slowest = max(self.slowest, all_of_it)
        self.slowest_own = max(self.slowest_own, seconds)
        what = getattr(ask, "__name__", "").lstrip("_")
        self._outcome.require(
            seconds < TOLD_WITHIN,
            f"{self._context}: {what} was {word} after {seconds:.1f} of {all_of_it:.1f} s",
        )

    def _waited(self) -> float:
        """Return for how many seconds the server's event loop and this one have waited for a processor, ever."""
        return sum(waited_seconds(pid) for pid in (self._pid, os.getpid()))

    async def _create(self) -> str:
        return self._judged(*await self._stage.clients.create(self._stage.seats[0]))

    async def _picture(self) -> str:
        picture = png(self._rng)
        return self._judged(*await self._stage.clients.create(self._stage.seats[-1], picture=picture))

    async def _look(self) -> str:
        body = await self._stage.clients.look(self._known)
        if body is None:
            return "cut"
        return "served" if body.get("jobid") == self._known else self._judged(body.get("code"), body)

    async def _ready(self) -> str:
        status = await self._stage.clients.readiness()
        if status is None:
            return "cut"
        self._outcome.require(status in {200, 503}, f"{self._context}: readiness is {status}")
        return "served" if status == 200 else "refused"

    def _judged(self, status: int | None, body: Mapping[str, Any]) -> str:
        """Say what became of a request, and hold against the server what it may not say."""
        if status is None:
            return "cut"
        if status == 200:
            return "served"
        is_full = status == 429 and bool(body.get("executingJobs"))
        self._outcome.require(is_full or body == _BUSY, f"{self._context}: answered with {status} {body}")
        return "refused"

    def tell(self) -> None:
        counts = ", ".join(f"{count} {word}" for word, count in self.came.items())
        self._outcome.table.append(
            f"{self._context}: asked meanwhile: {counts}; slowest {self.slowest:.1f} s, {self.slowest_own:.1f} s beside waits for a processor"
        )


def waited_seconds(pid: int) -> float:
    """Return for how long a process's first thread has been ready, and waited for a processor, ever. 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def nothing_comes_of_silence(history: History) -> list[Violation]:
    """Find presses of requests that the server left without an answer, and of the crowd's, none of which ever was whole."""
    pressed = {
        str(entry["options"].get("prompt"))
        for entry in history.upstream
        if entry["event"] == "interaction_accepted" and entry["type"] != 3
    }
    unanswered = {
        entry["request"]
        for entry in history.client
        if entry["event"] == "unanswered" and not entry.get("gave_up")
    }
    found = [
        Violation("C12", entry["request"], "was not answered, and was pressed")
        for entry in history.client
        if entry["event"] == "asked" and entry["request"] in unanswered and entry.get("prompt") in pressed
    ]
    return found + [
        Violation("C12", "the crowd", f"was taken for a caller: {prompt[:60]}")
        for prompt in pressed
        if prompt.startswith(crowd.PROMPT)
    ]


def nobody_pays_for_our_want(history: History) -> list[Violation]:
    """Find jobs that failed, and callbacks whose tries did, while neither Discord nor any receiver did anything wrong."""
    failed = [job for job in history.acknowledged if history.last_shown(job).get("status") == "failed"]
    errors = {
        entry["job"]: [its["error"] for its in entry["body"].get("log", ()) if its.get("error")]
        for entry in history.client
        if entry["event"] == "log"
    }
    return [
        *(Violation("C12", job, f"failed: {history.last_shown(job).get('error')}") for job in failed),
        *(
            Violation("C12", job, f"its receiver is said to have failed: {its}")
            for job, its in errors.items()
            if its
        ),
    ]


async def becomes_ready(stage: Stage, within: float) -> bool:
    """Wait until `/readyz` answers 200; False when time is up."""
    limit = time.monotonic() + within
    while time.monotonic() < limit:
        if await stage.clients.readiness() == 200:
            return True
        await asyncio.sleep(_PAUSE)
    return False
