"""What is known of a channel at a moment: its open jobs, and the ghosts of ended ones."""

from collections.abc import Sequence

import msgspec

from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.job import Job
from pikarelay.services.ports import Clock, Sightings, Store


class ChannelView:
    """Asks the store, and leaves out the ghosts of which nothing is expected any more."""

    def __init__(self, store: Store, clock: Clock, deadlines: Deadlines) -> None:
        self._store = store
        self._clock = clock
        self._deadlines = deadlines
        self._longest = max(deadlines.first_message, deadlines.whole_job)

    async def look(self, channel: str, message_ids: Sequence[str] = ()) -> Sightings:
        """Return what a message could be about that names these others."""
        now = self._clock.now()
        known = await self._store.sightings(channel, message_ids, ghosts_since=now - self._longest)
        ghosts = tuple(job for job in known.ghosts if self._deadlines.is_ghost(job, now))
        return msgspec.structs.replace(known, ghosts=ghosts)

    async def ghosts(self) -> list[Job]:
        """Return the ghosts of all channels on which a job is unfinished."""
        now = self._clock.now()
        found = await self._store.ghosts(now - self._longest)
        return [job for job in found if self._deadlines.is_ghost(job, now)]
