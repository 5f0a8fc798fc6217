"""Who is calling, and what for."""

import hashlib
from datetime import datetime
from typing import NamedTuple

from pikarelay.errors import ScopeMissing, SubscriptionExpired, TooManyGuesses, Unauthorized
from pikarelay.jobs.api_tokens import Scope, is_well_formed
from pikarelay.jobs.guesses import Guesses
from pikarelay.jobs.job import Caller
from pikarelay.services.ports import Clock, Holder, Store


class Credentials(NamedTuple):
    """What a request says of who sends it."""

    #: None: none, or nothing that could be one.
    api_token: str | None
    #: Of whoever made the connection, which may be a proxy. Empty where there is none.
    address: str = ""


def token_digest(api_token: str) -> bytes:
    """
    Return what the store keeps of an API token.

    A plain SHA-256 does: the token holds 256 random bits, which neither a salt nor a slow hash could protect better.
    """
    return hashlib.sha256(api_token.encode("utf-8", "surrogatepass")).digest()


class Authenticator:
    """
    Turns API tokens into callers. The store is asked each time, so a revoked token ends with its next request.

    It is not asked about a text whose checksum is wrong: that is no token of ours, whatever the store has.
    Failures are counted by address. A token that could be valid is looked up all the same, so that nobody who has one is
    ever locked out.
    When a token was last used is remembered here, for `keep_uses` to write it down later: no request waits for that.
    """

    def __init__(self, store: Store, clock: Clock, guesses: Guesses) -> None:
        self._store = store
        self._clock = clock
        self._guesses = guesses
        #: When each token was used since the last `keep_uses`, by id.
        self._uses: dict[str, datetime] = {}

    async def identify(self, credentials: Credentials, scope: Scope | None = None) -> Caller:
        """
        Return who holds the token. `scope` None: a token made for anything will do.

        Raises `Unauthorized`, which never says why, or `TooManyGuesses` in its place; then `ScopeMissing`.
        """
        holder = await self._holder(credentials.api_token)
        now = self._clock.now()
        if holder is None or holder.token.has_expired(now):
            wait = self._guesses.failed(credentials.address, self._clock.elapsed())
            raise Unauthorized if wait is None else TooManyGuesses(wait)
        self._uses[holder.token.token_id] = now
        if scope is not None and scope not in holder.token.scopes:
            raise ScopeMissing(scope.value)
        return holder.caller

    async def _holder(self, api_token: str | None) -> Holder | None:
        if api_token is None or not is_well_formed(api_token):
            return None
        return await self._store.holder(token_digest(api_token))

    async def administrator(self, credentials: Credentials) -> Caller:
        """Return who holds the token and may change what jobs run with. Raises what `identify` raises."""
        return await self.identify(credentials, Scope.ADMINISTER)

    async def subscriber(self, credentials: Credentials) -> Caller:
        """Return who holds the token and may submit and read jobs. Raises what `identify` raises, then `SubscriptionExpired`."""
        caller = await self.identify(credentials, Scope.USE)
        if not is_subscribed(caller, self._clock.now()):
            raise SubscriptionExpired
        return caller

    async def keep_uses(self) -> None:
        """Write down when tokens were used. Uses that cannot be written now are kept for the next time."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self._store.note_uses(uses)
        except BaseException:
            self._uses = {**uses, **self._uses}
            raise


def is_subscribed(caller: Caller, now: datetime) -> bool:
    """Whether the caller's subscription covers this moment; its last day counts to its end, in UTC."""
    if not caller.has_subscription:
        return False
    return caller.subscribed_until is None or now.date() <= caller.subscribed_until.date()
