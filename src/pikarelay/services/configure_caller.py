"""Add, change and remove callers. On the command line they are called tenants."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from pikarelay.jobs.job import Caller
from pikarelay.services.ports import AccountsWatcher, Clock, Ids, Store

#: Whom things belong to when nobody else is named. Made when it is first needed.
DEFAULT_CALLER = "default"

_DELETED_AT_ONCE = 100


class CallerUnknown(Exception):
    """There is no caller of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no tenant {name}; `pikarelay tenant list` shows them.")


class CallerTaken(Exception):
    """There is a caller of that name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a tenant {name} already; `pikarelay tenant set` changes it.")


class CallerBusy(Exception):
    """A caller cannot be removed while its jobs execute: the bot works on them for its account. It gets no new ones any more."""

    def __init__(self, name: str, job_ids: Sequence[str]) -> None:
        super().__init__(
            f"{name} is not removed yet: its API tokens are revoked, and jobs of it still execute: {', '.join(job_ids)}."
            " Wait for their end, and try again."
        )


class Subscription(msgspec.Struct, frozen=True):
    """Whether a caller may have jobs, and until the end of which day (UTC). None: for ever."""

    is_there: bool = True
    until: datetime | None = None


class CallerOffice:
    """The callers' own records."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, watcher: AccountsWatcher | None = None) -> None:
        """`watcher` None: no server in this process; a server elsewhere notices by itself."""
        self._store = store
        self._clock = clock
        self._ids = ids
        self._watcher = watcher

    async def add(
        self, name: str, subscription: Subscription | None = None, reply_url: str | None = None
    ) -> Caller:
        """Make a caller. Raises `CallerTaken`."""
        if await self._store.caller_named(name) is not None:
            raise CallerTaken(name)
        subscription = subscription or Subscription()
        caller = Caller(
            caller_id=self._ids.job_id(),
            name=name,
            created=self._clock.now(),
            has_subscription=subscription.is_there,
            subscribed_until=subscription.until,
            reply_url=reply_url,
        )
        await self._store.add_caller(caller)
        return caller

    async def named(self, name: str = DEFAULT_CALLER) -> Caller:
        """Return the caller of that name; the default one is made when there is none. Raises `CallerUnknown`."""
        found = await self._store.caller_named(name)
        if found is not None:
            return found
        if name != DEFAULT_CALLER:
            raise CallerUnknown(name)
        return await self.add(name)

    async def subscribe(self, caller: Caller, subscription: Subscription) -> Caller:
        """Set whether, and until when, the caller may have jobs. Raises `CallerUnknown` when it is gone by now."""
        changed = await self._store.set_subscription(
            caller.caller_id, subscription.until, is_there=subscription.is_there
        )
        if changed is None:
            raise CallerUnknown(caller.name)
        return changed

    async def configure(self, caller: Caller, reply_url: str | None) -> Caller:
        """
        Set where callbacks go when a request names no `replyUrl`; None means nowhere.

        Raises `CallerUnknown` when the caller is gone by now.
        """
        changed = await self._store.set_reply_url(caller.caller_id, reply_url)
        if changed is None:
            raise CallerUnknown(caller.name)
        return changed

    async def remove(self, caller: Caller) -> int:
        """
        Remove a caller with all that is its own. Returns how many jobs that were. Raises `CallerBusy`.

        Refused or interrupted, it is gone on with by the next call: the tokens are revoked first, so that nothing new comes,
        and however busy the caller is, a later call gets through.
        """
        await self._store.revoke_api_tokens_of(caller.caller_id, self._clock.now())
        await self._check_idle(caller)
        count = await self._delete_final_jobs(caller)
        while not await self._store.remove_caller(caller.caller_id):
            await self._check_idle(caller)
        # Those of requests that had been let in before the tokens ended.
        count += await self._delete_final_jobs(caller)
        if self._watcher is not None:
            await self._watcher.accounts_changed()
        return count

    async def _check_idle(self, caller: Caller) -> None:
        executing = await self._store.executing(caller.caller_id)
        if executing:
            raise CallerBusy(caller.name, executing)

    async def _delete_final_jobs(self, caller: Caller) -> int:
        count, after = 0, ""
        while some := await self._store.final_jobs(caller.caller_id, after, _DELETED_AT_ONCE):
            await self._store.delete_jobs(some)
            count, after = count + len(some), some[-1]
        return count
