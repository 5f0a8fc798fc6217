"""Callers and their API tokens in memory."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from msgspec.structs import replace

from pikarelay.jobs.job import Caller
from pikarelay.services.ports import ApiToken, Holder
from pikarelay.store.rules import AlreadyThere

T = TypeVar("T")


class FakeCallers:
    """The part of a `Store` that knows who may ask."""

    def __init__(self) -> None:
        super().__init__()
        self.kept_callers: dict[str, Caller] = {}
        self.kept_tokens: dict[str, tuple[ApiToken, bytes]] = {}
        #: How often it was asked whose a token is, and told when tokens were used.
        self.asked_for_holders = 0
        self.noted_uses = 0

    async def holder(self, digest: bytes) -> Holder | None:
        await asyncio.sleep(0)
        self.asked_for_holders += 1
        for token, its in self.kept_tokens.values():
            if its == digest and token.revoked is None and token.caller_id in self.kept_callers:
                return Holder(token, self.kept_callers[token.caller_id])
        return None

    async def add_caller(self, caller: Caller) -> None:
        await asyncio.sleep(0)
        if any(kept.name == caller.name for kept in self.kept_callers.values()):
            raise AlreadyThere(caller.name)
        _add(self.kept_callers, caller.caller_id, caller)

    async def set_reply_url(self, caller_id: str, reply_url: str | None) -> Caller | None:
        return await self._change_caller(caller_id, reply_url=reply_url)

    async def set_subscription(
        self, caller_id: str, until: datetime | None, *, is_there: bool
    ) -> Caller | None:
        return await self._change_caller(caller_id, has_subscription=is_there, subscribed_until=until)

    async def _change_caller(self, caller_id: str, **fields: Any) -> Caller | None:
        await asyncio.sleep(0)
        if caller_id not in self.kept_callers:
            return None
        self.kept_callers[caller_id] = replace(self.kept_callers[caller_id], **fields)
        return self.kept_callers[caller_id]

    async def callers(self) -> tuple[Caller, ...]:
        await asyncio.sleep(0)
        return tuple(sorted(self.kept_callers.values(), key=lambda c: (c.created, c.caller_id)))

    async def caller_named(self, name: str) -> Caller | None:
        await asyncio.sleep(0)
        return next((kept for kept in self.kept_callers.values() if kept.name == name), None)

    async def add_api_token(self, token: ApiToken, digest: bytes) -> None:
        await asyncio.sleep(0)
        if any(its == digest for _, its in self.kept_tokens.values()):
            raise AlreadyThere(token.token_id)
        _add(self.kept_tokens, token.token_id, (token, digest))

    async def add_first_api_token(self, caller: Caller, token: ApiToken, digest: bytes) -> bool:
        await asyncio.sleep(0)
        if self.kept_tokens:
            return False
        named = next((kept for kept in self.kept_callers.values() if kept.name == caller.name), caller)
        self.kept_callers[named.caller_id] = named
        self.kept_tokens[token.token_id] = (replace(token, caller_id=named.caller_id), digest)
        return True

    async def api_tokens(self) -> tuple[ApiToken, ...]:
        await asyncio.sleep(0)
        tokens = (token for token, _ in self.kept_tokens.values())
        return tuple(sorted(tokens, key=lambda t: (t.created, t.token_id)))

    async def revoke_api_token(self, token_id: str, now: datetime) -> bool:
        await asyncio.sleep(0)
        if token_id not in self.kept_tokens:
            return False
        token, digest = self.kept_tokens[token_id]
        if token.revoked is not None:
            return False
        self.kept_tokens[token_id] = (replace(token, revoked=now), digest)
        return True

    async def revoke_api_tokens_of(self, caller_id: str, now: datetime) -> int:
        its = [token.token_id for token, _ in self.kept_tokens.values() if token.caller_id == caller_id]
        return sum([await self.revoke_api_token(token_id, now) for token_id in its])

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        await asyncio.sleep(0)
        self.noted_uses += 1
        for token_id in uses.keys() & self.kept_tokens.keys():
            token, digest = self.kept_tokens[token_id]
            if token.last_used is None or token.last_used < uses[token_id]:
                self.kept_tokens[token_id] = (replace(token, last_used=uses[token_id]), digest)


def _add(kept: dict[str, T], key: str, value: T) -> None:
    if key in kept:
        raise AlreadyThere(key)
    kept[key] = value
