"""
What `pikarelay check` looks at, in the order in which things have to be right. Floor 4.

Every finding is a sentence on what is the case, and where that is not good, one on what to do. Nothing is changed, and an
account's token is shown to Discord once.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec

from pikarelay.bootstrap.mirror import open_mirror
from pikarelay.bootstrap.node import discord_session
from pikarelay.bootstrap.stores import database_url, open_store
from pikarelay.errors import Unavailable
from pikarelay.jobs.job import Account
from pikarelay.jobs.secret import UNREADABLE
from pikarelay.settings import Settings, SettingsError
from pikarelay.settings.mirror import Bucket, MirrorSettings
from pikarelay.store.migrations import (
    DatabaseUnreachable,
    SchemaOutdated,
    can_serve_meanwhile,
    place_of,
    schema_state,
    sqlite_path,
)
from pikarelay.store.migrations.state import SchemaState
from pikarelay.store.root_key import KeyUnusable, WrongKey
from pikarelay.store.sqlite_file import DatabaseDamaged, check_structure
from pikarelay.store.vault import DataKeyDamaged

_PATIENCE = aiohttp.ClientTimeout(total=10)


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    is_good: bool
    text: str
    #: What to do. Empty when all is good.
    advice: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything that can be looked at without changing it."""
    findings = [Finding(True, "The settings can be used.")]
    async with discord_session(settings.discord) as session:
        findings.append(await _discord(settings, session))
        findings += [finding async for finding in _store(settings, session)]
    if settings.mirror.target is not None:
        findings.append(await _mirror(settings.mirror, settings.mirror.target))
    return findings


async def _discord(settings: Settings, session: aiohttp.ClientSession) -> Finding:
    url = f"{settings.discord.api_url}/gateway"
    try:
        async with session.get(url, timeout=_PATIENCE, allow_redirects=False) as answer:
            if answer.status == 200:
                return Finding(True, f"Discord answers at {settings.discord.api_url}.")
            said = f"it answers HTTP status {answer.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        said = str(error) or type(error).__name__
    return Finding(
        False,
        f"Discord does not answer at {settings.discord.api_url}: {said}.",
        "Check the network and discord.api_url; a local Discord is started with `localdiscord serve`.",
    )


def _is_missing(target: Path | Bucket) -> bool:
    return isinstance(target, Path) and not target.exists()


async def _mirror(settings: MirrorSettings, target: Path | Bucket) -> Finding:
    if _is_missing(target):
        return Finding(True, f"The mirror's folder {target} is made when the server starts.")
    try:
        async with open_mirror(settings) as mirror:
            problem = None if mirror is None else await mirror.problem()
    except OSError as error:
        problem = f"The mirror cannot be opened: {error.filename}: {error.strerror}."
    if problem is None:
        return Finding(True, f"Results can be copied to {target}.")
    return Finding(False, problem, "Check the mirror's settings; until then links lead to Discord.")


async def _store(settings: Settings, session: aiohttp.ClientSession) -> AsyncIterator[Finding]:
    schema = await _schema(settings)
    yield schema
    if not schema.is_good:
        return
    try:
        async with open_store(settings) as store:
            tokens = [token for token in await store.api_tokens() if token.revoked is None]
            accounts = await store.accounts()
    except (KeyUnusable, WrongKey) as error:
        yield Finding(False, str(error), "Put back the root key that the database was made with.")
        return
    except DataKeyDamaged as error:
        yield Finding(False, str(error))
        return
    except Unavailable:
        yield Finding(False, "The database cannot be opened.", "Check its owner, mode and disk.")
        return
    yield Finding(True, "The root key opens the database.")
    yield _tokens(len(tokens))
    if not accounts:
        yield Finding(True, "No account is set up: requests have to bring discord and channel themselves.")
    for finding in await asyncio.gather(*(_account(settings, session, account) for account in accounts)):
        yield finding


async def _schema(settings: Settings) -> Finding:
    try:
        url = database_url(settings)
        place, path = place_of(url), sqlite_path(url)
        if path is not None and not path.exists():
            return Finding(
                False,
                f"There is no database at {place}.",
                "`pikarelay serve` or `pikarelay migrate` makes it.",
            )
        state = await asyncio.to_thread(schema_state, url)
        if path is not None:
            await asyncio.to_thread(check_structure, path)
    except SettingsError as error:
        return Finding(False, f"The database is not known: {error}.", "Mend store.database_file.")
    except DatabaseDamaged as error:
        return Finding(False, str(error))
    except DatabaseUnreachable as error:
        return Finding(False, str(error), "Start it, and check that this machine reaches it.")
    return _of_schema(state, url)


def _of_schema(state: SchemaState, url: str) -> Finding:
    place = place_of(url)
    if state.is_current:
        return Finding(True, f"The database {place} is whole, and has the schema that this version needs.")
    if state.is_usable:
        return Finding(
            True,
            f"The database {place} is whole. Its schema ({state.current}) is newer than this version's ({state.needed}),"
            " and serves it.",
        )
    said = str(SchemaOutdated(state, url))
    if state.is_ahead:
        return Finding(False, said)
    if can_serve_meanwhile(state):
        return Finding(False, said, "Servers of the version before can go on meanwhile.")
    return Finding(False, said, "Stop all servers first.")


def _tokens(count: int) -> Finding:
    if count:
        return Finding(True, f"{count} API {'token is' if count == 1 else 'tokens are'} valid.")
    return Finding(False, "No API token is valid.", "`pikarelay token add` makes one.")


async def _account(settings: Settings, session: aiohttp.ClientSession, account: Account) -> Finding:
    name = f"The account of channel {account.channel} ({account.discord_token.masked})"
    if not account.discord_token.is_readable:
        return Finding(
            False, f"{name}: {UNREADABLE}.", f"Set it again: `pikarelay account set {account.channel}`."
        )
    headers = {"Authorization": account.discord_token.reveal()}
    url = f"{settings.discord.api_url}/channels/{account.channel}/messages?limit=1"
    try:
        async with session.get(url, headers=headers, timeout=_PATIENCE, allow_redirects=False) as answer:
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as error:
        return Finding(False, f"{name} could not be checked: {str(error) or type(error).__name__}.")
    if status == 200:
        return Finding(True, f"{name} can read its channel.")
    advice = {
        401: f"Its Discord token is not valid: `pikarelay account set {account.channel}` with a new one.",
        403: "It may not read the channel, or Discord wants a person to log in with the official client.",
        404: "The channel does not exist, or is not its own.",
    }
    return Finding(
        False,
        f"{name} cannot read its channel: HTTP status {status}.",
        advice.get(status, "Try again later."),
    )
