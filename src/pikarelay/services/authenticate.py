"""Who is calling."""

import hashlib
from datetime import datetime

from pikarelay.errors import SubscriptionExpired, Unauthorized
from pikarelay.jobs.job import Caller
from pikarelay.services.ports import Clock, Store


def token_digest(api_token: str) -> bytes:
    """
    Return what the store keeps of an API token.

    A plain SHA-256 does: the token holds 256 random bits, which neither a salt nor a slow hash could protect better.
    """
    return hashlib.sha256(api_token.encode("utf-8", "surrogatepass")).digest()


class Authenticator:
    """Turns API tokens into callers. The store is asked each time, so a revoked token ends with its next request."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def identify(self, api_token: str | None) -> Caller:
        """Return who holds the token. Raises `Unauthorized`, which never says why."""
        caller = None if not api_token else await self._store.caller_by_token(token_digest(api_token))
        if caller is None:
            raise Unauthorized
        return caller

    async def subscriber(self, api_token: str | None) -> Caller:
        """Return who holds the token and may submit and read jobs. Raises `Unauthorized`, then `SubscriptionExpired`."""
        caller = await self.identify(api_token)
        if not is_subscribed(caller, self._clock.now()):
            raise SubscriptionExpired
        return caller


def is_subscribed(caller: Caller, now: datetime) -> bool:
    """Whether the caller's subscription covers this moment; its last day counts to its end, in UTC."""
    if not caller.has_subscription:
        return False
    return caller.subscribed_until is None or now.date() <= caller.subscribed_until.date()
