"""Account set-ups, and the caller's own record: what callers send as JSON, and what they are shown."""

from collections.abc import Mapping

import msgspec

from pikarelay.contract.bodies import iso_time
from pikarelay.contract.requests import REPLY_LIMIT, header_safe, is_channel_id, utf16_length
from pikarelay.contract.urls import is_deliverable
from pikarelay.errors import InvalidValue, TooLong
from pikarelay.jobs.health import AccountHealth
from pikarelay.jobs.job import Account, Caller
from pikarelay.jobs.requests import AccountRequest
from pikarelay.jobs.secret import Secret

#: More parallel jobs than that no account of the bot ever had.
MAX_JOBS_LIMIT = 10

ACCOUNT_FIELDS = frozenset({"discord", "channel", "maxJobs"})
CALLER_FIELDS = frozenset({"replyUrl"})


class AccountBody(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its owner sees it: nothing reads the token back."""

    channel: str
    discord: str
    max_jobs: int = msgspec.field(name="maxJobs")


def account_body(account: Account) -> AccountBody:
    return AccountBody(
        channel=account.channel, discord=account.discord_token.masked, max_jobs=account.max_jobs
    )


class AccountHealthBody(AccountBody, frozen=True, omit_defaults=True, kw_only=True):
    """An account and how it fares. An extension of this server."""

    #: `ready`, `connecting`, `offline`, `paused`, `blocked`, `captcha`, `token_invalid` or `gateway_refused`.
    state: str
    #: What a person has to know or do; absent while nothing is wrong.
    reason: str = ""
    #: When a pause ends.
    until: str | None = None


class AccountHealthListBody(msgspec.Struct, frozen=True):
    """Accounts, and how each fares."""

    accounts: tuple[AccountHealthBody, ...]


def account_health_body(account: Account, health: AccountHealth) -> AccountHealthBody:
    return AccountHealthBody(
        **msgspec.structs.asdict(account_body(account)),
        state=health.state.value,
        reason=health.reason,
        until=None if health.until is None else iso_time(health.until),
    )


class CallerBody(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The caller's own record. There is no e-mail address: this server knows callers by name."""

    created: str
    name: str
    verified: bool
    #: Last day of the subscription as YYMMDD, UTC; absent when it has no end.
    sub: str | None = None
    reply_url: str | None = msgspec.field(name="replyUrl", default=None)


def caller_body(caller: Caller, *, with_reply_url: bool = True) -> CallerBody:
    """Return the record; `/v1/account` never had the `replyUrl`."""
    until = caller.subscribed_until
    return CallerBody(
        created=iso_time(caller.created),
        name=caller.name,
        verified=True,
        sub=f"{until:%y%m%d}" if until else None,
        reply_url=caller.reply_url if with_reply_url else None,
    )


def parse_reply_url(texts: Mapping[str, str]) -> str | None:
    """Return the default `replyUrl` to set; empty means none. Raises the contract's refusals."""
    reply_url = texts.get("replyUrl") or None
    if reply_url is None:
        return None
    if utf16_length(reply_url) > REPLY_LIMIT:
        raise TooLong("replyUrl")
    if not is_deliverable(reply_url):
        raise InvalidValue("replyUrl is not a valid URL")
    return reply_url


def parse_account(texts: Mapping[str, str], path_channel: str) -> AccountRequest:
    """Return the set-up for `/pika/account/<path_channel>`, or raise the first of the contract's refusals."""
    token, channel = texts.get("discord", ""), texts.get("channel", "")
    if not token:
        raise _missing("discord")
    if not channel:
        raise _missing("channel")
    if not is_channel_id(channel):
        raise InvalidValue(f"Required param channel ({channel[:64]}) is not valid Discord channel id")
    if channel != path_channel:
        raise InvalidValue(
            f"Required param channel ({channel}) not matching to /pika/account/{path_channel[:64]}"
        )
    return AccountRequest(
        channel=channel,
        discord_token=Secret(header_safe(token)),
        max_jobs=_max_jobs(texts.get("maxJobs", "")),
    )


def _max_jobs(text: str) -> int:
    digits = text.lstrip("0") if text.isascii() and text.isdecimal() else ""
    if not digits:
        raise _missing("maxJobs")
    # By its length first: a number of any length would take its time, or be refused by Python itself.
    if len(digits) > len(str(MAX_JOBS_LIMIT)) or int(digits) > MAX_JOBS_LIMIT:
        # The contract's own words, "that" included: clients may compare them.
        raise InvalidValue(f"Required param maxJobs {text[:18]} can't be more that {MAX_JOBS_LIMIT}")
    return int(digits)


def _missing(name: str) -> InvalidValue:
    return InvalidValue(f"Required param {name} is missing or empty")
