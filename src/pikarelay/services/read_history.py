"""
Read a channel's history for what the Gateway did not bring.

After a gap in the stream, or when a job is late, the history says what happened. It lacks nonces and hidden messages, so
fewer ties hold in it; what it brings goes the same way as what the Gateway brings, and is as harmless twice.
"""

from collections.abc import Iterable

import structlog

from pikarelay.errors import AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.job import Job
from pikarelay.services.observe_message import SightingObserver
from pikarelay.services.ports import Discord, Identity

_log = structlog.get_logger(__name__)


class HistoryReader:
    """Feeds histories to the observer."""

    def __init__(self, discord: Discord, observer: SightingObserver) -> None:
        self._discord = discord
        self._observer = observer

    async def catch_up(self, jobs: Iterable[Job]) -> None:
        """
        Read the channels of these jobs from their oldest open press on.

        What cannot be read now (Discord is out of reach, the account is not usable) is left for the next time.
        """
        oldest: dict[tuple[str, str], Job] = {}
        for job in jobs:
            if job.press.floor_id is None or job.press.user_id is None:
                continue
            seat = (job.press.user_id, job.channel)
            if seat not in oldest or int(job.press.floor_id) < int(oldest[seat].press.floor_id or 0):
                oldest[seat] = job
        for job in oldest.values():
            await self._catch_up_channel(job)

    async def _catch_up_channel(self, job: Job) -> None:
        try:
            messages = await self._discord.read_history(
                job.discord_token, job.channel, job.press.floor_id or "0"
            )
        except (AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable) as trouble:
            _log.warning("history.unread", channel=job.channel, reason=str(trouble))
            return
        identity = Identity(user_id=job.press.user_id or "")
        for message in messages:
            await self._observer.observe_message(identity, message)
