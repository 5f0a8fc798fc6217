"""Remove copies whose job is gone, and forget those that will never be made."""

from collections.abc import Sequence

import structlog

from pikarelay.jobs.mirror import CopyRecord
from pikarelay.services.ports import CopyFailed, Mirror, Store

_log = structlog.get_logger(__name__)

_AT_ONCE = 100


class CopyPruner:
    """One round of it, whenever called."""

    def __init__(self, store: Store, mirror: Mirror | None, *, removes: bool) -> None:
        self._store = store
        self._mirror = mirror
        #: Whether copies go with their job. They stay, and can be read, otherwise.
        self._removes = removes

    async def __call__(self) -> int:
        """Return how many were removed. What cannot be removed now is left for the next round."""
        try:
            return await self._prune()
        except CopyFailed as failure:
            _log.warning("copy.not_removed", reason=str(failure))
            return 0

    async def _prune(self) -> int:
        removed = 0
        # Without a mirror nothing can be removed, so what is there is remembered.
        with_done = self._removes and self._mirror is not None
        while some := await self._store.abandoned_copies(_AT_ONCE, with_done=with_done):
            removed += await self._remove(some)
            await self._store.forget_copies([copy.name for copy in some])
        if self._mirror is not None:
            await self._mirror.tidy()
        return removed

    async def _remove(self, copies: Sequence[CopyRecord]) -> int:
        if self._mirror is None:
            return 0
        # One that was never finished may have left something all the same; another mirror's are not ours to look for.
        ours = [copy.name for copy in copies if copy.kept is None or copy.kept.mirror == self._mirror.name]
        await self._mirror.remove(ours)
        return len(ours)
