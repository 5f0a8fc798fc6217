"""Users of the local Discord with a finished job each, whose button can be pressed."""

import asyncio
import json
from dataclasses import dataclass

from bench.load import Answer, Client, get, post_form
from bench.processes import PATIENCE_SECONDS, Local, Relay


@dataclass(frozen=True)
class Seat:
    """A user's channel, and the finished job in it."""

    token: str
    channel: str
    job_id: str
    message_id: str


async def take_seats(relay: Relay, local: Local, count: int) -> list[Seat]:
    """Make users, and let each create a job, with a prompt of its own so that the bot's messages differ."""
    local.post("/apps/Pika/settings", {"speed": 0.05, "behaviour": "respond", "video": "stamped"})
    users = [local.new_user(f"bench-{n}") for n in range(count)]
    client = Client(relay.port)
    few = asyncio.Semaphore(8)

    async def take(n: int, token: str, channel: str) -> Seat:
        async with few:
            fields = {
                "prompt": f"number {n} of the paper boats on the pond",
                "discord": token,
                "channel": channel,
            }
            job = body_of(await client.send(post_form(relay.headers, "/v1/pika/create", fields)))
            job = await finished(client, relay, str(job["jobid"]))
            return Seat(token, channel, str(job["jobid"]), str(job["messageId"]))

    try:
        return await asyncio.gather(*(take(n, *user) for n, user in enumerate(users)))
    finally:
        client.close()


async def finished(client: Client, relay: Relay, job_id: str) -> dict[str, object]:
    """Poll until the job is completed."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            job = body_of(await client.send(get(relay.headers, f"/v1/pika/jobs/?jobid={job_id}")))
            if job["status"] == "completed":
                return job
            if job["status"] not in {"started", "progress"}:
                raise RuntimeError(f"a job of the benchmark did not complete: {job}")
            await asyncio.sleep(0.05)


def body_of(answer: Answer) -> dict[str, object]:
    """Return the JSON of a 200; a benchmark of refusals would be none."""
    if answer.status != 200:
        raise RuntimeError(f"HTTP status {answer.status}: {answer.body.decode(errors='replace')}")
    body: dict[str, object] = json.loads(answer.body)
    return body
