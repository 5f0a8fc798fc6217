"""
Twenty presses a second over many accounts, with a request to the bare server between any two.

The bare exchanges go through the same client in the same seconds, so they feel the same noise: they are what the
times of presses are compared to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.load import Answer, Client, at_rate, get, post_form
from bench.processes import Json, Local, Relay
from bench.seats import Seat, body_of

PER_SECOND = 20
SEATS = 40


@dataclass(frozen=True)
class Press:
    """One press and its answer."""

    seat: Seat
    job: Json
    sent_ns: int
    answered_ns: int


@dataclass(frozen=True)
class Pressed:
    """What was pressed, and how long each bare exchange between took in milliseconds."""

    presses: list[Press]
    bare_ms: list[float]


async def press_buttons(
    relay: Relay, bare_port: int, seats: Sequence[Seat], count: int, *, reply_urls: Sequence[str] = ()
) -> Pressed:
    """Press the seats' buttons in turn, to be called back at these in turn."""
    client, bare = Client(relay.port), Client(bare_port)
    hello = get(b"Host: 127.0.0.1\r\n", "/")
    bare_ms: list[float] = []

    async def press(n: int) -> Press:
        seat = seats[n % len(seats)]
        fields = {"jobid": seat.job_id, "button": "retry"}
        if reply_urls:
            fields["replyUrl"] = reply_urls[n % len(reply_urls)]
        answer = await client.send(post_form(relay.headers, "/v1/pika/button", fields))
        return Press(seat, body_of(answer), answer.sent_ns, answer.received_ns)

    async def greet() -> None:
        bare_ms.append(_milliseconds(await bare.send(hello)))

    async def act(n: int) -> Press | None:
        if n % 2:
            await greet()
            return None
        return await press(n // 2)

    await client.warm(4)
    try:
        done = await at_rate(2 * PER_SECOND, 2 * count, act)
    finally:
        client.close()
        bare.close()
    return Pressed([each for each in done if each is not None], bare_ms)


def first_frames(local: Local, since: int) -> dict[str, int]:
    """Return when the first frame about each message left the Gateway, by the message's id."""
    left: dict[str, int] = {}
    for entry in local.ledger(since):
        if entry["event"] == "frame_sent":
            left.setdefault(entry["message_id"], entry["monotonic_ns"])
    return left


def _milliseconds(answer: Answer) -> float:
    return (answer.received_ns - answer.sent_ns) / 1e6
