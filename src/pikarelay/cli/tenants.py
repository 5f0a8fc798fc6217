"""`pikarelay tenant`: who may call, until when, and what belongs to them."""

import json
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from pikarelay.bootstrap.offices import Offices
from pikarelay.cli.frame import Refusal, Where, in_offices, say
from pikarelay.cli.tokens import state_of
from pikarelay.contract.accounts import parse_reply_url
from pikarelay.jobs.job import Caller
from pikarelay.services.authenticate import is_subscribed
from pikarelay.services.configure_caller import DEFAULT_CALLER, Subscription

tenant = App(name="tenant", help="Add, list, change and remove tenants: those who hold API tokens.")

_NO_END, _NONE = "unlimited", "none"


@tenant.command(name="add")
def add_tenant(
    name: str, /, *, where: Where | None = None, subscription: str = _NO_END, reply_url: str = ""
) -> None:
    """
    Add a tenant. It has its own jobs, accounts, capacity and callbacks, and nobody else sees them.

    Parameters
    ----------
    subscription
        Its last day (UTC) as YYYY-MM-DD, `unlimited`, or `none`.
    reply_url
        Where callbacks go when a request names no replyUrl; empty for nowhere.
    """

    async def add(offices: Offices) -> None:
        address = parse_reply_url({"replyUrl": reply_url})
        await offices.callers.add(_name(name), _subscription(subscription), address)
        say(f"There is a tenant {name} now; `pikarelay token add --tenant {name}` makes its API token.")

    in_offices(where, add)


@tenant.command(name="list")
def list_tenants(*, where: Where | None = None) -> None:
    """List tenants, one line each: name, subscription, where callbacks go by default."""

    async def list_all(offices: Offices) -> None:
        for found in await offices.store.callers():
            say(f"{found.name}  {_words(found)}  {found.reply_url or 'no callbacks by default'}")

    in_offices(where, list_all)


@tenant.command(name="show")
def show_tenant(name: str = DEFAULT_CALLER, /, *, where: Where | None = None) -> None:
    """Show a tenant with its tokens, accounts and executing jobs, as JSON. Secrets are masked."""

    async def show(offices: Offices) -> None:
        found = await offices.callers.named(name)
        tokens = [t for t in await offices.store.api_tokens() if t.caller_id == found.caller_id]
        now = datetime.now(UTC)
        shown = {
            "name": found.name,
            "created": found.created.isoformat(),
            "subscription": _words(found),
            "maySubmit": is_subscribed(found, now),
            "replyUrl": found.reply_url,
            "callbacksAreSigned": bool(await offices.callbacks.secrets(found)),
            "tokens": [{"id": t.token_id, "hint": t.hint, "state": state_of(t, now)} for t in tokens],
            "accounts": [
                {"channel": a.channel, "discord": a.discord_token.masked, "maxJobs": a.max_jobs}
                for a in await offices.store.accounts(found.caller_id)
            ],
            "executing": list(await offices.store.executing(found.caller_id)),
        }
        say(json.dumps(shown, indent=2, ensure_ascii=False))

    in_offices(where, show)


@tenant.command(name="set")
def set_tenant(
    name: str = DEFAULT_CALLER,
    /,
    *,
    where: Where | None = None,
    subscription: str | None = None,
    reply_url: str | None = None,
) -> None:
    """
    Change what is given, and nothing else.

    Parameters
    ----------
    subscription
        Its last day (UTC) as YYYY-MM-DD, `unlimited`, or `none`.
    reply_url
        Where callbacks go when a request names no replyUrl; empty for nowhere.
    """

    async def change(offices: Offices) -> None:
        # Both are looked at before one is changed.
        meant = None if subscription is None else _subscription(subscription)
        address = parse_reply_url({"replyUrl": reply_url or ""})
        found = await offices.callers.named(name)
        if meant is not None:
            found = await offices.callers.subscribe(found, meant)
        if reply_url is not None:
            await offices.callers.configure(found, address)

    in_offices(where, change)


@tenant.command(name="remove")
def remove_tenant(name: str, /, *, where: Where | None = None) -> None:
    """
    Remove a tenant with its tokens, accounts, signing secrets, jobs, and callbacks that are not delivered yet.

    While jobs of it execute, only its tokens are revoked, so that no others follow: call it again after their end.
    """

    async def remove(offices: Offices) -> None:
        jobs = await offices.callers.remove(await offices.callers.named(name))
        say(f"{name} is removed, and {jobs} {'job' if jobs == 1 else 'jobs'} of it.")

    in_offices(where, remove)


@tenant.command(name="secret")
def tenant_secret(
    name: str = DEFAULT_CALLER,
    /,
    *,
    where: Where | None = None,
    rotate: Annotated[bool, Parameter(negative="")] = False,
    remove: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """
    Show whether a tenant's callbacks are signed, and change what with.

    Parameters
    ----------
    rotate
        Make a new secret, shown this once. The one before it stays in use for 24 hours beside it.
    remove
        Forget all secrets: callbacks are signed no more.
    """

    async def change(offices: Offices) -> None:
        owner = await offices.callers.named(name)
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


def _name(text: str) -> str:
    """Return the name, if it can be one: it stands in lists, one line for each tenant."""
    if not text or len(text) > 64 or not text.isprintable() or text != text.strip():
        raise Refusal("A tenant's name is 1 to 64 printable characters, with no space at its ends.")
    return text


def _subscription(text: str) -> Subscription:
    if text in {_NO_END, _NONE}:
        return Subscription(text == _NO_END)
    try:
        return Subscription(until=datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC))
    except ValueError:
        raise Refusal(
            f"--subscription is its last day as YYYY-MM-DD, or `{_NO_END}`, or `{_NONE}`."
        ) from None


def _words(found: Caller) -> str:
    if not found.has_subscription:
        return "no subscription"
    until = found.subscribed_until
    return "subscribed, no end" if until is None else f"subscribed until {until:%Y-%m-%d}"
