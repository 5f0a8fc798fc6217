"""`pikarelay token`: what callers show to be let in."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import App, Parameter

from pikarelay.bootstrap.offices import Offices
from pikarelay.cli.frame import Refusal, Where, in_offices, say
from pikarelay.jobs.api_tokens import EVERY_SCOPE, Scope
from pikarelay.services.configure_caller import DEFAULT_CALLER
from pikarelay.services.ports import ApiToken

token = App(name="token", help="Add, list and revoke API tokens.")

_LONGEST = timedelta(days=36_500)


@token.command(name="add")
def add_token(
    *,
    where: Where | None = None,
    tenant: str = DEFAULT_CALLER,
    scope: Annotated[list[Scope] | None, Parameter(negative="", consume_multiple=True)] = None,
    days: int | None = None,
) -> None:
    """
    Make an API token of a tenant and print it. It is shown this once.

    Parameters
    ----------
    scope
        What it is good for: `use` for jobs, `administer` for accounts and defaults. Both, unless given.
    days
        How many days it is valid. For ever, unless given.
    """

    async def add(offices: Offices) -> None:
        owner = await offices.callers.named(tenant)
        say(await offices.tokens.issue(owner, frozenset(scope) if scope else EVERY_SCOPE, _end(days)))

    in_offices(where, add)


@token.command(name="list")
def list_tokens(*, where: Where | None = None, tenant: str = "") -> None:
    """
    List API tokens: id, first characters, state, scopes, last day, when last used (to the minute), tenant.

    Parameters
    ----------
    tenant
        Only the tokens of this one.
    """

    async def list_all(offices: Offices) -> None:
        names = {c.caller_id: c.name for c in await offices.store.callers()}
        if tenant:
            owner = await offices.callers.named(tenant)
            names = {owner.caller_id: owner.name}
        now = datetime.now(UTC)
        for found in await offices.store.api_tokens():
            if found.caller_id in names:
                say(f"{_line(found, now)}  {names[found.caller_id]}")

    in_offices(where, list_all)


@token.command(name="revoke")
def revoke_token(token_id: str, /, *, where: Where | None = None) -> None:
    """Revoke the API token with this id. It ends with its next request."""

    async def revoke(offices: Offices) -> None:
        if not await offices.tokens.revoke(token_id):
            raise Refusal(f"There is no valid token {token_id}; `pikarelay token list` shows them.")

    in_offices(where, revoke)


def state_of(found: ApiToken, now: datetime) -> str:
    """Return `revoked`, `expired` or `valid`."""
    if found.revoked is not None:
        return "revoked"
    return "expired" if found.has_expired(now) else "valid"


def _line(found: ApiToken, now: datetime) -> str:
    scopes = "+".join(sorted(scope.value for scope in found.scopes))
    end = "no end" if found.expires is None else f"until {found.expires:%Y-%m-%d}"
    used = "not used" if found.last_used is None else f"used {found.last_used:%Y-%m-%dT%H:%MZ}"
    return f"{found.token_id}  {found.hint}  {state_of(found, now)}  {scopes}  {end}  {used}"


def _end(days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 1 <= days <= _LONGEST.days:
        raise Refusal(f"--days must be between 1 and {_LONGEST.days}.")
    return datetime.now(UTC) + timedelta(days=days)
