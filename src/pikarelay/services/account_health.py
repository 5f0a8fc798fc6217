"""How accounts fare at Discord, for those who own them or look after the server."""

from collections.abc import Sequence
from datetime import timedelta

from pikarelay.errors import ConfigurationNotFound
from pikarelay.jobs.health import AccountHealth, HealthState
from pikarelay.jobs.job import Account, Caller
from pikarelay.services.ports import Clock, Store

#: What nobody has seen for as long is no server's: each writes every minute.
_FRESH = timedelta(minutes=3)
_NOBODYS = AccountHealth(state=HealthState.OFFLINE, reason="No server looks after this account right now.")


class HealthOffice:
    """Tells how accounts fare."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def of_all(self) -> list[tuple[Account, AccountHealth]]:
        """Return every account of every caller, and how it fares."""
        return await self._with_health(await self._store.accounts())

    async def of_caller(self, caller: Caller) -> list[tuple[Account, AccountHealth]]:
        """Return the caller's accounts, and how each fares. Raises `ConfigurationNotFound` when there is none."""
        accounts = await self._store.accounts(caller.caller_id)
        if not accounts:
            raise ConfigurationNotFound
        return await self._with_health(accounts)

    async def _with_health(self, accounts: Sequence[Account]) -> list[tuple[Account, AccountHealth]]:
        seen = await self._store.health(self._clock.now() - _FRESH)
        return [(account, seen.get(account.discord_token.digest, _NOBODYS)) for account in accounts]
