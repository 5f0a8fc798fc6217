"""What goes on beside the faults of a row: callers at work, and a look at what waits for another try."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

from chaos.clients import Seat
from chaos.judge import History
from chaos.outcome import Outcome
from chaos.processes import PATIENCE
from chaos.stage import Stage
from chaos.tried import faults_met, healthy_seconds, percentile

#: What 99 of 100 healthy callbacks may take at most, from the bot's result to their receiver.
HEALTHY_SECONDS = 2.0
_PARKED_SECONDS = 0.2
_LOOK_SECONDS = 0.5
#: Jobs that are created at a time on each seat.
_AT_ONCE = 3


@asynccontextmanager
async def callers_at_work(stage: Stage, seats: list[Seat], callers: int, rng: Random) -> AsyncIterator[None]:
    """Keep callers at work; at the end wait until they have stopped, also those that wait for a server."""
    enough = asyncio.Event()
    tasks = [
        asyncio.create_task(stage.clients.load(seats, Random(f"{rng.random()}"), enough))
        for _ in range(callers)
    ]
    try:
        yield
    finally:
        enough.set()
        stage.clients.up.set()
        await asyncio.gather(*tasks)


async def create_all(stage: Stage, seats: Sequence[Seat], urls: Sequence[str]) -> dict[str, str]:
    """Create a job for each URL, some at a time; return the jobs by URL."""
    jobs: dict[str, str] = {}
    left = list(reversed(urls))

    async def work(seat: Seat) -> None:
        while left:
            url = left.pop()
            status, body = await stage.clients.create(seat, reply_url=url)
            if status == 200:
                jobs[url] = body["jobid"]
            else:
                left.append(url)
                await asyncio.sleep(_PARKED_SECONDS)

    await asyncio.gather(*(work(seat) for seat in seats for _ in range(_AT_ONCE)))
    return jobs


async def have_failed(
    stage: Stage, wanted: Mapping[str, set[str]], then: Callable[[str], None] = lambda _job: None
) -> bool:
    """
    Look at the logs of jobs until the tries of each have failed by all that is wanted of it; False when time is up.

    Where nothing is wanted, one try has to be over. `then` is called for each job as it has come so far.
    """
    left, limit = dict(wanted), time.monotonic() + PATIENCE
    while left and time.monotonic() < limit:
        await asyncio.sleep(_LOOK_SECONDS)
        for job, errors in [*left.items()]:
            tries = await stage.clients.tries(job)
            if tries and errors <= {its.get("error") for its in tries}:
                del left[job]
                then(job)
    return not left


async def all_delivered(stage: Stage, *, but: frozenset[str] = frozenset()) -> bool:
    """
    Wait until nothing runs and every callback is taken, `but` those of some jobs; False when time is up.

    The server has noted so by then: who moves its clock a moment earlier plays a server that stood still meanwhile.
    """
    limit = time.monotonic() + PATIENCE
    came = await stage.until(
        lambda: all(job in but or job in stage.receiver.delivered for job in stage.clients.jobs), PATIENCE
    )
    while came and await stage.clients.waiting() - but:
        await asyncio.sleep(_PARKED_SECONDS)
        came = time.monotonic() < limit
    return came


def require_health(outcome: Outcome, history: History, floor: int) -> None:
    """Demand that healthy callbacks were quick, and enough of them for the word to mean something."""
    seconds = healthy_seconds(history)
    worst = percentile(seconds, 99)
    outcome.table.append(
        f"{len(seconds):,} healthy callbacks: p50 {percentile(seconds, 50):.3f} s, p99 {worst:.3f} s"
    )
    outcome.require(worst < HEALTHY_SECONDS, f"p99 of healthy callbacks was {worst:.2f} s")
    outcome.require(len(seconds) >= floor, f"{len(seconds)} healthy callbacks, {floor} needed")


def require_faults(outcome: Outcome, history: History, each: int) -> None:
    """Demand that each kind of fault has struck as often as it was to."""
    met: Counter[str] = faults_met(history)
    outcome.numbers["faults"] += met.total()
    outcome.table.append(", ".join(f"{count} x {what}" for what, count in met.items()))
    for what, count in met.items():
        outcome.require(count >= each, f"{what} has struck {count} times, {each} needed")
