"""
A run's stage: a local Discord, a receiver, callers, and a server that dies and comes back, with a ledger for each.

The server runs with an operator's settings only. Those that differ from the defaults are in `SETTINGS`, for one reason each.
"""

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from chaos.clients import Clients, Seat
from chaos.judge import QUIET_WITHIN_SECONDS, History, Violation, counts, judge
from chaos.ledger import Ledgers
from chaos.processes import PATIENCE, ROOT, Server, Upstream, Zygote, local_discord, own_address
from chaos.receiver import Receiver

#: Seconds of the waits between tries of a callback. The longest is what quiet may wait for beyond its minute.
SCHEDULE = (0, 1, 2, 3, 5, 5, 5, 5, 5, 5)
SETTINGS: Mapping[str, str] = {
    # As many presses as the machine can do: what is tested is order, not patience with one bot.
    "discord_press_interval_seconds": "0.02",
    # A press of unknown outcome is given up within the minute in which all must be quiet.
    "discord_first_message_seconds": "20",
    "discord_job_seconds": "40",
    "callbacks_schedule_seconds": ",".join(map(str, SCHEDULE)),
    "callbacks_allow_networks": "127.0.0.0/8",
    "log_level": "warning",
}
#: How much longer than promised a run is watched, to tell what comes late from what never comes.
_OVERTIME_SECONDS = 90.0


def copied_sources(folder: Path) -> Path:
    """Copy the sources once for all rows, so that they all test one state of them while others edit."""
    sources = folder / "src"
    if not sources.exists():
        shutil.copytree(ROOT / "src", sources, ignore=shutil.ignore_patterns("__pycache__"))
    return sources


class World:
    """What several stages may share: a copy of the sources, servers made quickly, and a local Discord."""

    def __init__(self, folder: Path, sources: Path, zygote: Zygote, upstream: Upstream) -> None:
        self.folder = folder
        self.sources = sources
        self.zygote = zygote
        self.upstream = upstream
        self._stages = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        seed: int,
        *,
        sources: Path | None = None,
        speed: float = 0.05,
        **rules: float | str,
    ) -> AsyncIterator["World"]:
        """Start what is shared. `sources` are the run's, copied beside `folder` unless given."""
        folder.mkdir(parents=True)
        sources = sources or copied_sources(folder.parent)
        async with AsyncExitStack() as stack:
            # The callers' connections; one for each request, as the examples have it.
            http = await stack.enter_async_context(aiohttp.ClientSession())
            discord = local_discord(sources, folder / "localdiscord.log", seed=seed, speed=speed, **rules)
            url = await stack.enter_async_context(discord)
            zygote = await stack.enter_async_context(Zygote.start(sources))
            upstream = Upstream(url, http)
            await upstream.configure(video="stamped", progress_edits=0)
            yield cls(folder, sources, zygote, upstream)

    @asynccontextmanager
    async def stage(self, seed: int, name: str | None = None, **its: Any) -> AsyncIterator["Stage"]:
        """Open a stage of its own ledgers in this world."""
        self._stages += 1
        folder = self.folder / (name or f"stage-{self._stages:04d}")
        async with AsyncExitStack() as stack:
            ledgers = Ledgers(folder)
            stack.callback(ledgers.close)
            receiver = await stack.enter_async_context(Receiver(ledgers.receiver).serving())
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            timeout = aiohttp.ClientTimeout(total=PATIENCE)
            http = await stack.enter_async_context(
                aiohttp.ClientSession(connector=connector, timeout=timeout)
            )
            stage = Stage(self, ledgers, receiver, Clients(ledgers.client, http, receiver.urls, seed), **its)
            stack.push_async_callback(stage.close)
            await stage.begin()
            yield stage


