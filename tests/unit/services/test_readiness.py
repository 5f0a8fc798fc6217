"""Whether work may be sent here, looked at once a second at most."""

import asyncio

import pytest

from pikarelay.errors import Unavailable
from pikarelay.services.ports import Condition
from pikarelay.services.readiness import Readiness, Report
from tests.fakes.clock import settle

MIB = 1024 * 1024


class Surroundings:
    """A store, a disk and a clock, and how they do."""

    def __init__(self) -> None:
        self.condition = Condition(has_schema=True, has_key=True)
        self.trouble: Exception | None = None
        self.free = 100 * MIB
        self.now = 0.0
        self.probes = 0
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def probe(self) -> Condition:
        self.probes += 1
        await self.may_write.wait()
        if self.trouble is not None:
            raise self.trouble
        return self.condition

    def free_bytes(self) -> int:
        if self.free < 0:
            raise OSError("stale handle")
        return self.free

    def readiness(self) -> Readiness:
        return Readiness(self, self.free_bytes, 64 * MIB, lambda: self.now)


@pytest.fixture
async def around() -> Surroundings:
    return Surroundings()


def said(report: Report) -> dict[str, str]:
    """Return what is not well."""
    return {name: report.checks[name] for name in report.troubles}


async def test_ready(around: Surroundings) -> None:
    """When all is well it is ready, and says what it has looked at."""
    report = await around.readiness().report()

    assert report.is_ready
    assert {"serving", "database", "schema", "key", "disk"} == report.checks.keys()
    assert {"ok"} == set(report.checks.values())


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ({"trouble": Unavailable()}, {"database": "takes no write"}),
        ({"trouble": RuntimeError("a defect")}, {"database": "takes no write"}),
        ({"condition": Condition(has_schema=False, has_key=True)}, {"schema": "does not serve this version"}),
        ({"condition": Condition(has_schema=True, has_key=False)}, {"key": "does not open what it seals"}),
        ({"free": 64 * MIB - 1}, {"disk": "has no room"}),
        ({"free": -1}, {"disk": "cannot be looked at"}),
    ],
)
async def test_not_ready(around: Surroundings, change: dict[str, object], trouble: dict[str, str]) -> None:
    """Each thing that is not well makes it unready, and is named; with it gone, it is ready again."""
    readiness = around.readiness()
    before = vars(around).copy()
    vars(around).update(change)

    assert trouble == said(await readiness.report())

    vars(around).update({name: before[name] for name in change})
    around.now += 1
    assert (await readiness.report()).is_ready


async def test_as_much_room_as_demanded(around: Surroundings) -> None:
    """The least room that is demanded is enough."""
    around.free = 64 * MIB

    assert (await around.readiness().report()).is_ready


async def test_end_is_told_at_once(around: Surroundings) -> None:
    """A server that ends is not ready from the next question on, whatever was seen before."""
    readiness = around.readiness()
    before = await readiness.report()
    readiness.end()

    assert before.is_ready
    assert {"serving": "ending"} == said(await readiness.report())


async def test_one_look_a_second(around: Surroundings) -> None:
    """However often and by however many it is asked, the database is written to once a second."""
    readiness = around.readiness()
    for _ in range(3):
        await asyncio.gather(*(readiness.report() for _ in range(50)))
    assert 1 == around.probes
    around.now += 0.999
    await readiness.report()
    assert 1 == around.probes
    around.now += 0.001
    await asyncio.gather(*(readiness.report() for _ in range(50)))

    assert 2 == around.probes


async def test_write_that_does_not_end(around: Surroundings) -> None:
    """A write that takes more than a second is unready; another is not begun before it has ended, and then all is well."""
    readiness = around.readiness()
    around.may_write.clear()
    for _ in range(2):
        assert {"database": "takes no write within a second"} == said(await readiness.report())
        around.now += 1
    assert 1 == around.probes
    around.may_write.set()
    await settle()

    assert (await readiness.report()).is_ready
    assert 1 == around.probes
