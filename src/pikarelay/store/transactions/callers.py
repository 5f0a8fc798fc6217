"""Callers, their API tokens and their accounts."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from pikarelay.errors import Unauthorized
from pikarelay.jobs.job import Account, Caller
from pikarelay.services.ports import ApiToken, Holder, News
from pikarelay.store import rows
from pikarelay.store.rules import AlreadyThere
from pikarelay.store.transactions.form import Transaction, announce
from pikarelay.store.transactions.vault import opened
from pikarelay.store.vault import Vault

_NOTHING: Final[Mapping[tuple[object, ...], Account]] = MappingProxyType({})


def holder(digest: bytes) -> Transaction[Holder | None]:
    found = yield "holder", {"digest": digest}
    return rows.holder_from(found[0]) if found else None


def add_caller(caller: Caller) -> Transaction[None]:
    if not (yield "add_caller", rows.caller_params(caller)):
        raise AlreadyThere(f"caller {caller.caller_id}")


def set_reply_url(caller_id: str, reply_url: str | None) -> Transaction[Caller | None]:
    changed = yield "set_reply_url", {"this_caller": caller_id, "reply_url": reply_url}
    return rows.caller_from(changed[0]) if changed else None


def set_subscription(caller_id: str, until: datetime | None, *, is_there: bool) -> Transaction[Caller | None]:
    its = {"has_subscription": is_there, "subscribed_until": rows.to_ms_or_none(until)}
    changed = yield "set_subscription", {"this_caller": caller_id, **its}
    return rows.caller_from(changed[0]) if changed else None


def callers() -> Transaction[tuple[Caller, ...]]:
    return tuple(map(rows.caller_from, (yield "callers", {})))


def caller_named(name: str) -> Transaction[Caller | None]:
    found = yield "caller_named", {"name": name}
    return rows.caller_from(found[0]) if found else None


def remove_caller(caller_id: str) -> Transaction[bool]:
    its = {"caller_id": caller_id}
    yield "lock_caller", its
    if (yield "executing", its):
        return False
    for statement in ("remove_api_tokens", "remove_accounts", "remove_callback_secrets", "remove_caller"):
        yield statement, its
    yield announce(News.ACCOUNTS)
    return True


def add_api_token(token: ApiToken, digest: bytes) -> Transaction[None]:
    if not (yield "add_api_token", rows.api_token_params(token, digest)):
        raise AlreadyThere(f"API token {token.token_id}")


def add_first_api_token(caller: Caller, token: ApiToken, digest: bytes) -> Transaction[bool]:
    yield "add_caller", rows.caller_params(caller)
    # That one, or who was there before.
    found = yield "lock_caller_named", {"name": caller.name}
    if not found or (yield "api_tokens", {}):
        return False
    yield from add_api_token(replace(token, caller_id=found[0][0]), digest)
    return True


def api_tokens() -> Transaction[tuple[ApiToken, ...]]:
    return tuple(map(rows.api_token_from, (yield "api_tokens", {})))


def revoke_api_token(token_id: str, now: datetime) -> Transaction[bool]:
    revoked = yield "revoke_api_token", {"this_token": token_id, "now": rows.to_ms(now)}
    return bool(revoked)


def revoke_api_tokens_of(caller_id: str, now: datetime) -> Transaction[int]:
    return len((yield "revoke_api_tokens_of", {"this_caller": caller_id, "now": rows.to_ms(now)}))


def note_uses(uses: Mapping[str, datetime]) -> Transaction[None]:
    # In one order everywhere: two servers that note the same tokens must not wait for each other in a circle.
    for token_id, used in sorted(uses.items()):
        yield "note_use", {"this_token": token_id, "used": rows.to_ms(used)}


# Accounts


def put_account(account: Account, vault: Vault) -> Transaction[None]:
    if not (yield "keep_caller", {"caller_id": account.caller_id}):
        raise Unauthorized
    yield "put_account", rows.account_params(account, vault)
    yield announce(News.ACCOUNTS, channel=account.channel)


def account(caller_id: str, channel: str, vault: Vault) -> Transaction[Account | None]:
    found = yield "account", {"caller_id": caller_id, "channel": channel}
    accounts = yield from opened(rows.account_from, found, vault)
    return accounts[0] if accounts else None


def accounts(
    caller_id: str | None, vault: Vault, known: Mapping[tuple[object, ...], Account] = _NOTHING
) -> Transaction[dict[tuple[object, ...], Account]]:
    """
    Return each account by its row, as it is sealed.

    `known` has accounts by their rows: one that has not changed needs not be unsealed again.
    """
    if caller_id is None:
        found = yield "accounts", {}
    else:
        found = yield "accounts_of_caller", {"caller_id": caller_id}
    its = [tuple(row) for row in found]
    new = [row for row in its if row not in known]
    opened_now = dict(zip(new, (yield from opened(rows.account_from, new, vault)), strict=True))
    return {row: opened_now[row] if row in opened_now else known[row] for row in its}


def delete_account(caller_id: str, channel: str) -> Transaction[bool]:
    deleted = yield "delete_account", {"caller_id": caller_id, "channel": channel}
    yield announce(News.ACCOUNTS, channel=channel)
    return bool(deleted)
