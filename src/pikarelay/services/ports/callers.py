"""Callers, their API tokens and their accounts, as they are kept."""

from datetime import datetime
from typing import Protocol

import msgspec

from pikarelay.jobs.job import Account, Caller


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token as it is listed: never the token itself."""

    token_id: str
    caller_id: str
    #: Its first characters, to tell tokens apart.
    hint: str
    created: datetime
    revoked: datetime | None = None


class CallerStore(Protocol):
    """Who may ask, and on which accounts."""

    async def caller_by_token(self, digest: bytes) -> Caller | None:
        """Return who holds the (not revoked) API token with this SHA-256 digest."""
        ...

    async def add_caller(self, caller: Caller) -> None: ...

    async def put_caller(self, caller: Caller) -> None:
        """Create or replace."""
        ...

    async def callers(self) -> tuple[Caller, ...]: ...

    async def add_api_token(self, token: ApiToken, digest: bytes) -> None: ...

    async def api_tokens(self) -> tuple[ApiToken, ...]: ...

    async def revoke_api_token(self, token_id: str, now: datetime) -> bool:
        """Revoke at once. False when there is no such token, or it is revoked already."""
        ...

    async def put_account(self, account: Account) -> None:
        """Create or replace the caller's account on that channel."""
        ...

    async def account(self, caller_id: str, channel: str) -> Account | None: ...

    async def accounts(self, caller_id: str | None = None) -> tuple[Account, ...]:
        """Return one caller's accounts, or all, by channel."""
        ...

    async def delete_account(self, caller_id: str, channel: str) -> bool: ...
