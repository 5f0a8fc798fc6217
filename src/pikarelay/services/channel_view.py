"""What is known of a channel at a moment: its open jobs, and the ghosts of ended ones."""

from collections.abc import Sequence

import msgspec

from pikarelay.jobs.deadlines import Deadlines
from pikarelay.services.ports import Clock, Sightings, Store


class ChannelView:
    """Asks the store, and leaves out the ghosts of which nothing is expected any more."""

    def __init__(self, store: Store, clock: Clock, deadlines: Deadlines) -> None:
        self._store = store
        self._clock = clock
        self._deadlines = deadlines

    async def look(self, channel: str, message_ids: Sequence[str] = ()) -> Sightings:
        """Return what a message could be about that names these others."""
        now = self._clock.now()
        longest = max(self._deadlines.first_message, self._deadlines.whole_job)
        known = await self._store.sightings(channel, message_ids, ghosts_since=now - longest)
        ghosts = tuple(job for job in known.ghosts if self._deadlines.is_ghost(job, now))
        return msgspec.structs.replace(known, ghosts=ghosts)
