"""Callers, their API tokens and their accounts, as they are kept."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from pikarelay.jobs.api_tokens import EVERY_SCOPE, Scope
from pikarelay.jobs.job import Account, Caller


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token as it is listed: never the token itself."""

    token_id: str
    caller_id: str
    #: Its first characters, to tell tokens apart.
    hint: str
    created: datetime
    revoked: datetime | None = None
    scopes: frozenset[Scope] = EVERY_SCOPE
    #: From then on it is nobody's. None: never.
    expires: datetime | None = None
    #: To the minute. None: never, as far as is known.
    last_used: datetime | None = None

    def has_expired(self, now: datetime) -> bool:
        return self.expires is not None and self.expires <= now


class Holder(NamedTuple):
    """What a request's API token leads to."""

    token: ApiToken
    caller: Caller


class CallerStore(Protocol):
    """Who may ask, and on which accounts."""

    async def holder(self, digest: bytes) -> Holder | None:
        """Return the (not revoked, maybe expired) API token with this SHA-256 digest, and whose it is."""
        ...

    async def add_caller(self, caller: Caller) -> None:
        """Raises `AlreadyThere` when there is a caller of that name, or of that id."""
        ...

    async def set_reply_url(self, caller_id: str, reply_url: str | None) -> Caller | None:
        """Change this of a caller and nothing else, and return it as it is now. None, and nothing is done, when it is gone."""
        ...

    async def set_subscription(
        self, caller_id: str, until: datetime | None, *, is_there: bool
    ) -> Caller | None:
        """Change this of a caller and nothing else, and return it as it is now. None, and nothing is done, when it is gone."""
        ...

    async def callers(self) -> tuple[Caller, ...]: ...

    async def caller_named(self, name: str) -> Caller | None: ...

    async def remove_caller(self, caller_id: str) -> bool:
        """Remove a caller with tokens, accounts and signing secrets. False, and nothing is done, while jobs of it execute."""
        ...

    async def final_jobs(self, caller_id: str, after: str, limit: int) -> tuple[str, ...]:
        """Return the next of a caller's final jobs, by id, from the one behind `after` on."""
        ...

    async def delete_jobs(self, job_ids: Sequence[str]) -> None:
        """Delete those of them that are final, with all that hangs on them."""
        ...

    async def add_api_token(self, token: ApiToken, digest: bytes) -> None: ...

    async def add_first_api_token(self, caller: Caller, token: ApiToken, digest: bytes) -> bool:
        """
        Add a token of the caller of that name, who is made if there is none. False, and no token, when there is any by then.

        Of several at once one is added.
        """
        ...

    async def api_tokens(self) -> tuple[ApiToken, ...]: ...

    async def revoke_api_token(self, token_id: str, now: datetime) -> bool:
        """Revoke at once. False when there is no such token, or it is revoked already."""
        ...

    async def revoke_api_tokens_of(self, caller_id: str, now: datetime) -> int:
        """Revoke all of a caller's tokens at once. Returns how many were not revoked before."""
        ...

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        """Note when tokens were last used, by their ids. One that is not there, or was used later, is left alone."""
        ...

    async def put_account(self, account: Account) -> None:
        """Create or replace the caller's account on that channel. Raises `Unauthorized` when the caller is gone by now."""
        ...

    async def account(self, caller_id: str, channel: str) -> Account | None: ...

    async def accounts(self, caller_id: str | None = None) -> tuple[Account, ...]:
        """Return one caller's accounts, or all, by channel."""
        ...

    async def delete_account(self, caller_id: str, channel: str) -> bool: ...
