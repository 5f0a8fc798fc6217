"""
Callbacks when there are many: a thousand due at once, and healthy ones beside a hundred receivers that hold their try for a minute.

*A thousand at once*: a thousand stored jobs are cancelled as fast as the server takes it; their callbacks go to a hundred
receivers. The time runs from the commit that ended the job (its `updated`, which is taken just before, in milliseconds) to the
first byte at the receiver.

*Beside dead receivers*: a hundred receivers take a connection each and say nothing, with nine more callbacks queued at each. Then
buttons are pressed, as for `callback_latency`, for longer than the minute after which the server gives a try up. The time runs
from the result's leaving Discord's Gateway to the first byte of the callback at one of twenty healthy receivers.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.load import Client, get, run
from bench.press_latency import BOT_SECONDS
from bench.presses import PER_SECOND, SEATS, first_frames, press_buttons
from bench.processes import PATIENCE_SECONDS, Local, Relay, ask, beside, local_discord, relay
from bench.report import Figure, percentile, percentiles
from bench.seats import body_of, take_seats
from bench.stored import CHANNEL, running_id, stored_job
from pikarelay import bootstrap
from pikarelay.settings import Settings

QUEUED = 1_000
RECEIVERS = 100
HEALTHY = 20
AIMS = {50: 100.0, 99: 1_000.0}
DEAD_AIMS: dict[int, float | None] = {50: None, 99: 2_000.0}
#: Longer than a try may take.
_DEAD_SECONDS = 70
_CONNECTIONS = 16


def measure(*, quick: bool) -> list[Figure]:
    """Take a minute and a half; half a minute when quick."""
    return [*_at_once(), *_beside_dead(seconds=15 if quick else _DEAD_SECONDS)]


def _at_once() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            local_discord(folder) as local,
            beside("hello", folder) as hello,
            beside("receiver", folder, str(RECEIVERS)) as receiver,
            _with_running_jobs(folder, local, receiver["urls"]) as server,
        ):
            bare = run(_hellos(hello["port"]))
            run(_cancel_all(server))
            received = _until(lambda: ask(receiver["url"]), lambda found: len(found) >= QUEUED)
    taken = [
        1000 * (each["first_byte_time"] - datetime.fromisoformat(each["updated"]).timestamp())
        for each in received
    ]
    span = max(each["first_byte_ns"] for each in received) - min(each["first_byte_ns"] for each in received)
    return percentiles(
        f"{QUEUED:,} callbacks at once",
        taken,
        bare,
        AIMS,
        compared_to="bare GET before",
        note=f"all within {span / 1e9:.2f} s",
    )


def _beside_dead(seconds: int) -> list[Figure]:
    count = seconds * PER_SECOND
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            local_discord(folder) as local,
            beside("hello", folder) as hello,
            beside("receiver", folder, str(HEALTHY)) as receiver,
            beside("holder", folder, str(RECEIVERS)) as dead,
            _with_running_jobs(folder, local, dead["urls"]) as server,
        ):
            seats = run(take_seats(server, local, SEATS))
            run(_cancel_all(server))
            _until(lambda: ask(dead["url"]), lambda known: known["held"] >= RECEIVERS)
            local.post("/apps/Pika/settings", {"speed": BOT_SECONDS, "behaviour": "plain"})
            begin = local.get("/ledger?since=0&limit=0")["last"]
            pressed = run(press_buttons(server, hello["port"], seats, count, reply_urls=receiver["urls"]))
            received = _until(lambda: ask(receiver["url"]), lambda found: len(found) >= count)
            left = first_frames(local, begin)
            known = ask(dead["url"])
    taken = [(each["first_byte_ns"] - left[each["message_id"]]) / 1e6 for each in received]
    held = sorted(known["seconds"])
    note = (
        f"{len(held)} tries given up after {percentile(held, 50):.2f} s (p50), {held[-1]:.2f} s at most; "
        if held
        else ""
    )
    return percentiles(
        f"callback beside {RECEIVERS} dead",
        taken,
        pressed.bare_ms,
        DEAD_AIMS,
        note=f"{note}at most {known['most']} at a time at one of the dead",
    )


@contextmanager
def _with_running_jobs(folder: Path, local: Local, urls: Sequence[str]) -> Iterator[Relay]:
    """Start a server in whose store a thousand jobs run, to be called back at these."""
    with relay(folder, local):
        pass  # makes the schema and the API token
    asyncio.run(_fill(folder / "data", urls))
    with relay(folder, local) as server:
        yield server


async def _fill(data: Path, urls: Sequence[str]) -> None:
    settings = Settings.load({}, "", {"store.data_folder": str(data)})
    async with bootstrap.open_offices(settings) as offices:
        caller = (await offices.callers.named()).caller_id
        for n in range(QUEUED):
            job = stored_job(n, caller, is_running=True, reply_url=urls[n % len(urls)])
            await offices.store.admit(caller, [CHANNEL], lambda _, job=job: job)


async def _cancel_all(server: Relay) -> None:
    client, left = Client(server.port), list(range(QUEUED))

    async def cancel() -> None:
        while left:
            path = f"/v1/pika/jobs/cancel/?jobid={running_id(left.pop())}"
            body_of(await client.send(get(server.headers, path)))

    await asyncio.gather(*(cancel() for _ in range(_CONNECTIONS)))
    client.close()


async def _hellos(port: int) -> list[float]:
    """Return how long each of some bare exchanges took, in milliseconds."""
    client, hello = Client(port), get(b"Host: 127.0.0.1\r\n", "/")
    answers = [await client.send(hello) for _ in range(500)]
    client.close()
    return [(answer.received_ns - answer.sent_ns) / 1e6 for answer in answers]


def _until(look: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds(found := look()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"this is all that came: {str(found)[:200]}")
        time.sleep(0.2)
    return found
