"""The local Discord with both bots, as a process of its own: `python -m bench.peers.discord SEED`."""

import asyncio
import json
import sys

import uvloop

from bench.peers.bot import Bot
from bench.peers.voices import Midjourney, Pika, grid
from bench.processes import end_with_parent
from localdiscord.apps.pika import video
from localdiscord.clock import WallClock
from localdiscord.server import LocalDiscord, Settings
from localdiscord.world.rules import Rules

#: No peer is held up by Discord's own pace: what is compared is what a peer does, not how patient it has to be.
RULES = Rules(identify_interval=0.0, requests_per_second=1_000_000)


async def serve(seed: int) -> None:
    settings = Settings(pika=False, seed=seed, usernames=(), rules=RULES)
    clock = WallClock()
    bots = [Bot(voice, clock=clock, seed=seed) for voice in (Midjourney(), Pika())]
    # Drawn and encoded once, and not within the first job.
    grid("PNG"), grid("WEBP"), video.stamp(video.Scene("", 0))
    async with LocalDiscord.start(settings, clock=clock, applications=bots) as discord:
        print(json.dumps({"ready": True, "url": discord.url, "api": discord.api_url}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    end_with_parent()
    uvloop.run(serve(int(sys.argv[1])))
