"""
Read a channel's history for what the Gateway did not bring.

After a gap in the stream, or when a job is late, the history says what happened. It lacks nonces and hidden messages, so
fewer ties hold in it; what it brings goes the same way as what the Gateway brings, and is as harmless twice.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from types import MappingProxyType

import msgspec
import structlog

from pikarelay.errors import AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.job import Job
from pikarelay.jobs.messages import BotMessage
from pikarelay.jobs.reconciliation import Reading
from pikarelay.jobs.secret import Secret
from pikarelay.services.observe_message import SightingObserver
from pikarelay.services.ports import Clock, Discord, Identity, Store

_log = structlog.get_logger(__name__)

#: So many tokens are tried for one channel before it is left for the next time.
_MOST_TOKENS = 3
#: So many channels are read side by side: a slow one holds up no other.
_AT_ONCE = 16


class _Unread(Enum):
    """Why a history was not read."""

    #: Discord lets none of the accounts read it, or none of them is usable.
    REFUSED = auto()
    #: Discord, or the network, is away.
    AWAY = auto()


class HistoryReader:
    """Feeds histories to the observer."""

    def __init__(self, store: Store, discord: Discord, observer: SightingObserver, clock: Clock) -> None:
        self._store = store
        self._discord = discord
        self._observer = observer
        self._clock = clock
        self._readings: dict[str, Reading] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)

    @property
    def readings(self) -> Mapping[str, Reading]:
        """When each channel was last read, or was tried to be."""
        return MappingProxyType(self._readings)

    def forget(self, channels: Iterable[str]) -> None:
        """Forget when these channels were read: nobody asks any more."""
        for channel in channels:
            self._readings.pop(channel, None)

    async def catch_up(self, jobs: Iterable[Job]) -> frozenset[str]:
        """
        Read the channels of these jobs, each once, from its oldest open press on. Jobs that were not pressed have none.

        What cannot be read now (Discord is out of reach, no account is usable) is left for the next time. Returns the
        channels of which that is so.
        """
        channels: dict[str, list[Job]] = {}
        for job in jobs:
            if job.press.floor_id is not None and job.press.user_id is not None:
                channels.setdefault(job.channel, []).append(job)
        were_read = await asyncio.gather(
            *(self._catch_up_channel(channel, its) for channel, its in channels.items())
        )
        return frozenset(
            channel for channel, was_read in zip(channels, were_read, strict=True) if not was_read
        )

    async def _catch_up_channel(self, channel: str, jobs: Sequence[Job]) -> bool:
        async with self._places:
            now = self._clock.now()
            before = self._readings.get(channel) or Reading(tried=now)
            # Noted before it ends, so that nobody begins another beside it.
            self._readings[channel] = msgspec.structs.replace(before, tried=now)
            floor = min((job.press.floor_id or "0" for job in jobs), key=int)
            messages = await self._messages(channel, jobs, floor)
            if isinstance(messages, _Unread):
                self._note(channel, failures=before.failures + 1, is_away=messages is _Unread.AWAY)
                return False
            # Since the oldest open press a busy channel has seen many others come and go. Looking at each of their messages
            # once more takes seconds, and a server that is killed again and again would never come to an end.
            closed = await self._store.closed_messages([message.id for message in messages])
            await self._observe(jobs, [message for message in messages if message.id not in closed])
            # Only what was taken in was read.
            self._note(channel, failures=0, is_away=False, read=now, floor_id=floor)
        return True

    def _note(self, channel: str, **its: object) -> None:
        # Forgotten meanwhile: then nobody asks.
        if (reading := self._readings.get(channel)) is not None:
            self._readings[channel] = msgspec.structs.replace(reading, **its)

    async def _observe(self, jobs: Sequence[Job], messages: Sequence[BotMessage]) -> None:
        users = sorted({job.press.user_id or "" for job in jobs})
        for message in messages:
            for user_id in users:
                await self._observer.observe_message(Identity(user_id=user_id), message)

    async def _messages(
        self, channel: str, jobs: Sequence[Job], floor: str
    ) -> "tuple[BotMessage, ...] | _Unread":
        for token in (await self._tokens(channel, jobs))[:_MOST_TOKENS]:
            try:
                return await self._discord.read_history(token, channel, floor)
            except (AccountUnusable, DiscordRefused) as trouble:
                # Another token may do.
                _log.warning("history.unread", channel=channel, reason=str(trouble))
            except (DiscordRateLimited, DiscordUnavailable) as trouble:
                _log.warning("history.unread", channel=channel, reason=str(trouble))
                return _Unread.AWAY
        return _Unread.REFUSED

    async def _tokens(self, channel: str, jobs: Sequence[Job]) -> list[Secret]:
        """Return the tokens that may read the channel: its accounts' first, for they are cared for; then the newest jobs'."""
        callers = {job.caller_id for job in jobs}
        accounts = [
            a for a in await self._store.accounts() if a.channel == channel and a.caller_id in callers
        ]
        newest = sorted(jobs, key=lambda job: job.created, reverse=True)
        tokens = [a.discord_token for a in accounts] + [job.discord_token for job in newest]
        return list(dict.fromkeys(tokens))
