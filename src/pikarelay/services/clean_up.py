"""
Delete what nobody is promised any more: old jobs with all that hangs on them, old keys, and files and copies without a job.

Files go last: those of the jobs that have just gone have no job by then. A file that was finished a moment ago may belong to
a request whose job is not committed yet, so the young ones are left alone.
"""

from datetime import timedelta

import structlog

from pikarelay.services.ports import KEY_LIFETIME, Clock, Store, UploadKeeper
from pikarelay.services.prune_copies import CopyPruner

_log = structlog.get_logger(__name__)

#: Longer than any request takes from its last byte to its job.
_GRACE = timedelta(hours=1)
_FILES_AT_ONCE = 512


class CleanUp:
    """One round of it, whenever called."""

    def __init__(
        self,
        store: Store,
        uploads: UploadKeeper,
        clock: Clock,
        keep_for: timedelta,
        prune_copies: CopyPruner,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._clock = clock
        #: After its last change a final job is kept for that long.
        self._keep_for = keep_for
        self._prune_copies = prune_copies

    async def __call__(self) -> None:
        now = self._clock.now()
        jobs = await self._store.prune(now - self._keep_for)
        keys = await self._store.prune_keys(now - KEY_LIFETIME)
        files = await self._remove_orphans()
        # Last, for they may be far away.
        copies = await self._prune_copies()
        if jobs or keys or files or copies:
            _log.info("store.cleaned_up", jobs=jobs, keys=keys, files=files, copies=copies)

    async def _remove_orphans(self) -> int:
        found = await self._uploads.finished_before(self._clock.now() - _GRACE)
        removed = 0
        for start in range(0, len(found), _FILES_AT_ONCE):
            some = found[start : start + _FILES_AT_ONCE]
            known = await self._store.known_uploads(some)
            orphans = [key for key in some if key not in known]
            await self._uploads.remove(orphans)
            removed += len(orphans)
        return removed
