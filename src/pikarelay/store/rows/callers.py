"""Callers, their API tokens and their accounts."""

import functools

from pikarelay.jobs.api_tokens import Scope
from pikarelay.jobs.job import (
    Account,
    Caller,
)
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import ApiToken, Holder
from pikarelay.store.rows.columns import Params, Row, from_ms, from_ms_or_none, to_ms, to_ms_or_none
from pikarelay.store.vault import Vault


def caller_params(caller: Caller) -> Params:
    return {
        "caller_id": caller.caller_id,
        "name": caller.name,
        "created": to_ms(caller.created),
        "subscribed_until": to_ms_or_none(caller.subscribed_until),
        "has_subscription": caller.has_subscription,
        "reply_url": caller.reply_url,
    }


def caller_from(row: Row) -> Caller:
    caller_id, name, created, subscribed_until, has_subscription, reply_url = row
    return Caller(
        caller_id=caller_id,
        name=name,
        created=from_ms(created),
        subscribed_until=from_ms_or_none(subscribed_until),
        has_subscription=bool(has_subscription),
        reply_url=reply_url,
    )


def api_token_params(token: ApiToken, digest: bytes) -> Params:
    return {
        "token_id": token.token_id,
        "digest": digest,
        "caller_id": token.caller_id,
        "hint": token.hint,
        "created": to_ms(token.created),
        "revoked": to_ms_or_none(token.revoked),
        "scopes": " ".join(sorted(scope.value for scope in token.scopes)),
        "expires": to_ms_or_none(token.expires),
        "last_used": to_ms_or_none(token.last_used),
    }


def api_token_from(row: Row) -> ApiToken:
    token_id, caller_id, hint, created, revoked, scopes, expires, last_used = row
    return ApiToken(
        token_id=token_id,
        caller_id=caller_id,
        hint=hint,
        created=from_ms(created),
        revoked=from_ms_or_none(revoked),
        scopes=_scopes_from(scopes),
        expires=from_ms_or_none(expires),
        last_used=from_ms_or_none(last_used),
    )


def holder_from(row: Row) -> Holder:
    return Holder(api_token_from(row[:_TOKEN_COLUMNS]), caller_from(row[_TOKEN_COLUMNS:]))


#: What `api_token_from` takes.
_TOKEN_COLUMNS = 8


@functools.cache
def _scopes_from(text: str) -> frozenset[Scope]:
    return frozenset(map(Scope, text.split()))


# Accounts


def account_place(caller_id: str, channel: str) -> str:
    """Return what an account's secret is bound to."""
    # The length keeps `a` on `b/c` apart from `a/b` on `c`.
    return f"{len(caller_id)}/{caller_id}/{channel}"


def account_params(account: Account, vault: Vault) -> Params:
    row = account_place(account.caller_id, account.channel)
    return {
        "caller_id": account.caller_id,
        "channel": account.channel,
        "discord_token": vault.seal(account.discord_token.reveal(), "accounts", row, "discord_token"),
        "max_jobs": account.max_jobs,
        "updated": to_ms(account.updated),
    }


def account_from(row: Row, vault: Vault) -> Account:
    caller_id, channel, sealed, max_jobs, updated = row
    place = account_place(caller_id, channel)
    return Account(
        caller_id=caller_id,
        channel=channel,
        discord_token=vault.secret(sealed, "accounts", place, "discord_token"),
        max_jobs=max_jobs,
        updated=from_ms(updated),
    )


def account_token(row: Row, vault: Vault) -> Secret:
    """Return the token of a row that has an account's caller, channel and sealed token."""
    caller_id, channel, sealed = row
    return vault.secret(sealed, "accounts", account_place(caller_id, channel), "discord_token")
