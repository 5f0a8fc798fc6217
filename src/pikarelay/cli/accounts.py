"""`pikarelay account`: the Discord set-ups of channels."""

import os

from cyclopts import App

from pikarelay.bootstrap.offices import Offices
from pikarelay.cli.frame import (
    Where,
    in_offices,
    read_secret,
    say,
)
from pikarelay.contract.accounts import account_health_body, parse_account
from pikarelay.contract.bodies import encode
from pikarelay.errors import Unauthorized
from pikarelay.services.configure_caller import DEFAULT_CALLER, CallerUnknown

account = App(name="account", help="Set up, list and remove Discord accounts.")


@account.command(name="set")
def set_account(
    channel: str,
    /,
    *,
    where: Where | None = None,
    max_jobs: int = 10,
    tenant: str = DEFAULT_CALLER,
) -> None:
    """
    Set up the account of a Discord channel. Its Discord token is read from stdin, or PIKARELAY_DISCORD_TOKEN.

    A token given as an argument would be seen by everybody on the machine, so there is no way to.
    """

    async def configure(offices: Offices) -> None:
        secret = os.environ.get("PIKARELAY_DISCORD_TOKEN") or read_secret("Discord token: ")
        texts = {"discord": secret.strip(), "channel": channel, "maxJobs": str(max_jobs)}
        owner = await offices.callers.named(tenant)
        try:
            await offices.accounts.configure(owner, parse_account(texts, channel))
        except Unauthorized:
            # Removed while the token was typed, say.
            raise CallerUnknown(tenant) from None

    in_offices(where, configure)


@account.command(name="list")
def list_accounts(*, where: Where | None = None) -> None:
    """List accounts, one line of JSON each, tokens masked, with how each fares at Discord and what to do about it."""

    async def list_all(offices: Offices) -> None:
        for account, health in await offices.health.of_all():
            say(encode(account_health_body(account, health)).decode())

    in_offices(where, list_all)


@account.command(name="remove")
def remove_account(
    channel: str,
    /,
    *,
    where: Where | None = None,
    tenant: str = DEFAULT_CALLER,
) -> None:
    """Remove the account of a channel. Jobs under way keep the token they began with."""

    async def remove(offices: Offices) -> None:
        await offices.accounts.remove(await offices.callers.named(tenant), channel)

    in_offices(where, remove)