class Stage:
    """One history: from the first start of a server on an empty data folder to the verdict."""

    def __init__(
        self,
        world: World,
        ledgers: Ledgers,
        receiver: Receiver,
        clients: Clients,
        *,
        seats: int = 1,
        max_jobs: int = 4,
        settings: Mapping[str, str] | None = None,
        plan: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.world = world
        self.upstream = world.upstream
        self.ledgers = ledgers
        self.receiver = receiver
        self.clients = clients
        self.folder = ledgers.folder
        #: What the run's servers are to do beside their work, from the first to the last; see `chaos.child`.
        self.plan = dict(plan or {})
        self.environment = dict(environment or {})
        self.settings = {**SETTINGS, **(settings or {})}
        self.seats: list[Seat] = []
        self.server: Server | None = None
        self.starts = 0
        self._wanted_seats = (seats, max_jobs)
        self._address = own_address()
        self._tail_from = 0
        self._cleared = 0.0

    async def begin(self) -> None:
        """Make the accounts at Discord, and remember where their part of its ledger begins."""
        count, max_jobs = self._wanted_seats
        self._tail_from = (await self.upstream.ask("GET", "/ledger?since=0&limit=0"))["last"]
        for _ in range(count):
            user = await self.upstream.ask("POST", "/users", {})
            self.seats.append(Seat(user["dm_channels"]["Pika"], user["token"], user["id"], max_jobs))

    @property
    def database_kib(self) -> int:
        """The size of the database's file."""
        return (self.folder / "data" / "pikarelay.sqlite3").stat().st_size // 1024

    # The server's life

    async def start(
        self, plan: Mapping[str, Any] | None = None, *, address: tuple[str, int] | None = None
    ) -> Server:
        """Start a server on the data folder. Raises `DidNotStart`. Callers learn of it."""
        server = await self.spawn(plan, address=address)
        await self.welcome(server)
        return server

    async def spawn(
        self, plan: Mapping[str, Any] | None = None, *, address: tuple[str, int] | None = None
    ) -> Server:
        """Start a server without waiting for it."""
        host, port = address or self._address
        self.starts += 1
        self.server = await self.world.zygote.serve(
            [
                "--host", host, "--port", str(port), "--data-folder", str(self.folder / "data"),
                "--discord-api-url", self.upstream.api,
            ],
            self.folder / "pikarelay.log", self.settings, {**self.plan, **(plan or {})},
            self.environment,
        )  # fmt: skip
        return self.server

    async def welcome(self, server: Server) -> None:
        """Wait until the server serves, and let the callers know."""
        ready = await server.wait_ready()
        self.clients.base_url = ready["url"]
        self.clients.api_token = ready.get("api_token", self.clients.api_token)
        await self.ledgers.killer.noted("started", pid=await server.pid)
        self.clients.up.set()

    async def open(self, plan: Mapping[str, Any] | None = None) -> None:
        """Start the first server, and configure its accounts."""
        await self.start(plan)
        for seat in self.seats:
            await self.clients.configure(seat)

    async def kill(self, **details: Any) -> None:
        """SIGKILL the server as it stands; the ledger knows before it happens."""
        assert self.server is not None
        self.clients.up.clear()
        pid = await self.server.pid
        await self.ledgers.killer.noted("killed", pid=pid, **details)
        await self.server.kill()
        await self.ledgers.killer.noted("died", pid=pid)

    async def died(self, server: Server, **details: Any) -> int:
        """Wait for a server that kills itself, and note when; return its exit status."""
        status = await asyncio.shield(server.ended)
        self.clients.up.clear()
        if status == -signal.SIGKILL:
            await self.ledgers.killer.noted("killed", pid=await server.pid, **details)
        return status

    async def stand_still(self, seconds: float, **details: Any) -> None:
        """SIGSTOP the server, and let it go on later; the ledger knows before it happens."""
        assert self.server is not None
        pid = await self.server.pid
        await self.ledgers.killer.noted("stopped", pid=pid, **details)
        await self.server.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        await self.server.signal(signal.SIGCONT)
        await self.ledgers.killer.noted("continued", pid=pid)

    async def fault(self, what: str, *, unknown: int = 0) -> None:
        """Note a fault that is about to be; it may leave `unknown` presses in doubt."""
        await self.ledgers.killer.noted("faulted", what=what, unknown=unknown)

    # The end

    async def more_acknowledged(self, count: int) -> bool:
        """Wait until so many more jobs are acknowledged; False when time is up."""
        wanted = self.clients.acknowledged + count
        return await self.until(lambda: self.clients.acknowledged >= wanted)

    async def until(self, holds: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Wait for something that answers and callbacks bring about; False when time is up."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    for news in (self.clients.news, self.receiver.news):
                        news.clear()
                    waits = [asyncio.ensure_future(n.wait()) for n in (self.clients.news, self.receiver.news)]
                    _, pending = await asyncio.wait(waits, timeout=0.25, return_when=asyncio.FIRST_COMPLETED)
                    for wait in pending:
                        wait.cancel()
        except TimeoutError:
            return holds()
        return True

    async def settle(self, *, overtime: float = _OVERTIME_SECONDS, probe: bool = True) -> None:
        """The last fault is over: wait until all is quiet, look at everything once more, and close the books."""
        await self.ledgers.killer.noted("cleared")
        began = time.monotonic()
        longest = max(float(step) for step in self.settings["callbacks_schedule_seconds"].split(","))
        limit = began + QUIET_WITHIN_SECONDS + longest + overtime
        while left := await self._left():
            if time.monotonic() > limit:
                await self.ledgers.killer.noted("restless", left=left[:20], longest_step=longest)
                break
            await asyncio.sleep(0.2)
        else:
            await self.ledgers.killer.noted("quiet", longest_step=longest)
        await self._close_books()
        if probe:
            await self._probe()
        await self._fetch_upstream()

    async def _left(self) -> list[str]:
        """Return what is not done yet: jobs that run, and jobs whose callback has not been taken."""
        executing = await self.clients.executing()
        if executing is None:
            return ["the server does not answer"]
        return executing + [job for job in self.clients.jobs if job not in self.receiver.delivered]

    async def _close_books(self) -> None:
        self.ledgers.client.note("listed", jobs=await self.clients.executing())
        for job in list(self.clients.jobs):
            await self.clients.look(job, final=True)
        await self.ledgers.client.synced()

    async def _probe(self) -> None:
        """See that each channel takes as many jobs as it may, and not one more; then give those jobs up."""
        # So slow that none ends before the last is asked for, however busy the machine.
        await self.upstream.configure(behaviour="plain", speed=100.0)
        try:
            await asyncio.gather(*map(self._probe_channel, self.seats))
        finally:
            await self.upstream.configure(speed=0.05)
        await self.until(lambda: all(job in self.receiver.delivered for job in self.clients.jobs))
        for job in list(self.clients.jobs):
            if self.clients.jobs[job]["status"] in {"started", "progress"}:
                await self.clients.look(job, final=True)
        await self.ledgers.client.synced()

    async def _probe_channel(self, seat: Seat) -> None:
        answers = await asyncio.gather(*(self.clients.create(seat) for _ in range(seat.max_jobs)))
        beyond, _ = await self.clients.create(seat)
        taken = [body["jobid"] for status, body in answers if status == 200]
        self.ledgers.client.note(
            "probed",
            channel=seat.channel,
            max_jobs=seat.max_jobs,
            accepted=len(taken),
            next_status=beyond,
        )
        await asyncio.gather(*map(self.clients.cancel, taken))

    async def _fetch_upstream(self) -> None:
        """Copy this stage's part of the local Discord's ledger."""
        mine = {seat.user_id for seat in self.seats}
        interactions: set[str] = set()
        nonces: set[str] = set()
        while True:
            page = await self.upstream.ask("GET", f"/ledger?since={self._tail_from}&limit=5000")
            for entry in page["entries"]:
                if entry.get("user_id") in mine or entry.get("interaction_id") in interactions:
                    self.ledgers.upstream.write({"at": entry["monotonic_ns"], **entry})
                    if entry["event"] == "interaction_accepted":
                        interactions.add(entry["interaction_id"])
                        nonces.add(entry["nonce"])
            if not page["entries"]:
                break
            self._tail_from = page["entries"][-1]["seq"]
        presses = await self.upstream.ask("GET", "/presses")
        self.ledgers.upstream.note("presses", by_nonce={n: c for n, c in presses.items() if n in nonces})
        await self.ledgers.upstream.synced()

    def verdict(self, *also: Callable[[History], list[Violation]]) -> "Verdict":
        """Read the ledgers back from the disk, and judge them: as all are judged, and by what a row adds."""
        history = History.read(self.folder)
        violations = [violation for each in (judge, *also) for violation in each(history)]
        return Verdict(self.folder, history, violations)

    async def close(self) -> None:
        if self.server is not None and self.server.pid.done():
            await self.server.kill()


class Verdict:
    """What became of one stage."""

    def __init__(self, folder: Path, history: History, violations: list[Violation]) -> None:
        self.folder = folder
        self.history = history
        self.numbers = counts(history)
        self.violations = violations
