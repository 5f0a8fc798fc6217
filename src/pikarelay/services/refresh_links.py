"""Exchange a finished job's links for new ones before they end, when somebody asks for the job."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from pikarelay.errors import (
    AccountUnusable,
    DiscordRateLimited,
    DiscordRefused,
    DiscordUnavailable,
    Unavailable,
)
from pikarelay.jobs.job import Job
from pikarelay.jobs.links import stale_links, with_links
from pikarelay.services.ports import Change, Clock, Discord, Store

_log = structlog.get_logger(__name__)

#: Links that Discord exchanges in one request.
AT_ONCE = 50
#: Whoever polls is answered with the old links rather than later.
PATIENCE = timedelta(seconds=5)
#: After a failure the old links are good enough for so long.
AFTER_FAILURE = timedelta(minutes=1)


class LinkRefresher:
    """Asks Discord in the name of the job's own account. Of several who ask for a job at once, one asks Discord."""

    def __init__(self, store: Store, discord: Discord, clock: Clock) -> None:
        self._store = store
        self._discord = discord
        self._clock = clock
        self._under_way: dict[str, asyncio.Task[Job]] = {}
        #: Job to when it may be tried again.
        self._not_before: dict[str, datetime] = {}

    async def fresh(self, job: Job) -> Job:
        """Return the job with links that last a while, if that is to be had; as it is otherwise."""
        now = self._clock.now()
        stale = stale_links(job, now)
        if not stale or self._not_before.get(job.job_id, now) > now:
            return job
        task = self._under_way.get(job.job_id)
        if task is None:
            task = asyncio.create_task(self._refresh(job, stale))
            self._under_way[job.job_id] = task
            task.add_done_callback(lambda _: self._under_way.pop(job.job_id, None))
        timer = asyncio.ensure_future(self._clock.sleep(PATIENCE))
        try:
            await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        return task.result() if task.done() else job

    async def _refresh(self, job: Job, stale: tuple[str, ...]) -> Job:
        try:
            links: dict[str, str] = {}
            for start in range(0, len(stale), AT_ONCE):
                links |= await self._discord.refresh_links(job.discord_token, stale[start : start + AT_ONCE])
            return await self._keep(job, links)
        except (
            AccountUnusable,
            DiscordRateLimited,
            DiscordRefused,
            DiscordUnavailable,
            Unavailable,
        ) as problem:
            _log.info("job.links_not_refreshed", job_id=job.job_id, reason=str(problem))
            self._put_off(job.job_id)
            return job

    async def _keep(self, job: Job, links: Mapping[str, str]) -> Job:
        if stale_links(with_links(job, links), self._clock.now()):
            # Discord gave none, or none that last.
            self._put_off(job.job_id)
        changed = await self._store.change(job.job_id, lambda found: Change(job=with_links(found, links)))
        return job if changed is None else changed

    def _put_off(self, job_id: str) -> None:
        now = self._clock.now()
        self._not_before = {its: when for its, when in self._not_before.items() if when > now}
        self._not_before[job_id] = now + AFTER_FAILURE
