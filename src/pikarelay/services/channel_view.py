"""What is known of a channel at a moment: its open jobs, and the ghosts of ended ones."""

import msgspec

from pikarelay.jobs.correlation import related_messages
from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.job import Job
from pikarelay.jobs.messages import BotMessage
from pikarelay.services.ports import Clock, Sightings, Store


class ChannelView:
    """Asks the store, and leaves out the ghosts of which nothing is expected any more."""

    def __init__(self, store: Store, clock: Clock, deadlines: Deadlines) -> None:
        self._store = store
        self._clock = clock
        self._deadlines = deadlines

    async def look(self, channel: str) -> Sightings:
        """Return what is there now."""
        now = self._clock.now()
        known = await self._store.sightings(channel, (), ghosts_since=now - self._deadlines.longest)
        ghosts = tuple(job for job in known.ghosts if self._deadlines.is_ghost(job, now))
        return msgspec.structs.replace(known, ghosts=ghosts)

    async def look_for(self, message: BotMessage) -> Sightings:
        """Return what a message could be about: the open jobs, and the ghosts of the time when it was said."""
        # Whoever reads a history looks back as far as an open job's press, and ghosts of that time were pressed before it.
        since = self._clock.now() - 2 * self._deadlines.longest
        known = await self._store.sightings(message.channel_id, related_messages(message), ghosts_since=since)
        ghosts = tuple(job for job in known.ghosts if self._deadlines.may_be_about(job, message.id))
        return msgspec.structs.replace(known, ghosts=ghosts)

    async def ghosts(self) -> list[Job]:
        """Return the ghosts of all channels on which a job is unfinished."""
        now = self._clock.now()
        found = await self._store.ghosts(now - self._deadlines.longest)
        return [job for job in found if self._deadlines.is_ghost(job, now)]
