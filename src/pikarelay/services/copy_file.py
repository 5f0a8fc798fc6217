"""Copy one result to the mirror: one try, and what follows from it."""

import asyncio
import logging
from collections.abc import Callable

import structlog

from pikarelay.jobs.mirror import CopyRecord, KeptCopy, next_try
from pikarelay.services.board import Board
from pikarelay.services.ports import Clock, CopyFailed, CopyOutcome, FileSource, Mirror, Store
from pikarelay.services.refresh_links import LinkRefresher

_log = structlog.get_logger(__name__)


class FileCopier:
    """Carries out tries that were claimed from the store. No more than a piece of a file is in memory."""

    def __init__(
        self,
        store: Store,
        links: LinkRefresher,
        source: FileSource,
        mirror: Mirror,
        board: Board,
        clock: Clock,
        draw: Callable[[], float],
        *,
        total_seconds: float,
    ) -> None:
        self._store = store
        self._links = links
        self._source = source
        self._mirror = mirror
        self._board = board
        self._clock = clock
        #: Returns a random number in [0, 1), which spreads the retries.
        self._draw = draw
        #: For one try from beginning to end, however it drips.
        self._total_seconds = total_seconds

    async def copy(self, copy: CopyRecord) -> None:
        """Try once, write down how it went, and wake who waits for it."""
        outcome = await self._outcome(copy)
        await self._store.finish_copy(copy.name, copy.attempt, outcome)
        self._board.copy_tried(copy.name)
        _log.log(
            _level(outcome),
            "copy.attempted",
            job_id=copy.job_id,
            # Not its name, which is all that it takes to read it.
            number=copy.number,
            attempt=copy.attempt,
            size=None if outcome.kept is None else outcome.kept.size,
            error=outcome.error,
            given_up=outcome.kept is None and outcome.retry_at is None,
        )

    async def _outcome(self, copy: CopyRecord) -> CopyOutcome:
        try:
            async with asyncio.timeout(self._total_seconds):
                return CopyOutcome(kept=await self._make(copy))
        except CopyFailed as failure:
            return self._failed(copy, str(failure), is_final=failure.is_final)
        except TimeoutError:
            return self._failed(copy, f"It was not done within {self._total_seconds:g} seconds.")

    async def _make(self, copy: CopyRecord) -> KeptCopy:
        job = None if copy.job_id is None else await self._store.job(copy.job_id)
        if job is None or copy.number >= len(job.attachments):
            raise CopyFailed("Its job is gone.", is_final=True)
        fresh = await self._links.fresh(job)
        async with self._source.open(fresh.attachments[copy.number].url) as download:
            await self._mirror.put(copy.name, download)
            return KeptCopy(mirror=self._mirror.name, size=download.size, media_type=download.media_type)

    def _failed(self, copy: CopyRecord, error: str, *, is_final: bool = False) -> CopyOutcome:
        retry_at = None if is_final else next_try(copy.begun, self._clock.now(), self._draw())
        return CopyOutcome(retry_at=retry_at, error=error)


def _level(outcome: CopyOutcome) -> int:
    return logging.INFO if outcome.error is None else logging.WARNING
