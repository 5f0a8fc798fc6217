"""One script played to one peer: from a fresh local Discord to the verdicts."""

import asyncio
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.peers.judge import BUTTON, PATIENCE_SECONDS, Json, Judged, Press, judge, read_presses
from bench.peers.players import Player
from bench.peers.scenarios import OUTAGE_SECONDS, Scenario
from bench.processes import Local, cpu_seconds, pss_kib, running

_SAMPLES_PER_SECOND = 10
#: How often the ledger is asked, which costs the local Discord time.
_LOOK_SECONDS = 1.0
_PARENT = "parent"
#: The bot's times for the result whose button is pressed.
_PARENT_TIMES = {"first": 0.3, "usual": 1.0, "durations": [], "refusal": "none"}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of it."""

    scenario: str
    player: str
    judged: Mapping[str, Judged]
    #: From the first request to the last answer.
    seconds: float
    presses: int
    #: Nonces that were pressed more than once, each an interaction that Discord might take for another.
    repeated: int
    #: Breaches of Discord's rules.
    violations: Mapping[str, int]
    #: Peak of the peer's proportional set size, and before the first call.
    peak_mib: float
    idle_mib: float
    #: Processor time of the peer's process, where load is measured and it lives.
    cpu_seconds: float | None
    has_died: bool
    #: Whether the Discord token stands in what the peer wrote to its log.
    has_leaked_token: bool


async def play(scenario: Scenario, kind: type[Player], folder: Path, seed: int) -> Trial:
    """Play the script once. `folder` must not exist; logs stay in it."""
    folder.mkdir(parents=True)  # noqa: ASYNC240 - nothing else runs yet
    command = [sys.executable, "-m", "bench.peers.discord", str(seed)]
    with running(command, folder / "discord.log") as ready:
        local = Local(ready["url"], ready["api"])
        user = local.post("/users", {"username": "caller"})
        player = kind(folder, local, user)
        try:
            await player.start()
            return await _Course(scenario, player, local, user).run()
        finally:
            await player.close()


class _Course:
    """A trial under way."""

    def __init__(self, scenario: Scenario, player: Player, local: Local, user: Json) -> None:
        self._scenario = scenario
        self._player = player
        self._program = player.program
        self._local = local
        self._user = user
        self._seen: list[Json] = []
        self._peak_kib = 0

    async def run(self) -> Trial:
        if self._scenario.again:
            await self._make_parent()
        self._configure(self._scenario.bot)
        idle_kib = pss_kib(self._player.measured.pid)
        cpu = cpu_seconds(self._player.measured.pid)
        sampler = asyncio.create_task(self._sample())
        try:
            if self._scenario.disturbance == "untrue_429":
                self._arm_429()
            calls = await self._call()
            await asyncio.sleep(self._scenario.disturbed_after)
            await self._disturb(calls)
            await self._settle(calls)
        finally:
            sampler.cancel()
        return self._trial(calls, idle_kib, cpu)

    def _trial(self, calls: list[str], idle_kib: int, cpu: float) -> Trial:
        told = [self._program.calls[call] for call in calls]
        presses = self._presses()
        self._check_order(calls)
        answers = [each.ended for each in told if each.ended is not None]
        has_died = not self._player.measured.is_running
        return Trial(
            scenario=self._scenario.name,
            player=self._player.name,
            judged=judge(told, presses),
            seconds=(max(answers) - min(each.asked for each in told)) / 1e9 if answers else 0.0,
            presses=len(presses) - self._scenario.again,
            repeated=sum(count > 1 for count in self._local.get("/presses").values()),
            violations=self._local.get("/violations")["by_kind"],
            peak_mib=max(self._peak_kib, idle_kib) / 1024,
            idle_mib=idle_kib / 1024,
            cpu_seconds=cpu_seconds(self._player.measured.pid) - cpu
            if self._scenario.is_load and not has_died
            else None,
            has_died=has_died,
            has_leaked_token=self._user["token"] in self._player.measured.log(),
        )

    def _check_order(self, calls: list[str]) -> None:
        """Raise when calls with the same words overtook each other: then nobody could tell whose press is whose."""
        if not (self._player.has_sorted_handles and (self._scenario.equal or self._scenario.again)):
            return
        handles = [self._program.handles[call] for call in calls if call in self._program.handles]
        if handles != sorted(handles):
            raise RuntimeError("calls overtook each other on their way to the server")

    async def _make_parent(self) -> None:
        self._configure(_PARENT_TIMES)
        self._program.imagine(_PARENT, self._scenario.prompt(0))
        await self._settle([_PARENT])
        if self._program.calls[_PARENT].url is None:
            raise RuntimeError(f"no result to press a button of: {self._program.calls[_PARENT]}")

    async def _call(self) -> list[str]:
        calls = [f"call-{n}" for n in range(self._scenario.calls_of(self._player.name))]
        for number, call in enumerate(calls):
            if number and self._scenario.spacing:
                await asyncio.sleep(self._scenario.spacing)
            if self._scenario.again:
                self._program.again(call, _PARENT, BUTTON)
            else:
                self._program.imagine(call, self._scenario.prompt(number))
        return calls

    # Disturbances

    def _arm_429(self) -> None:
        fault = {
            "where": "rest",
            "match": {"method": "POST", "route": "/interactions"},
            "do": {"kind": "rate_limit", "retry_after": 1.0, "when": "after"},
        }
        self._local.post("/faults", fault)

    async def _disturb(self, calls: list[str]) -> None:
        match self._scenario.disturbance:
            case "refuse_gateway":
                refuse = {"where": "gateway", "do": {"kind": "refuse", "seconds": OUTAGE_SECONDS}}
                self._local.post("/faults", refuse)
                self._local.post(f"/sessions/{self._user['id']}/cut", {})
            case "kill":
                await self._player.kill()
                if not self._program.is_running:
                    self._program.orphan()
                await self._player.start_again(calls)
            case _:
                pass

    # The end

    async def _settle(self, calls: list[str]) -> None:
        """Wait until all have ended, or nothing more is to be expected."""
        look_at = time.monotonic() + _LOOK_SECONDS
        while not all(self._program.calls[call].ended for call in calls):
            if not self._program.is_running:
                self._program.orphan()
            if time.monotonic() >= look_at:
                if self._is_over(calls):
                    return
                look_at = time.monotonic() + _LOOK_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._program.news.wait(), _LOOK_SECONDS)
            self._program.news.clear()
        while any(press.done is None for press in self._presses()):  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.2)

    def _is_over(self, calls: list[str]) -> bool:
        """Whether the bot has done all it will, and nobody is left who could answer, or has had the time to."""
        presses = self._presses()
        if any(press.done is None for press in presses):
            return False
        told = [self._program.calls[call] for call in calls]
        if all(each.is_orphaned for each in told if each.ended is None) and not self._program.has_orders:
            return True
        latest = max([*(each.asked for each in told), *(press.done or 0 for press in presses)])
        return time.monotonic_ns() > latest + PATIENCE_SECONDS * 1e9

    def _presses(self) -> list[Press]:
        since = self._seen[-1]["seq"] if self._seen else 0
        self._seen += self._local.ledger(since)
        return read_presses(self._seen)

    def _configure(self, changes: Mapping[str, object]) -> None:
        defaults = {"first": 0.3, "usual": 2.0, "durations": [], "refusal": "none"}
        self._local.post(f"/apps/{self._player.bot}/settings", {**defaults, **changes})

    async def _sample(self) -> None:
        while True:
            if self._player.measured.is_running:
                with suppress(OSError):
                    self._peak_kib = max(self._peak_kib, pss_kib(self._player.measured.pid))
            await asyncio.sleep(1 / _SAMPLES_PER_SECOND)
