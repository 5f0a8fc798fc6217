"""
The `pikarelay` command. A command parses, calls a service, prints.

Results go to stdout, everything else to stderr. Exit status: 0 success, 1 a refusal or a failed check in one line, 2 a
command line that cannot be understood.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import structlog
from cyclopts import App, Parameter

from pikarelay import __version__, logs
from pikarelay.bootstrap import Offices, Server, migrate_store, open_offices, open_server
from pikarelay.checks import examine
from pikarelay.contract.accounts import account_body, parse_account
from pikarelay.contract.bodies import encode, job_body
from pikarelay.contract.callbacks import (
    callback_body,
    parse_listing,
    parse_replay,
    replay_body,
    target_state,
)
from pikarelay.contract.urls import origin_of
from pikarelay.errors import ApiError
from pikarelay.jobs.job import Job
from pikarelay.services.issue_token import DEFAULT_CALLER
from pikarelay.services.keep_orphans import NotAssignable
from pikarelay.services.ports import Orphan
from pikarelay.settings import DECLARED, Settings, SettingsError
from pikarelay.store.migrations import SchemaOutdated
from pikarelay.store.vault import KeyUnusable, WrongKey

app = App(name="pikarelay", help="A self-hosted server that speaks the Pika API v1.", version=__version__)
token = App(name="token", help="Issue, list and revoke API tokens.")
account = App(name="account", help="Set up, list and remove Discord accounts.")
jobs = App(name="jobs", help="Look at jobs.")
orphans = App(
    name="orphans", help="Look at messages of the bot that were given to no caller, and give them away."
)
caller = App(name="caller", help="Change a caller's defaults.")
callbacks = App(name="callbacks", help="Look at callbacks and where they go, and send them again.")
for group in (token, account, jobs, caller, callbacks, orphans):
    app.command(group)

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """Which server's data a command works on."""

    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None
    "Settings file in TOML. Environment: PIKARELAY_CONFIG."

    data_folder: Path | None = None
    "Folder of the database, the root key and the uploads. Environment: PIKARELAY_DATA_FOLDER."


