"""What has to be done to a database that is as it was some time ago, however it was put back, before a server works on it."""

from collections.abc import Callable

from pikarelay.bootstrap.stores import database_url, open_store
from pikarelay.jobs.job import Job, PressPhase
from pikarelay.jobs.lifecycle import Failed
from pikarelay.services.board import Board
from pikarelay.services.ports import ApiToken, Sign
from pikarelay.services.record_event import EventRecorder
from pikarelay.settings import Settings
from pikarelay.store.backup import BackupRefused
from pikarelay.store.migrations import sqlite_path
from pikarelay.store.presence import announce
from pikarelay.store.sql import SqlStore
from pikarelay.system import SystemClock, SystemIds


async def settle_store(settings: Settings, say: Callable[[str], None], *, revoke_tokens: bool) -> None:
    """Settle the configured database, which was put back by its own means. Raises `BackupRefused` while a server is at work on it."""
    path = sqlite_path(database_url(settings))
    if path is not None and not path.exists():
        raise BackupRefused(f"There is no database at {path}.")
    if path is None:
        async with open_store(settings) as store:
            if any(node.is_in_time and node.sign is Sign.PRESENT for node in await store.members()):
                raise _at_work()
            found = await settled(store, revoke_tokens=revoke_tokens)
    else:
        with announce(path) as presence:
            if not presence.is_alone:
                raise _at_work()
            async with open_store(settings) as store:
                found = await settled(store, revoke_tokens=revoke_tokens)
    for line in found or ["Nothing had to be done."]:
        say(line)


async def settled(store: SqlStore, *, revoke_tokens: bool) -> list[str]:
    """
    Fail the jobs that were not sent yet, and return what an operator has to know and to do, a line each.

    The servers that worked on the database may have sent them since. A press costs its caller a video, and is never repeated.
    """
    failed = await _fail_unsent(store)
    lines = []
    if failed:
        lines.append(
            f"{failed} {'job' if failed == 1 else 'jobs'} had not been sent to Discord by then. Whether that happened"
            " afterwards nobody knows, so they have failed; nothing is pressed twice."
        )
    if (line := await _tokens(store, revoke_tokens=revoke_tokens)) is not None:
        lines.append(line)
    lines += [
        f"The token of channel {account.channel} cannot be read: `pikarelay account set {account.channel}`."
        for account in await store.accounts()
        if not account.discord_token.is_readable
    ]
    return lines


async def _fail_unsent(store: SqlStore) -> int:
    clock = SystemClock()
    recorder = EventRecorder(store, Board(), clock, SystemIds(clock.now))

    def unknown(job: Job) -> Failed | None:
        is_unsent = job.press.phase is PressPhase.WAITING and not job.is_final
        return Failed(error="Outcome of the press is unknown") if is_unsent else None

    failed = [await recorder.decide(job.job_id, unknown) for job in await store.unfinished()]
    return sum(job is not None for job in failed)


async def _tokens(store: SqlStore, *, revoke_tokens: bool) -> str | None:
    now = SystemClock().now()

    def is_valid(token: ApiToken) -> bool:
        return token.revoked is None and not token.has_expired(now)

    valid = [token for token in await store.api_tokens() if is_valid(token)]
    count = f"{len(valid)} API {'token' if len(valid) == 1 else 'tokens'}"
    if not valid:
        return None
    if revoke_tokens:
        for token in valid:
            await store.revoke_api_token(token.token_id, now)
        return f"{count} {'was' if len(valid) == 1 else 'were'} revoked: `pikarelay token add` makes others."
    return (
        f"{count} {'is' if len(valid) == 1 else 'are'} valid. What was revoked since is valid again, and tenants that were"
        " removed or whose subscription was ended since are back: look at `pikarelay token list` and `pikarelay tenant list`,"
        " or revoke all tokens with `pikarelay settle --revoke-tokens` before a server starts."
    )


def _at_work() -> BackupRefused:
    return BackupRefused("A server is at work on the database. End all servers first.")
