"""Make, list and revoke API tokens."""

from collections.abc import Callable

from pikarelay.jobs.api_tokens import RANDOM_BYTES, format_token, hint
from pikarelay.jobs.job import Caller
from pikarelay.services.authenticate import token_digest
from pikarelay.services.ports import ApiToken, Clock, Ids, Store

#: Whom tokens belong to when nobody else is named.
DEFAULT_CALLER = "default"


class TokenOffice:
    """Hands out API tokens. A token is returned once, here, and kept as a digest."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._random_bytes = random_bytes

    async def issue(self, caller_name: str = DEFAULT_CALLER) -> str:
        """Return a new token for the caller of that name, who is made when there is none yet."""
        caller = await self.caller(caller_name)
        token = format_token(self._random_bytes(RANDOM_BYTES))
        record = ApiToken(
            token_id=self._ids.job_id(),
            caller_id=caller.caller_id,
            hint=hint(token),
            created=self._clock.now(),
        )
        await self._store.add_api_token(record, token_digest(token))
        return token

    async def issue_first(self) -> str | None:
        """Return a token when none was ever made, so that a new server can be used; None otherwise."""
        return None if await self._store.api_tokens() else await self.issue()

    async def revoke(self, token_id: str) -> bool:
        """Revoke a token by its id. False when there is no such token, or it is revoked already."""
        return await self._store.revoke_api_token(token_id, self._clock.now())

    async def caller(self, name: str = DEFAULT_CALLER) -> Caller:
        """Return the caller of that name, made when there is none yet."""
        for caller in await self._store.callers():
            if caller.name == name:
                return caller
        caller = Caller(caller_id=self._ids.job_id(), name=name, created=self._clock.now())
        await self._store.add_caller(caller)
        return caller