@app.command
def serve(
    *,
    where: Where | None = None,
    host: str | None = None,
    port: int | None = None,
    discord_api_url: str | None = None,
    discord_gateway_url: str | None = None,
    callbacks_allow: Annotated[
        tuple[str, ...], Parameter(name=["--callbacks-allow-networks", "--callbacks-allow"], negative="")
    ] = (),
    log_level: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    until_stdin_closes: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """
    Serve the API until told to stop.

    The first start makes the data folder and an API token, which is shown once.

    Parameters
    ----------
    host
        Address to bind; loopback unless set. Environment: PIKARELAY_HTTP_HOST.
    port
        Port to bind; 0 lets the system choose. Environment: PIKARELAY_HTTP_PORT.
    discord_api_url
        Base of Discord's REST API. Environment: PIKARELAY_DISCORD_API_URL.
    discord_gateway_url
        Address of Discord's Gateway, where Discord is not to be asked for it. Environment:
        PIKARELAY_DISCORD_GATEWAY_URL.
    callbacks_allow
        Network (CIDR) that callbacks may reach although it is not public; may be given several times. Environment:
        PIKARELAY_CALLBACKS_ALLOW_NETWORKS.
    log_level
        debug, info, warning or error. Environment: PIKARELAY_LOG_LEVEL.
    as_json
        Say in one line of JSON on stdout that the server is ready, and log in JSON.
    until_stdin_closes
        Stop at the end of stdin, so that nothing outlives a killed parent.
    """
    settings = _settings(
        where,
        {
            "http.host": host,
            "http.port": port,
            "discord.api_url": discord_api_url,
            "discord.gateway_url": discord_gateway_url,
            "callbacks.allow_networks": callbacks_allow or None,
            "log.level": log_level,
        },
    )
    logs.set_up(level=settings.log.level, as_json=as_json or settings.log.format == "json")
    _run(_serve(settings, as_json=as_json, until_stdin_closes=until_stdin_closes))


async def _serve(settings: Settings, *, as_json: bool, until_stdin_closes: bool) -> None:
    async with open_server(settings) as (server, offices):
        first_token = await offices.tokens.issue_first()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        if until_stdin_closes:
            _watch_stdin(loop, server.stop)
        await server.run(lambda: _announce(server, settings, first_token, as_json=as_json))


def _announce(server: Server, settings: Settings, first_token: str | None, *, as_json: bool) -> None:
    _log.info(
        "server.ready",
        url=server.url,
        callbacks_allow=[str(network) for network in settings.callbacks.allow_networks],
    )
    if as_json:
        ready = {"ready": True, "url": server.url}
        _print(json.dumps(ready if first_token is None else {**ready, "api_token": first_token}))
        return
    _print(f"pikarelay {__version__} answers on {server.url}. Ctrl-C stops it.")
    if first_token is not None:
        _print(f"Your API token, shown this once: {first_token}")


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        with contextlib.suppress(OSError):
            if os.read(descriptor, 4096):
                return
        loop.remove_reader(descriptor)
        stop()

    try:
        loop.add_reader(descriptor, readable)
    except OSError:
        # A file or /dev/null cannot be watched, and is at its end.
        stop()


@app.command
def migrate(*, where: Where | None = None) -> None:
    """Bring the database to the schema of this version. Safe to repeat; stop the server first."""
    _reporting(lambda: _print(migrate_store(_settings(where))))


@app.command
def check(*, where: Where | None = None) -> None:
    """Say what is wrong with settings, key, database and accounts, and what to do about it."""
    settings = _settings(where)
    findings = asyncio.run(examine(settings))
    for finding in findings:
        _print(f"{'ok  ' if finding.is_good else 'FAIL'}  {finding.text}")
        if finding.advice:
            _print(f"      {finding.advice}")
    sys.exit(0 if all(finding.is_good for finding in findings) else 1)


@app.command
def config(*, where: Where | None = None) -> None:
    """Show the settings in force, secrets masked."""
    settings = _settings(where)
    for declared in DECLARED:
        value = getattr(getattr(settings, declared.section), declared.key)
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        _print(f"{declared.name} = {'' if value is None else shown}")


@token.command(name="issue")
def issue_token(
    *, where: Where | None = None, for_caller: Annotated[str, Parameter(name="--caller")] = DEFAULT_CALLER
) -> None:
    """Make an API token and print it. It is shown this once."""

    async def issue(offices: Offices) -> None:
        _print(await offices.tokens.issue(for_caller))

    _in_offices(where, issue)


@token.command(name="list")
def list_tokens(*, where: Where | None = None) -> None:
    """List API tokens: id, caller, first characters, and whether they are revoked."""

    async def list_all(offices: Offices) -> None:
        names = {c.caller_id: c.name for c in await offices.store.callers()}
        for found in await offices.store.api_tokens():
            state = "revoked" if found.revoked else "valid"
            _print(f"{found.token_id}  {found.hint}  {state}  {names.get(found.caller_id, found.caller_id)}")

    _in_offices(where, list_all)


@token.command(name="revoke")
def revoke_token(token_id: str, /, *, where: Where | None = None) -> None:
    """Revoke the API token with this id. It ends with its next request."""

    async def revoke(offices: Offices) -> None:
        if not await offices.tokens.revoke(token_id):
            raise _Refusal(f"There is no valid token {token_id}; `pikarelay token list` shows them.")

    _in_offices(where, revoke)


@account.command(name="set")
def set_account(
    channel: str,
    /,
    *,
    where: Where | None = None,
    max_jobs: int = 10,
    for_caller: Annotated[str, Parameter(name="--caller")] = DEFAULT_CALLER,
) -> None:
    """
    Set up the account of a Discord channel. Its Discord token is read from stdin, or PIKARELAY_DISCORD_TOKEN.

    A token given as an argument would be seen by everybody on the machine, so there is no way to.
    """

    async def configure(offices: Offices) -> None:
        secret = os.environ.get("PIKARELAY_DISCORD_TOKEN") or _read_secret("Discord token: ")
        texts = {"discord": secret.strip(), "channel": channel, "maxJobs": str(max_jobs)}
        owner = await offices.tokens.caller(for_caller)
        await offices.accounts.configure(owner, parse_account(texts, channel))

    _in_offices(where, configure)


@account.command(name="list")
def list_accounts(*, where: Where | None = None) -> None:
    """List accounts, one line of JSON each, tokens masked."""

    async def list_all(offices: Offices) -> None:
        for found in await offices.store.accounts():
            _print(encode(account_body(found)).decode())

    _in_offices(where, list_all)


@account.command(name="remove")
def remove_account(
    channel: str,
    /,
    *,
    where: Where | None = None,
    for_caller: Annotated[str, Parameter(name="--caller")] = DEFAULT_CALLER,
) -> None:
    """Remove the account of a channel. Jobs under way keep the token they began with."""

    async def remove(offices: Offices) -> None:
        await offices.accounts.remove(await offices.tokens.caller(for_caller), channel)

    _in_offices(where, remove)


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

    _in_offices(where, configure)


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
            raise _Refusal("--rotate and --remove cannot both be meant.")
        if rotate:
            _print(await offices.callbacks.rotate_secret(owner))
        elif remove:
            _print(f"{await offices.callbacks.remove_secrets(owner)} removed")
        for kept in () if rotate or remove else await offices.callbacks.secrets(owner):
            until = "newest" if kept.expires is None else f"until {kept.expires.isoformat()}"
            _print(f"{kept.secret.masked}  made {kept.created.isoformat()}  {until}")

    _in_offices(where, change)


@callbacks.command(name="list")
def list_callbacks(
    *,
    where: Where | None = None,
    state: str = "",
    target: str = "",
    since: str = "",
    until: str = "",
    limit: int = 100,
) -> None:
    """List callbacks that are not delivered, newest first, one line of JSON each: state waiting, or dead."""

    async def list_all(offices: Offices) -> None:
        texts = {"state": state, "target": target, "since": since, "until": until, "limit": str(limit)}
        for found in await offices.callbacks.undelivered(*parse_listing(texts, None)):
            _print(encode(callback_body(found)).decode())

    _in_offices(where, list_all)


@callbacks.command(name="show")
def show_callback(job_id: str, /, *, where: Where | None = None) -> None:
    """Show a job's callback, how its target stands, and the log of its tries, as JSON."""

    async def show(offices: Offices) -> None:
        record, target, log = await offices.callbacks.show(job_id)
        shown = json.loads(encode(callback_body(record, target, log, datetime.now(UTC))))
        # ASCII only: a receiver's answer may hold what a terminal would obey.
        _print(json.dumps(shown, indent=2))

    _in_offices(where, show)


@callbacks.command(name="replay")
def replay_callbacks(
    job_id: str = "",
    /,
    *,
    where: Where | None = None,
    target: str = "",
    since: str = "",
    until: str = "",
) -> None:
    """
    Send one job's callback again, or all dead letters of a target, of a range of time, or of both.

    A server that runs finds them within five seconds.
    """

    async def replay(offices: Offices) -> None:
        texts = {"jobid": job_id, "target": target, "since": since, "until": until}
        meant = parse_replay(texts, None, datetime.now(UTC))
        if isinstance(meant, str):
            await offices.callbacks.replay(meant)
            _print(encode(replay_body([meant], {})).decode())
            return
        done = await offices.callbacks.replay_dead(meant)
        _print(encode(replay_body(done.replayed, done.refused)).decode())

    _in_offices(where, replay)


@callbacks.command(name="targets")
def callback_targets(
    *, where: Where | None = None, enable: str = "", disable: str = "", limit: int = 100
) -> None:
    """
    List where callbacks go and how that does, failing ones first, one line of JSON each; or switch a target.

    Parameters
    ----------
    enable
        Target to begin anew with, whatever happened.
    disable
        Target to send nothing to. What is due there becomes a dead letter.
    """

    async def switch(offices: Offices) -> None:
        for origin, on in ((disable, False), (enable, True)):
            if origin:
                await offices.callbacks.switch(origin_of(origin), on=on)
        for found in () if enable or disable else await offices.callbacks.targets(limit):
            shown = json.loads(encode(found))
            _print(json.dumps({"state": target_state(found, datetime.now(UTC)), **shown}))

    _in_offices(where, switch)


@jobs.command(name="list")
def list_jobs(*, where: Where | None = None, limit: int = 100) -> None:
    """List the newest jobs of all callers, newest first, one line of JSON each."""

    async def list_all(offices: Offices) -> None:
        for job in await offices.store.newest_jobs(limit):
            _print(json.dumps(_job_line(job)))

    _in_offices(where, list_all)


@jobs.command(name="show")
def show_job(job_id: str, /, *, where: Where | None = None) -> None:
    """Show one job as callers see it, what is known of its press, and its callback's log, as JSON."""

    async def show(offices: Offices) -> None:
        job = await offices.store.job(job_id)
        if job is None:
            raise _Refusal(f"There is no job {job_id}.")
        attempts = await offices.store.attempts(job_id)
        shown = {
            "job": json.loads(encode(job_body(job))),
            "press": json.loads(encode(job.press)),
            "callback": [json.loads(encode(attempt)) for attempt in attempts],
        }
        _print(json.dumps(shown, indent=2, ensure_ascii=False))

    _in_offices(where, show)


@orphans.command(name="list")
def list_orphans(*, where: Where | None = None, channel: str | None = None) -> None:
    """List messages that came too late or could be about several jobs, oldest first, one line of JSON each."""

    async def list_all(offices: Offices) -> None:
        for orphan in await offices.store.orphans(channel):
            _print(json.dumps(_orphan_line(orphan), ensure_ascii=False))

    _in_offices(where, list_all)


@orphans.command(name="show")
def show_orphan(orphan: str, /, *, where: Where | None = None) -> None:
    """Show one such message, by its id, with all that Discord said of it, as JSON."""

    async def show(offices: Offices) -> None:
        found = await offices.store.orphan(orphan)
        if found is None:
            raise _Refusal(f"There is no orphan {orphan}; `pikarelay orphans list` shows them.")
        shown = {**_orphan_line(found), "message": json.loads(encode(found.message))}
        _print(json.dumps(shown, indent=2, ensure_ascii=False))

    _in_offices(where, show)


@orphans.command(name="assign")
def assign_orphan(orphan: str, job_id: str, /, *, where: Where | None = None) -> None:
    """Say that the message is about this job, which it completes. A job that has ended stays as it is."""

    async def assign(offices: Offices) -> None:
        job = await offices.orphans.assign(orphan, job_id)
        _print(json.dumps(_job_line(job)))

    _in_offices(where, assign)


def _orphan_line(orphan: Orphan) -> dict[str, Any]:
    return {
        "orphan": orphan.message.id,
        "channel": orphan.message.channel_id,
        "seen": orphan.seen.isoformat(),
        "kind": orphan.message.kind.value,
        "reason": orphan.reason.value,
        "candidates": orphan.candidates,
        "content": orphan.message.content,
        "attachments": [attachment.url for attachment in orphan.message.attachments],
    }


def _job_line(job: Job) -> dict[str, Any]:
    return {
        "jobid": job.job_id,
        "verb": job.verb.value,
        "status": job.status.value,
        "channel": job.channel,
        "created": job.created.isoformat(),
    }


def main() -> None:
    """Run the command line."""
    app()


class _Refusal(Exception):
    """A command cannot do what it was asked; the message says why, in one line."""


def _settings(where: Where | None, flags: dict[str, Any] | None = None) -> Settings:
    where = where or Where()
    folder = None if where.data_folder is None else str(where.data_folder)
    file = where.config or os.environ.get("PIKARELAY_CONFIG")

    def load() -> Settings:
        text = Path(file).read_text(encoding="utf-8") if file else ""
        return Settings.load(os.environ, text, {"store.data_folder": folder, **(flags or {})})

    return _reporting(load)


def _in_offices(where: Where | None, work: Callable[[Offices], Awaitable[None]]) -> None:
    settings = _settings(where)
    logs.set_up(level="warning", as_json=False)

    async def inside() -> None:
        async with open_offices(settings) as offices:
            await work(offices)

    _run(inside())


def _run(work: Any) -> None:
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop

    def run() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(work)

    _reporting(run)


def _reporting(work: Callable[[], T]) -> T:
    """Run it, and turn what an operator can mend into one line and status 1."""
    try:
        return work()
    except SettingsError as error:
        _fail("\n".join(error.problems), status=2)
    except ApiError as error:
        _fail(error.message)
    except (_Refusal, NotAssignable, KeyUnusable, WrongKey, SchemaOutdated) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _fail(line: str, status: int = 1) -> NoReturn:
    sys.stderr.write(line + "\n")
    sys.exit(status)


def _read_secret(prompt: str) -> str:
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(prompt)
    return sys.stdin.readline()


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
