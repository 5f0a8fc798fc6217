"""
C13: kill -9 in the middle of a rotation of the data key, while a server answers requests.

Two kinds of kills, by turns. The *command* dies while the server goes on: not one request may fail, and the server finishes
the rotation by itself. The *server* dies at what a dead command has left it: the next one finishes it. After each kill, and
after each end, a reader of the harness opens every secret in the file with the root key.
"""

import asyncio
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from chaos import sealed
from chaos.outcome import Outcome, Scene
from chaos.processes import PATIENCE, ROOT, Server, Upstream, Zygote, clean_environment
from chaos.stage import World

SECRETS = 10_000
#: A command may take so long on a busy machine; what it has to show is not that it is quick.
_COMMAND_PATIENCE = 300.0
#: A rotation is done within so many seconds of a kill, whoever finishes it, on a busy machine.
_DONE_WITHIN = 60.0
#: The command's commits: one as it opens the store, one that makes the key, and then one for each portion.
_OPENED, _MADE = 1, 2
_PORTIONS = SECRETS // 100


async def run(scene: Scene, outcome: Outcome) -> None:
    async with World.open(scene.folder, scene.seed) as world:
        folder = scene.folder / "data"
        await _fill(world, folder)
        rotations = Rotations(world, folder, scene, outcome)
        await rotations.start()
        try:
            wanted = scene.amount(20, 200)
            for number in range(wanted * 2):
                if rotations.kills >= wanted:
                    break
                await (rotations.kill_command if number % 2 == 0 else rotations.kill_server)()
            outcome.require(rotations.kills >= wanted, f"{rotations.kills} of {wanted} kills hit anything")
        finally:
            await rotations.stop()
        outcome.numbers["secrets"] = SECRETS
    outcome.folders.append(scene.folder)


async def _fill(world: World, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chaos.sealed", str(folder), str(SECRETS), env=clean_environment(world.sources), cwd=ROOT
    )  # fmt: skip
    if await process.wait() != 0:
        raise RuntimeError("the database could not be filled")


