"""
An upgrade as operators do it, under load: the next release migrates beside nodes of this one, which go on, end and start on its schema.

Then its own nodes take over, one after the other. Nothing may be noticed: no request fails, each job is pressed once, each
callback comes. What the next release is, is said in `chaos.next_release`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from chaos.cluster.nodes import Node
from chaos.cluster.run import run
from chaos.cluster.strikes import Strikes
from chaos.judge import Violation
from chaos.next_release import FILLED, next_release
from chaos.processes import PATIENCE, DidNotStart, Zygote
from chaos.stage import Verdict, copied_sources

Step = Callable[[], Awaitable[None]]

#: Jobs that are acknowledged before each step, so that all fall in the middle of work.
_JOBS_BETWEEN = 20
_WHO_ADMITTED = f"""
SELECT count(*) FILTER (WHERE admitted_by = 'before' AND created > {{since}}),
       count(*) FILTER (WHERE admitted_by = '{FILLED}'),
       (SELECT count(*) FROM admissions)
  FROM jobs
"""


class Upgrade:
    """One upgrade, and what the database says of it in the end."""

    def __init__(self, zygote: Zygote, log: Path) -> None:
        self._next = zygote
        self._log = log
        #: Jobs that this release admitted on the next one's schema, that the next one admitted, and rows of its own table.
        self.old_on_new = self.new = self.noted = 0

    async def play(self, played: Strikes, _seconds: float) -> None:
        """Upgrade all nodes, however long that takes."""
        played.wanted = frozenset({"kill"})
        since = int(time.time() * 1000)
        for name, step in self._steps(played):
            await played.stage.more_acknowledged(_JOBS_BETWEEN)
            played.strikes.append(name)
            await step()
            if name == "migrate":
                since = int(time.time() * 1000)
        await played.stage.more_acknowledged(_JOBS_BETWEEN)
        database = played.cluster.database
        ((self.old_on_new, self.new, self.noted),) = await asyncio.to_thread(
            database.server.read, database.url, _WHO_ADMITTED.format(since=since)
        )

    def _steps(self, played: Strikes) -> Iterator[tuple[str, Step]]:
        apis, workers = played.cluster.apis, played.cluster.workers
        yield "migrate", lambda: self._migrate(played)
        for node in (apis[0], workers[0]):
            yield "old node ends, old node starts", lambda node=node: played.roll_node(node)  # type: ignore[misc]
        yield "old worker is killed, old one starts", lambda: played.kill_worker(workers[1])
        for node in (apis[0], workers[0]):
            yield "next node for an old one", lambda node=node: self._replace(played, node)  # type: ignore[misc]
        yield "old worker is killed beside next ones, old one starts", lambda: played.kill_worker(workers[1])
        for node in (*apis[1:], *workers[1:]):
            yield "next node for an old one", lambda node=node: self._replace(played, node)  # type: ignore[misc]

    async def _migrate(self, played: Strikes) -> None:
        """Run the next release's command, as an operator would. Raises `DidNotStart` when that fails."""
        environment = {"PIKARELAY_DATABASE": played.cluster.database.url}
        folder = self._log.with_name("migrating")
        command = await self._next.run(["migrate", "--data-folder", str(folder)], self._log, {}, environment)
        if await asyncio.wait_for(asyncio.shield(command.ended), PATIENCE):
            raise DidNotStart(self._log.read_text())

    async def _replace(self, played: Strikes, node: Node) -> None:
        this, played.cluster.zygote = played.cluster.zygote, self._next
        try:
            await played.roll_node(node)
        finally:
            played.cluster.zygote = this

    def judge(self) -> list[Violation]:
        """Say so when a release did not do its part, for then nothing is proven."""
        found = []
        if not self.old_on_new:
            found.append(Violation("upgrade", "this release", "admitted nothing on the next one's schema"))
        if not self.new or self.new != self.noted:
            found.append(
                Violation("upgrade", "the next release", f"{self.new} jobs, {self.noted} of them noted")
            )
        return found

    def line(self) -> str:
        return f"on the next schema: {self.old_on_new} jobs admitted by this release, {self.new} by the next"


async def upgraded(folder: Path, seed: int, channels: int, each: int) -> tuple[Verdict, Strikes, Upgrade]:
    """Play an upgrade of `each` nodes of both roles."""
    sources = next_release(copied_sources(folder), folder / "next")
    async with Zygote.start(sources) as zygote:
        upgrade = Upgrade(zygote, folder / "migrate.log")
        verdict, played = await run(folder, seed, 0, channels, each, play=upgrade.play)
    return verdict, played, upgrade
