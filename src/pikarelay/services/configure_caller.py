"""Change what belongs to a caller as a whole."""

import msgspec

from pikarelay.jobs.job import Caller
from pikarelay.services.ports import Store


class CallerOffice:
    """The callers' own records."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def configure(self, caller: Caller, reply_url: str | None) -> Caller:
        """Set where callbacks go when a request names no `replyUrl`; None means nowhere."""
        changed = msgspec.structs.replace(caller, reply_url=reply_url)
        await self._store.put_caller(changed)
        return changed