class Rotations:
    """A server, those who ask it, and rotations that are killed."""

    def __init__(self, world: World, folder: Path, scene: Scene, outcome: Outcome) -> None:
        self._zygote: Zygote = world.zygote
        self._upstream: Upstream = world.upstream
        self._folder = folder
        self._log = world.folder / "pikarelay.log"
        self._points = world.folder / "points"
        self._rng = scene.rng("C13")
        self._plan = scene.plan
        self._outcome = outcome
        self._server: Server | None = None
        self._load: Load | None = None
        self._token = ""
        self.kills = 0

    async def start(self) -> None:
        """Start the server, and those who ask it. Secrets of other kinds are made by what they are for."""
        ready = await self._serve()
        self._token = ready["api_token"]
        user = await self._upstream.ask("POST", "/users", {})
        self._seat = (user["token"], user["dm_channels"]["Pika"])
        await self._command("tenant", "secret", "--rotate")
        self._load = Load(ready["url"], self._token, self._seat)
        self._load.start()

    async def stop(self) -> None:
        if self._load is not None:
            await self._load.stop()
            self._take_load()
        if self._server is not None:
            await self._server.kill()

    # The two kinds

    async def kill_command(self) -> None:
        """Kill the command somewhere in its work. The server, of which nobody knows, finishes it."""
        assert self._load is not None
        at = self._rng.choice(["before COMMIT", "after COMMIT", "before UPDATE jobs"])
        count = self._rng.randint(_MADE, _PORTIONS // 2)
        status = await self._command("key", "rotate", kill=[at, count])
        self._count("command", status, at)
        self._require_readable(f"command killed {at} {count}")
        await self._require_done(f"command killed {at} {count}")
        self._outcome.require(self._load.is_running, "those who ask have stopped")
        self._take_load()

    async def kill_server(self) -> None:
        """Leave the server a rotation that has only begun, kill it in the middle, and start it again."""
        assert self._server is not None
        assert self._load is not None
        await self._load.stop()
        self._take_load()
        await self._server.kill()
        marker = self._points.with_suffix(".marker")
        marker.unlink(missing_ok=True)
        at, count = self._rng.choice(["before COMMIT", "after COMMIT"]), self._rng.randint(1, _PORTIONS)
        await self._serve({"kill": {"points": str(self._points), "at": [at, count], "after": str(marker)}})
        marker.touch()
        status = await self._command("key", "rotate", kill=["after COMMIT", _MADE])
        self._outcome.require(status == -signal.SIGKILL, f"the command ended with {status} as it began")
        died = await self._within(self._server.ended, _DONE_WITHIN)
        self._count("server", died if died is not None else 0, at)
        if died is None:
            await self._server.kill()
        self._require_readable(f"server killed {at} {count}")
        ready = await self._serve()
        self._load = Load(ready["url"], self._token, self._seat)
        self._load.start()
        await self._require_done(f"server killed {at} {count}")

    # What must hold

    def _require_readable(self, context: str) -> None:
        reading = sealed.read(self._folder)
        self._outcome.numbers["secrets opened"] += len(reading.texts)
        wrong = [
            number
            for number in range(SECRETS)
            if reading.texts.get(("jobs", sealed.job_of(number))) != sealed.secret_of(number)
        ]
        self._outcome.require(not reading.unreadable, f"{context}: {reading.unreadable[:5]} cannot be opened")
        self._outcome.require(not wrong, f"{context}: jobs {wrong[:5]} have another token")

    async def _require_done(self, context: str) -> None:
        began = time.monotonic()
        while not (reading := sealed.read(self._folder)).is_done:
            if time.monotonic() - began > _DONE_WITHIN:
                self._outcome.require(False, f"{context}: not finished, {dict(reading.by_key)}")
                return
            await asyncio.sleep(0.2)
        self._require_readable(f"{context}, finished")

    def _count(self, what: str, status: int, at: str) -> None:
        if status == -signal.SIGKILL:
            self.kills += 1
            self._outcome.numbers[f"kills of the {what}"] += 1
            self._outcome.numbers[f"{what} {at}"] += 1
        else:
            self._outcome.numbers[f"{what}s that were through before"] += 1

    def _take_load(self) -> None:
        assert self._load is not None
        self._outcome.numbers["requests"] += self._load.take()
        self._outcome.violations += self._load.failures
        self._load.failures.clear()

    # Processes

    async def _serve(self, plan: dict[str, Any] | None = None) -> dict[str, Any]:
        self._server = await self._zygote.serve(
            [
                "--port", "0", "--data-folder", str(self._folder),
                "--discord-api-url", self._upstream.api,
            ],
            self._log, {"log_level": "info"}, {**self._plan, **(plan or {})}, {},
        )  # fmt: skip
        return await self._server.wait_ready()

    async def _command(self, *words: str, kill: list[Any] | None = None) -> int:
        plan = {} if kill is None else {"kill": {"points": str(self._points), "at": kill}}
        process = await self._zygote.run([*words, "--data-folder", str(self._folder)], self._log, plan)
        return await asyncio.wait_for(asyncio.shield(process.ended), _COMMAND_PATIENCE)

    @staticmethod
    async def _within(future: "asyncio.Future[int]", seconds: float) -> int | None:
        try:
            return await asyncio.wait_for(asyncio.shield(future), seconds)
        except TimeoutError:
            return None


class Load:
    """Callers who read jobs and set their account, over and over; each answer must be what it always is."""

    def __init__(self, url: str, token: str, seat: tuple[str, str]) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._seat = seat
        self._rng = random.Random(url)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_over = False
        self._answered = 0
        self.failures: list[str] = []

    def start(self) -> None:
        work = (self._read_job, self._read_job, self._read_account, self._set_account)
        self._tasks = [asyncio.create_task(self._repeat(each)) for each in work]

    @property
    def is_running(self) -> bool:
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    def take(self) -> int:
        """Return how many requests were answered since the last time."""
        answered, self._answered = self._answered, 0
        return answered

    async def stop(self) -> None:
        """Let the requests under way end."""
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _repeat(self, ask: Callable[[aiohttp.ClientSession], Awaitable[str | None]]) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as http:
            while not self._is_over:
                try:
                    wrong = await ask(http)
                except (aiohttp.ClientError, TimeoutError) as error:
                    wrong = f"{type(error).__name__}: {error}"
                if wrong is not None:
                    self.failures.append(f"a request failed: {wrong}")
                self._answered += 1
                await asyncio.sleep(0.01)

    async def _read_job(self, http: aiohttp.ClientSession) -> str | None:
        number = self._rng.randrange(SECRETS)
        async with http.get(f"{self._url}/v1/pika/jobs/", params={"jobid": sealed.job_of(number)}) as answer:
            body = await answer.json()
        secret = sealed.secret_of(number)
        shown = f"{secret[:3]}…secured…{secret[-3:]}"
        return None if (answer.status, body.get("discord")) == (200, shown) else f"{answer.status} {body}"

    async def _read_account(self, http: aiohttp.ClientSession) -> str | None:
        async with http.get(f"{self._url}/v1/pika/account") as answer:
            body = await answer.json()
        if answer.status == 404:
            return None  # Not set for the first time yet.
        token, channel = self._seat
        shown = {"channel": channel, "discord": f"{token[:3]}…secured…{token[-3:]}", "maxJobs": 10}
        return None if (answer.status, body) == (200, {channel: shown}) else f"{answer.status} {body}"

    async def _set_account(self, http: aiohttp.ClientSession) -> str | None:
        token, channel = self._seat
        body = {"discord": token, "channel": channel, "maxJobs": 10}
        async with http.post(f"{self._url}/v1/pika/account/{channel}", json=body) as answer:
            said = await answer.text()
        return None if answer.status == 204 else f"{answer.status} {said}"
