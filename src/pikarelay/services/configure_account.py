"""Set up, list and remove a caller's accounts."""

from pikarelay.errors import ConfigurationNotFound, InvalidValue
from pikarelay.jobs.job import Account, Caller
from pikarelay.jobs.requests import AccountRequest
from pikarelay.services.ports import AccountsWatcher, Clock, Store


class AccountOffice:
    """Accounts, each the Discord set-up of one channel."""

    def __init__(self, store: Store, clock: Clock, watcher: AccountsWatcher | None = None) -> None:
        """`watcher` None: no server in this process; a server elsewhere notices by itself."""
        self._store = store
        self._clock = clock
        self._watcher = watcher

    async def configure(self, caller: Caller, request: AccountRequest) -> None:
        """
        Create the account of the request's channel, or replace it. Jobs under way keep the token they began with.

        Raises `InvalidValue` when another channel of the caller has the same token: its limit would be counted twice.
        """
        for other in await self._store.accounts(caller.caller_id):
            if other.channel != request.channel and other.discord_token == request.discord_token:
                raise InvalidValue(f"Channel {other.channel} configuration has same discord value")
        account = Account(
            caller_id=caller.caller_id,
            channel=request.channel,
            discord_token=request.discord_token,
            max_jobs=request.max_jobs,
            updated=self._clock.now(),
        )
        await self._store.put_account(account)
        await self._tell()

    async def read(self, caller: Caller, channel: str) -> Account:
        """Raises `ConfigurationNotFound`."""
        account = await self._store.account(caller.caller_id, channel)
        if account is None:
            raise ConfigurationNotFound
        return account

    async def read_all(self, caller: Caller) -> tuple[Account, ...]:
        """Raises `ConfigurationNotFound` when there is none."""
        accounts = await self._store.accounts(caller.caller_id)
        if not accounts:
            raise ConfigurationNotFound
        return accounts

    async def _tell(self) -> None:
        if self._watcher is not None:
            await self._watcher.accounts_changed()

    async def remove(self, caller: Caller, channel: str) -> None:
        """Raises `ConfigurationNotFound`."""
        if not await self._store.delete_account(caller.caller_id, channel):
            raise ConfigurationNotFound
        await self._tell()
