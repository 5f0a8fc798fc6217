"""`pikarelay token` and `caller`: who may call, and what belongs to them."""

from typing import Annotated

from cyclopts import App, Parameter

from pikarelay.bootstrap import Offices
from pikarelay.cli.frame import Refusal, Where, in_offices, say
from pikarelay.services.issue_token import DEFAULT_CALLER

token = App(name="token", help="Issue, list and revoke API tokens.")
caller = App(name="caller", help="Change a caller's defaults.")


@token.command(name="issue")
def issue_token(
    *, where: Where | None = None, for_caller: Annotated[str, Parameter(name="--caller")] = DEFAULT_CALLER
) -> None:
    """Make an API token and print it. It is shown this once."""

    async def issue(offices: Offices) -> None:
        say(await offices.tokens.issue(for_caller))

    in_offices(where, issue)


@token.command(name="list")
def list_tokens(*, where: Where | None = None) -> None:
    """List API tokens: id, caller, first characters, and whether they are revoked."""

    async def list_all(offices: Offices) -> None:
        names = {c.caller_id: c.name for c in await offices.store.callers()}
        for found in await offices.store.api_tokens():
            state = "revoked" if found.revoked else "valid"
            say(f"{found.token_id}  {found.hint}  {state}  {names.get(found.caller_id, found.caller_id)}")

    in_offices(where, list_all)


@token.command(name="revoke")
def revoke_token(token_id: str, /, *, where: Where | None = None) -> None:
    """Revoke the API token with this id. It ends with its next request."""

    async def revoke(offices: Offices) -> None:
        if not await offices.tokens.revoke(token_id):
            raise Refusal(f"There is no valid token {token_id}; `pikarelay token list` shows them.")

    in_offices(where, revoke)


@caller.command(name="set")
def set_caller(
    name: str = DEFAULT_CALLER,
    /,
    *,
    where: Where | None = None,
    reply_url: str = "",
) -> None:
    """Set where a caller's callbacks go when a request names no replyUrl; empty for nowhere."""

    async def configure(offices: Offices) -> None:
        await offices.callers.configure(await offices.tokens.caller(name), reply_url or None)

    in_offices(where, configure)


@caller.command(name="secret")
def caller_secret(
    name: str = DEFAULT_CALLER,
    /,
    *,
    where: Where | None = None,
    rotate: Annotated[bool, Parameter(negative="")] = False,
    remove: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """
    Show whether a caller's callbacks are signed, and change what with.

    Parameters
    ----------
    rotate
        Make a new secret, shown this once. The one before it stays in use for 24 hours beside it.
    remove
        Forget all secrets: callbacks are signed no more.
    """

    async def change(offices: Offices) -> None:
        owner = await offices.tokens.caller(name)
        if rotate and remove:
            raise Refusal("--rotate and --remove cannot both be meant.")
        if rotate:
            say(await offices.callbacks.rotate_secret(owner))
        elif remove:
            say(f"{await offices.callbacks.remove_secrets(owner)} removed")
        for kept in () if rotate or remove else await offices.callbacks.secrets(owner):
            until = "newest" if kept.expires is None else f"until {kept.expires.isoformat()}"
            say(f"{kept.secret.masked}  made {kept.created.isoformat()}  {until}")

    in_offices(where, change)
