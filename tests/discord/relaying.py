"""A whole pikarelay in this process, on a local Discord, and what the local Discord's ledger says of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from localdiscord.server import LocalDiscord
from pikarelay.bootstrap.composition import open_server
from pikarelay.bootstrap.offices import Offices
from pikarelay.jobs.job import Job
from pikarelay.settings import Settings

#: How long anything may take here; deadlines that tests set are well below.
PATIENCE = 25.0


class Relay:
    """A running server, and a caller of it."""

    def __init__(self, url: str, api_token: str, offices: Offices, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_token}"}
        self._http = http
        self.offices = offices

    async def ask(self, method: str, path: str, **its: Any) -> tuple[int, Any]:
        async with self._http.request(
            method, f"{self._url}/v1/pika/{path}", headers=self._headers, **its
        ) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None

    async def post(self, path: str, **fields: str) -> tuple[int, dict[str, Any]]:
        return await self.ask("POST", path, data=fields)

    async def retry(self, parent: str, **fields: str) -> tuple[int, dict[str, Any]]:
        return await self.post("button", jobid=parent, button="retry", **fields)

    async def job(self, job_id: str) -> Job:
        job = await self.offices.store.job(job_id)
        assert job is not None
        return job

    async def ended(self, job_id: str) -> Job:
        """Return the job once it has ended."""
        async with asyncio.timeout(PATIENCE):
            while not (job := await self.job(job_id)).is_final:  # noqa: ASYNC110 -- the store tells nobody
                await asyncio.sleep(0.01)
        return job

    async def all_ended(self, job_ids: Sequence[str]) -> list[Job]:
        return list(await asyncio.gather(*map(self.ended, job_ids)))

    async def created(self, prompt: str, token: str, channel: str) -> str:
        """Return the id of a job that was completed."""
        status, body = await self.post("create", prompt=prompt, discord=token, channel=channel)
        assert status == 200, body
        job = await self.ended(body["jobid"])
        assert job.status.value == "completed", (job.status, job.error)
        return job.job_id


@asynccontextmanager
async def relaying(local: LocalDiscord, folder: Path, **settings: Any) -> AsyncIterator[Relay]:
    """Run a server on the local Discord. A second one in the same folder goes on where the first ended."""
    flags = {
        "http.port": 0,
        "store.data_folder": str(folder),
        "discord.api_url": local.api_url,
        "discord.press_interval_seconds": 0,
        "discord.answer_wait_seconds": 2,
    }
    async with (
        open_server(Settings.load({}, "", flags | settings)) as (server, offices),
        aiohttp.ClientSession() as http,
    ):
        api_token = await offices.tokens.issue(await offices.callers.named())
        ready = asyncio.Event()
        running = asyncio.create_task(server.run(ready.set))
        try:
            await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when="FIRST_COMPLETED")
            yield Relay(server.url, api_token, offices, http)
        finally:
            server.stop()
            await running


def strangers(local: LocalDiscord, jobs: Sequence[Job]) -> list[str]:
    """Return the jobs that show a result which another press has caused, by the bot's own book."""
    caused = {entry["message_id"]: entry["nonce"] for entry in local.world.ledger.of("result")}
    return [
        job.job_id for job in jobs if job.attachments and caused.get(job.message_id or "") != job.press.nonce
    ]


def double_presses(local: LocalDiscord) -> list[str]:
    return [nonce for nonce, count in local.world.ledger.presses.items() if count > 1]
