"""Runs a judge: a third-party library in an environment and a process of its own, spoken to in JSON lines."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tools import judges

SCRIPTS = Path(__file__).parent / "scripts"

#: Far above what any step needs, discord.py's five to six seconds before a new session included.
PATIENCE = 25.0

Report = dict[str, Any]


def python_of(name: str) -> Path:
    """Return the interpreter of a judge's environment; the test fails when it was not made, or is out of date."""
    environment = judges.ENVIRONMENTS / name
    if not judges.is_current(environment, judges.REQUIREMENTS / f"{name}.txt"):
        pytest.fail(f"the environment of {name} is missing or out of date: run `make judges`", pytrace=False)
    return environment / "bin" / "python"


class Judge:
    """One running judge. Reports are kept in the order in which they came until somebody takes them."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self._process = process
        self._orders = 0
        #: Reports that nobody has taken yet.
        self._reports: list[Report] = []
        self._arrived = asyncio.Condition()
        #: All reports ever, for failures to show.
        self._history: list[Report] = []

    async def order(self, do: str, **details: Any) -> Any:
        """Have the judge do something, and return what came of it."""
        self._orders += 1
        number = self._orders
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": number, "do": do, **details}).encode() + b"\n")
        await self._process.stdin.drain()
        report = await self._take(f"an answer to {do}", lambda report: report.get("id") == number)
        if report["event"] == "error":
            pytest.fail(f"{self.name}: {do}: {report['error']}\n{self._told()}")
        return report["result"]

    async def report(self, event: str, **fields: Any) -> Report:
        """Take the first report of this event whose fields have these values; wait for it if need be."""
        return await self._take(
            f"{event} with {fields}",
            lambda report: report["event"] == event and fields.items() <= report.items(),
        )

    def logged(self) -> list[str]:
        """Return what the library has logged from warnings up."""
        return [
            f"{report['level']} {report['logger']}: {report['message']}"
            for report in self._history
            if report["event"] == "log"
        ]

    async def listen(self) -> None:
        """Collect reports until the judge ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            report = json.loads(line)
            async with self._arrived:
                self._reports.append(report)
                self._history.append(report)
                self._arrived.notify_all()

    async def _take(self, wanted: str, fits: Any) -> Report:
        def first() -> Report | None:
            return next((report for report in self._reports if fits(report)), None)

        try:
            async with asyncio.timeout(PATIENCE), self._arrived:
                await self._arrived.wait_for(first)
                report = first()
        except TimeoutError:
            pytest.fail(f"{self.name} never reported {wanted}\n{self._told()}")
        assert report is not None
        self._reports.remove(report)
        return report

    def _told(self) -> str:
        return "\n".join(json.dumps(report) for report in self._history)


@asynccontextmanager
async def judging(script: str, environment: str, *arguments: str) -> AsyncIterator[Judge]:
    """Run a script in its environment to the end of the block."""
    process = await asyncio.create_subprocess_exec(
        python_of(environment),
        SCRIPTS / f"{script}.py",
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=1 << 20,
        # Nothing of the test's own environment is the judge's business, proxies least of all.
        env={"PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    judge = Judge(environment, process)
    listening = asyncio.create_task(judge.listen())
    try:
        yield judge
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await listening
