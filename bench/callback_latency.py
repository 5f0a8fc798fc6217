"""
From the bot's final message to the callback.

The time runs from the result's leaving Discord's Gateway to the first byte of our POST at the caller's server, which is a
process of its own and keeps no connection open: each callback connects anew.
"""

import tempfile
import time
from pathlib import Path

from bench.load import run
from bench.press_latency import AIMS, BOT_SECONDS
from bench.presses import SEATS, first_frames, press_buttons
from bench.processes import PATIENCE_SECONDS, Json, ask, beside, local_discord, relay
from bench.report import Figure, percentiles
from bench.seats import take_seats


def measure(*, quick: bool) -> list[Figure]:
    """Take half a minute."""
    count = 200 if quick else 600
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            local_discord(folder) as local,
            relay(folder, local) as server,
            beside("hello", folder) as hello,
            beside("receiver", folder) as receiver,
        ):
            seats = run(take_seats(server, local, SEATS))
            local.post("/apps/Pika/settings", {"speed": BOT_SECONDS, "behaviour": "plain"})
            begin = local.get("/ledger?since=0&limit=0")["last"]
            pressed = run(press_buttons(server, hello["port"], seats, count, reply_urls=[receiver["url"]]))
            received = _all_received(receiver["url"], count)
            left = first_frames(local, begin)
    taken = [(each["first_byte_ns"] - left[each["message_id"]]) / 1e6 for each in received]
    return percentiles("result to callback", taken, pressed.bare_ms, AIMS)


def _all_received(url: str, count: int) -> list[Json]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        received: list[Json] = ask(url)
        if len(received) >= count:
            return received
        time.sleep(0.2)
    raise RuntimeError(f"only {len(received)} of {count} callbacks came")
