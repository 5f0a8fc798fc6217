"""Find what a link to a copy leads to: the copy, or, as long as there is none, Discord's own file."""

import asyncio
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog

from pikarelay.errors import RouteNotFound, Unavailable
from pikarelay.jobs.links import end_of
from pikarelay.jobs.mirror import CopyRecord, CopyState
from pikarelay.services.board import Board
from pikarelay.services.ports import Clock, Mirror, Store
from pikarelay.services.refresh_links import LinkRefresher

_log = structlog.get_logger(__name__)

#: Whoever comes while the copy is being made gets the copy, if it takes no longer. Some programs follow no redirect.
PATIENCE = timedelta(seconds=10)


class FileHere(msgspec.Struct, frozen=True):
    """A file of this machine."""

    path: Path
    media_type: str


class FileElsewhere(msgspec.Struct, frozen=True):
    """A link that anybody may follow, for a while."""

    url: str


class FileFinder:
    """
    Answers for links that were given out, whatever has become of the mirror since.

    Its answer is good now, and not for long.
    """

    def __init__(
        self, store: Store, links: LinkRefresher, mirror: Mirror | None, board: Board, clock: Clock
    ) -> None:
        self._store = store
        self._links = links
        self._mirror = mirror
        self._board = board
        self._clock = clock

    async def find(self, name: str, method: str) -> FileHere | FileElsewhere:
        """
        Return where the file is, for a request with that method.

        Raises `RouteNotFound` when nothing was ever called that, or it is gone with its job; `Unavailable` when neither
        the mirror nor Discord has it for now.
        """
        copy = await self._settled(name)
        if copy is None:
            raise RouteNotFound
        found = await self._in_mirror(copy, method)
        return await self._at_discord(copy) if found is None else found

    async def _settled(self, name: str) -> CopyRecord | None:
        """Return what is known of a copy, after the try that is under way or about to be, if there is one."""
        with self._board.watch_copy(name) as tried:
            copy = await self._store.copy(name)
            if self._mirror is None or copy is None or not _is_on_its_way(copy):
                return copy
            await self._wait(tried)
        return await self._store.copy(name)

    async def _wait(self, tried: asyncio.Event) -> None:
        both = {asyncio.ensure_future(tried.wait()), asyncio.ensure_future(self._clock.sleep(PATIENCE))}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()

    async def _in_mirror(self, copy: CopyRecord, method: str) -> FileHere | FileElsewhere | None:
        if copy.kept is None or self._mirror is None or copy.kept.mirror != self._mirror.name:
            return None
        place = await self._mirror.find(copy.name, method=method)
        if place is None:
            _log.warning("copy.missing", job_id=copy.job_id, number=copy.number, mirror=copy.kept.mirror)
            return None
        if isinstance(place, Path):
            return FileHere(place, copy.kept.media_type)
        return FileElsewhere(place)

    async def _at_discord(self, copy: CopyRecord) -> FileElsewhere:
        job = None if copy.job_id is None else await self._store.job(copy.job_id)
        if job is None or copy.number >= len(job.attachments):
            raise RouteNotFound
        fresh = await self._links.fresh(job)
        url = fresh.attachments[copy.number].url
        end = end_of(url)
        if end is not None and end <= self._clock.now():
            raise Unavailable
        return FileElsewhere(url)


def _is_on_its_way(copy: CopyRecord) -> bool:
    return copy.state is CopyState.WAITING and copy.error is None
