"""
What `POST /v1/pika/button` adds to the bot's own time.

The answer waits for the bot's first message, so its time has three parts: from the request to the interaction's arrival
at Discord, the bot's own time, and from the message's leaving Discord to our answer. The last is the one with an
aim; the first is shown beside it. When a frame left is noted by the local Discord right after it was written.
"""

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.load import run
from bench.presses import SEATS, Pressed, first_frames, press_buttons
from bench.processes import Local, Relay, beside, local_discord, relay
from bench.report import Figure, percentiles
from bench.seats import Seat, take_seats

AIMS = {50: 5.0, 99: 25.0}
NO_AIMS: dict[int, float | None] = {50: None, 99: None}
#: Seconds of the bot's work on a press: its first message comes after a fifth of that, or at once with `respond`.
BOT_SECONDS = 0.5


def measure(*, quick: bool) -> list[Figure]:
    """Take half a minute for each of two manners of the bot."""
    count = 200 if quick else 600
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with local_discord(folder) as local, relay(folder, local) as server, beside("hello", folder) as hello:
            seats = run(take_seats(server, local, SEATS))
            return [
                figure
                for behaviour in ("respond", "plain")
                for figure in _one(server, local, hello["port"], seats, behaviour, count)
            ]


def _one(
    server: Relay, local: Local, bare_port: int, seats: Sequence[Seat], behaviour: str, count: int
) -> list[Figure]:
    local.post("/apps/Pika/settings", {"speed": BOT_SECONDS, "behaviour": behaviour})
    begin = local.get("/ledger?since=0&limit=0")["last"]
    pressed = run(press_buttons(server, bare_port, seats, count))
    if violations := local.violations():
        raise RuntimeError(f"{violations} violations of Discord's rules while measuring")
    return [
        *percentiles(
            f"message to answer, {behaviour}",
            _message_to_answer(pressed, local, begin),
            pressed.bare_ms,
            AIMS,
        ),
        *percentiles(
            f"request to Discord, {behaviour}",
            _request_to_discord(pressed, local, begin),
            pressed.bare_ms,
            NO_AIMS,
        ),
    ]


def _message_to_answer(pressed: Pressed, local: Local, begin: int) -> list[float]:
    left = first_frames(local, begin)
    return [(press.answered_ns - left[press.job["messageId"]]) / 1e6 for press in pressed.presses]


def _request_to_discord(pressed: Pressed, local: Local, begin: int) -> list[float]:
    """The ledger does not know our jobs: the n-th press of a message is the n-th interaction on it."""
    arrived: defaultdict[str, list[int]] = defaultdict(list)
    for entry in local.ledger(begin):
        if entry["event"] == "interaction_accepted":
            arrived[entry["message_id"]].append(entry["monotonic_ns"])
    in_order = sorted(pressed.presses, key=lambda press: press.sent_ns)
    return [(arrived[press.seat.message_id].pop(0) - press.sent_ns) / 1e6 for press in in_order]
