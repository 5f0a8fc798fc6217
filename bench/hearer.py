"""
`python -m bench.hearer URL FOLDER`: a node that hears of admitted jobs and reads them, as the owner of their channels would.

Writes a line for each to `FOLDER/heard`: the job, and when it had been read, in nanoseconds of CLOCK_MONOTONIC.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from bench.load import run
from bench.processes import end_with_parent
from pikarelay.services.ports import Announcement, News
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.root_key import KeySource, load_root_key


async def _hear(url: str, folder: Path) -> None:
    tasks: set[asyncio.Task[None]] = set()
    connected = asyncio.Event()
    with (folder / "heard").open("w") as kept:
        async with PostgresStore.open(url, root_key=load_root_key(KeySource(folder))) as store:

            async def look_up(job_id: str) -> None:
                await store.job(job_id)
                kept.write(f"{job_id} {time.monotonic_ns()}\n")
                kept.flush()

            def hear(announcement: Announcement) -> None:
                if announcement.news is News.MISSED:
                    connected.set()
                elif announcement.news is News.ADMITTED:
                    tasks.add(asyncio.create_task(look_up(announcement.job_id)))

            store.subscribe(hear)
            await connected.wait()
            print(json.dumps({"ready": True}), flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    end_with_parent()
    run(_hear(sys.argv[1], Path(sys.argv[2])))
