"""Make, list and revoke API tokens."""

from collections.abc import Callable
from datetime import datetime

from pikarelay.jobs.api_tokens import EVERY_SCOPE, RANDOM_BYTES, Scope, format_token, hint
from pikarelay.jobs.job import Caller
from pikarelay.services.authenticate import token_digest
from pikarelay.services.configure_caller import DEFAULT_CALLER
from pikarelay.services.ports import ApiToken, Clock, Ids, Store


class TokenOffice:
    """Hands out API tokens. A token is returned once, here, and kept as a digest."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._random_bytes = random_bytes

    async def issue(
        self, caller: Caller, scopes: frozenset[Scope] = EVERY_SCOPE, expires: datetime | None = None
    ) -> str:
        """Return a new token of the caller."""
        token, record = self._new(caller, scopes, expires)
        await self._store.add_api_token(record, token_digest(token))
        return token

    async def issue_first(self) -> str | None:
        """
        Return a token when there is none at all, so that a new server can be used; None otherwise.

        Of several servers that start together, one gets it.
        """
        if await self._store.api_tokens():
            return None
        caller = Caller(caller_id=self._ids.job_id(), name=DEFAULT_CALLER, created=self._clock.now())
        token, record = self._new(caller)
        is_first = await self._store.add_first_api_token(caller, record, token_digest(token))
        return token if is_first else None

    async def revoke(self, token_id: str) -> bool:
        """Revoke a token by its id. False when there is no such token, or it is revoked already."""
        return await self._store.revoke_api_token(token_id, self._clock.now())

    def _new(
        self, caller: Caller, scopes: frozenset[Scope] = EVERY_SCOPE, expires: datetime | None = None
    ) -> tuple[str, ApiToken]:
        token = format_token(self._random_bytes(RANDOM_BYTES))
        record = ApiToken(
            token_id=self._ids.job_id(),
            caller_id=caller.caller_id,
            hint=hint(token),
            created=self._clock.now(),
            scopes=scopes,
            expires=expires,
        )
        return token, record
