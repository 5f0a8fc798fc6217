"""
What the services need from the outside, as Protocols. Adapters on floor 3 provide them; fakes in the tests do too.

Each method of `Store` is one transaction: when it returns, what it wrote survives a power cut; when it raises,
nothing was written.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import msgspec

from pikarelay.jobs.breaker import Health
from pikarelay.jobs.callbacks import (
    CallbackAttempt,
    CallbackFilter,
    CallbackRecord,
    Target,
    Trigger,
)
from pikarelay.jobs.job import Account, Caller, Job, Upload
from pikarelay.jobs.messages import BotMessage
from pikarelay.jobs.requests import RequestKey
from pikarelay.jobs.secret import Secret


class Clock(Protocol):
    """The time, and a pause. The tests' clock moves when it is told to."""

    def now(self) -> datetime:
        """Return the time in UTC, to the millisecond."""
        ...

    async def sleep(self, delay: timedelta) -> None: ...


class Ids(Protocol):
    """Fresh identifiers."""

    def job_id(self) -> str:
        """Return a new job's id: URL-safe, unguessable, sortable by time."""
        ...

    def callback_id(self) -> str:
        """Return a new callback's id, which it keeps for every try."""
        ...

    def nonce(self) -> str:
        """Return a snowflake for an interaction, strictly greater than the one before."""
        ...


# The store


class CallbackDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as it becomes due: rendered once, so that every try sends the same bytes."""

    callback_id: str
    job_id: str
    #: The origin of `url`; its callbacks are tried one after the other.
    target: str
    url: str
    body: bytes
    #: The clock's time, not the job's: a job's `updated` never goes back, but a clock that was wrong does.
    due: datetime


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that somebody has claimed, to try it now."""

    callback_id: str
    job_id: str
    url: str
    body: bytes
    #: Which try this is; 1 is the first.
    attempt: int
    #: When it first became due.
    created: datetime
    caller_id: str = ""
    #: How many tries of its schedule are used up, this one not counted. Starts anew with a replay.
    tries: int = 0
    #: When the schedule began: as it became due, or was last replayed. None stands for `created`.
    begun: datetime | None = None
    trigger: Trigger = Trigger.SCHEDULE
    #: Whether the last try of its target failed, as it was claimed.
    target_is_failing: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction writes about one job."""

    job: Job
    #: Set when this change makes the job final and its caller is to be called back.
    callback: CallbackDraft | None = None
    #: A message of the bot that belongs to this job from now on. A message belongs to one job only, for ever.
    message_id: str | None = None
    #: True when a person says so of a message that was kept as an orphan: it is none any more, whoever had it.
    adopts: bool = False
    #: A message to keep for a person to look at.
    orphan: "Orphan | None" = None


class OrphanReason(StrEnum):
    """Why a message of the bot was given to no caller."""

    #: It is about one of several jobs, and nothing says about which.
    AMBIGUOUS = "ambiguous"
    #: It is about a job that had ended before.
    LATE = "late"


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the bot that brought something, and that no caller was shown."""

    message: BotMessage
    #: The Discord user who saw it.
    user_id: str
    seen: datetime
    reason: OrphanReason
    #: The jobs that it may be about; one when it came late.
    candidates: tuple[str, ...]


class KeptSession(msgspec.Struct, frozen=True, kw_only=True):
    """All it takes to go on with a token's Gateway session, also in another process."""

    user_id: str
    session_id: str
    #: Of the last dispatch that was taken in.
    sequence: int
    resume_url: str


class Sightings(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows that a new message of the bot could be about."""

    #: Unfinished jobs of the channel whose press has left this server, oldest press first.
    open_jobs: tuple[Job, ...]
    #: Message id to job id, of those asked for that belong to a job, finished ones included.
    owners: Mapping[str, str]
    #: Failed, cancelled and withdrawn jobs of the channel whose press may still come to something, oldest press first.
    ghosts: tuple[Job, ...] = ()


class KeyedJob(msgspec.Struct, frozen=True, kw_only=True):
    """The job that a request with a key has made, and the digest of that request."""

    job: Job
    digest: bytes


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token as it is listed: never the token itself."""

    token_id: str
    caller_id: str
    #: Its first characters, to tell tokens apart.
    hint: str
    created: datetime
    revoked: datetime | None = None


class CallbackOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one try, and what follows from it. Exactly one of the first three is set."""

    #: True when the receiver took it.
    delivered: bool = False
    #: When to try again.
    retry_at: datetime | None = None
    #: True when there will be no other try.
    given_up: bool = False
    #: Whether it used up a try of the schedule.
    is_counted: bool = True
    #: What the try says of the target.
    health: Health = Health()


#: What follows from a try, once it is known how the target stands. Must be pure.
DecideOutcome = Callable[[Health], CallbackOutcome]


class CallbackSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller's callbacks are signed with."""

    secret_id: str
    caller_id: str
    #: `whsec_` and base64.
    secret: Secret
    created: datetime
    #: When it stops being used. None for the newest.
    expires: datetime | None = None


class Store(Protocol):
    """Everything that must outlive the process."""

    async def caller_by_token(self, digest: bytes) -> Caller | None:
        """Return who holds the (not revoked) API token with this SHA-256 digest."""
        ...

    async def add_caller(self, caller: Caller) -> None: ...

    async def put_caller(self, caller: Caller) -> None:
        """Create or replace."""
        ...

    async def callers(self) -> tuple[Caller, ...]: ...

    async def add_api_token(self, token: ApiToken, digest: bytes) -> None: ...

    async def api_tokens(self) -> tuple[ApiToken, ...]: ...

    async def revoke_api_token(self, token_id: str, now: datetime) -> bool:
        """Revoke at once. False when there is no such token, or it is revoked already."""
        ...

    async def put_account(self, account: Account) -> None:
        """Create or replace the caller's account on that channel."""
        ...

    async def account(self, caller_id: str, channel: str) -> Account | None: ...

    async def accounts(self, caller_id: str | None = None) -> tuple[Account, ...]:
        """Return one caller's accounts, or all, by channel."""
        ...

    async def delete_account(self, caller_id: str, channel: str) -> bool: ...

    async def job(self, job_id: str) -> Job | None: ...

    async def executing(self, caller_id: str) -> tuple[str, ...]:
        """Return the ids of the caller's unfinished jobs, oldest first."""
        ...

    async def admit(
        self,
        caller_id: str,
        channels: Sequence[str],
        decide: Callable[[Mapping[str, tuple[str, ...]]], Job],
        key: RequestKey | None = None,
    ) -> Job:
        """
        Let `decide` see which jobs execute on each of the caller's channels, and insert the job it returns.

        Admissions to one channel are serialised, so two callers of this cannot both take its last place. What
        `decide` raises is passed on, and nothing is written. `decide` must be pure: it may run in another thread.

        With a key, its use is written with the job, and goes with the job. When the caller has used it less than
        `KEY_LIFETIME` before the job's creation, raises `KeyTaken` and writes nothing.
        """
        ...

    async def change(self, job_id: str, decide: Callable[[Job], Change | None]) -> Job | None:
        """
        Read one job, let `decide` say what becomes of it, and write that, as one transaction.

        Returns the job as it is afterwards; None when there is no such job, or `decide` returned None. When the
        message of the change belongs to another job already, raises `MessageTaken` and writes nothing.
        """
        ...

    async def withdraw(self, job_id: str, *, was_sent: bool) -> None:
        """
        Let there be no job, where Discord never accepted it. A no-op on any other.

        When its press has left this server (`was_sent`; its phase only says that it was about to), a failed job remains that
        `change`, `job_by_nonce` and `sightings` know, and nobody else.
        """
        ...

    async def sightings(
        self, channel: str, message_ids: Sequence[str], *, ghosts_since: datetime | None = None
    ) -> Sightings:
        """Return what a message could be about. Ghosts are those sent after `ghosts_since`; None: nobody asks."""
        ...

    async def job_by_key(self, caller_id: str, key: str, since: datetime) -> KeyedJob | None:
        """Return the job of the request for which the caller has used this key, at `since` or later."""
        ...

    async def job_by_nonce(self, nonce: str) -> Job | None: ...

    async def keep_orphan(self, orphan: Orphan) -> None:
        """Keep it, unless its message is kept already."""
        ...

    async def orphan(self, message_id: str) -> Orphan | None: ...

    async def orphans(self, channel: str | None = None) -> tuple[Orphan, ...]:
        """Return one channel's orphans, or all, oldest message first."""
        ...

    async def keep_sessions(self, sessions: Mapping[bytes, KeptSession]) -> None:
        """Keep these sessions, by the SHA-256 of their token, and forget all others."""
        ...

    async def kept_sessions(self) -> dict[bytes, KeptSession]: ...

    async def unfinished(self) -> tuple[Job, ...]:
        """Return every unfinished job of every caller, oldest first."""
        ...

    async def newest_jobs(self, limit: int) -> tuple[Job, ...]:
        """Return the jobs of all callers that were made last, newest first."""
        ...

    async def claim_callbacks(
        self, now: datetime, lease: timedelta, fresh: int, failing: int
    ) -> tuple[Callback, ...]:
        """
        Take the oldest due callback of each of up to `fresh` targets that do well or are new, and of up to `failing`
        whose last try failed. Oldest first.

        A claim holds its target, so that there is one try of it at a time. A claim whose outcome is not recorded within
        `lease` is due again, so a killed process loses none.
        """
        ...

    async def renew_claim(self, callback_id: str, attempt: int, until: datetime) -> bool:
        """Keep a claim, and its target, until then. False when another try has been claimed since."""
        ...

    async def finish_callback(
        self, attempt: CallbackAttempt, decide: DecideOutcome
    ) -> CallbackOutcome | None:
        """
        Log the try, and let `decide` say what follows from it, for the callback and for its target.

        When the target is disabled by it, all that waits for it is dead. `next_try` of the attempt is written as decided.
        None when the callback is gone, or another try has been claimed since: then nothing is decided.
        """
        ...

    async def next_callback(self) -> datetime | None:
        """Return when the next callback can be tried. None when none is waiting."""
        ...

    async def attempts(self, job_id: str) -> tuple[CallbackAttempt, ...]:
        """Return the log of a job's callback, oldest try first."""
        ...

    async def callback(self, job_id: str) -> CallbackRecord | None: ...

    async def undelivered(self, which: CallbackFilter, limit: int) -> tuple[CallbackRecord, ...]:
        """Return callbacks that wait or are dead, newest first."""
        ...

    async def replay_callback(self, job_id: str, now: datetime) -> bool:
        """
        Make a job's callback due now, whatever became of it, with a fresh schedule.

        False when there is none, or the operator has switched its target off. Its target gets another chance if it was disabled by failures.
        """
        ...

    async def replay_dead(self, which: CallbackFilter, now: datetime, limit: int) -> tuple[str, ...]:
        """Do so with up to `limit` dead callbacks, oldest first. Returns their jobs."""
        ...

    async def targets(self, limit: int, target: str | None = None) -> tuple[Target, ...]:
        """Return the targets, failing ones first, or the one."""
        ...

    async def put_health(self, target: str, health: Health) -> bool:
        """
        Set how a target stands. False when there is no such target.

        Disabled, all that waits for it is dead; else it is due when the first of its callbacks is.
        """
        ...

    async def rotate_callback_secret(self, secret: CallbackSecret, old_until: datetime) -> None:
        """Add a secret. Those that the caller had and that have no end yet end at `old_until`."""
        ...

    async def remove_callback_secrets(self, caller_id: str) -> int:
        """Forget all of the caller's. Returns how many."""
        ...

    async def callback_secrets(self, caller_id: str, now: datetime) -> tuple[CallbackSecret, ...]:
        """Return the caller's secrets that are in use, newest first."""
        ...

    async def prune(self, before: datetime) -> int:
        """Delete final jobs last changed before then, with all that hangs on them, and old orphans. Returns how many jobs."""
        ...

    async def prune_keys(self, before: datetime) -> int:
        """Forget the keys of requests made before then. Returns how many."""
        ...

    async def known_uploads(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of the uploads' keys that belong to a job."""
        ...


class MessageTaken(Exception):
    """A message of the bot already belongs to another job."""


class KeyTaken(Exception):
    """The caller has used this key for another request, or for this one."""


#: How long the use of a key is remembered.
KEY_LIFETIME = timedelta(hours=24)


# Discord


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The Discord user behind a token, with a live Gateway session."""

    user_id: str


class ButtonPress(msgspec.Struct, frozen=True, kw_only=True):
    """A component interaction: press the button `custom_id` of a message."""

    nonce: str
    channel_id: str
    application_id: str
    message_id: str
    message_flags: int
    custom_id: str
    component_type: int = 2


class FileToUpload(msgspec.Struct, frozen=True, kw_only=True):
    """A file for a command's attachment option. `read` yields its bytes from the start, each time it is called."""

    filename: str
    size: int
    read: Callable[[], AsyncIterator[bytes]]


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A slash command as Discord's command index lists it."""

    name: str
    command_id: str
    version: str
    application_id: str
    #: The application's bot user.
    bot_id: str
    #: Set when the command exists in that guild only.
    guild_id: str | None = None
    #: Option name to Discord's option type (3 text, 11 attachment, …).
    options: Mapping[str, int] = {}


class UploadReader(Protocol):
    """Where uploaded files are kept."""

    def open(self, upload: Upload) -> FileToUpload:
        """Return a stored file, to be read in pieces."""
        ...


class UploadKeeper(Protocol):
    """The same, to clean up. Both may wait for a disk, and do so without holding up anybody else."""

    async def finished_before(self, moment: datetime) -> tuple[str, ...]:
        """Return the keys of files that were finished before then."""
        ...

    async def remove(self, keys: Sequence[str]) -> None:
        """Delete files; one that is gone already is no error."""
        ...


class CommandRun(msgspec.Struct, frozen=True, kw_only=True):
    """A slash command with its options, by name. A file among the options is uploaded first."""

    nonce: str
    channel_id: str
    command: Command
    options: Mapping[str, str | FileToUpload]


class Discord(Protocol):
    """
    Discord, seen from accounts. Sessions are opened on demand and kept.

    Every method may raise `DiscordRefused`, `DiscordRateLimited`, `DiscordUnavailable` or `AccountUnusable` (all in
    `pikarelay.errors`). Reads are retried inside; `press_button` and `run_command` send one interaction at most.
    """

    async def identify(self, token: Secret, channel: str) -> Identity:
        """Return who the token is, once its Gateway session is live, and listen to `channel` from then on."""
        ...

    def turn(self, token: Secret) -> AbstractAsyncContextManager[None]:
        """Wait for the account's turn to press, which its pace gives, and hold it while inside."""
        ...

    async def press_button(self, token: Secret, press: ButtonPress) -> None:
        """Press once. Returns when Discord has accepted it, which says nothing about the bot."""
        ...

    async def find_command(
        self, token: Secret, channel: str, name: str, *, fresh: bool = False
    ) -> Command | None:
        """Look a command up in the channel's command index, from memory unless `fresh`."""
        ...

    async def run_command(self, token: Secret, run: CommandRun) -> None:
        """Run once. Returns when Discord has accepted it."""
        ...

    async def read_message(self, token: Secret, channel: str, message_id: str) -> BotMessage | None: ...

    async def read_history(self, token: Secret, channel: str, after: str) -> tuple[BotMessage, ...]:
        """Return the channel's messages with ids greater than `after`, oldest first."""
        ...

    def release(self, token: Secret) -> None:
        """Use an account again that Discord had refused, because a person has taken care of it."""
        ...

    async def forget(self, token: Secret) -> None:
        """Close an account's session and forget all about it. A no-op for a token nobody asked for."""
        ...

    async def refresh_links(self, token: Secret, links: Sequence[str]) -> Mapping[str, str]:
        """Return for links to attachments, 50 at most, ones that last a day from now; those that Discord knows."""
        ...

    def server_time(self) -> datetime:
        """Return Discord's time, estimated from its answers; our own clock before the first one."""
        ...


class Sessions(Protocol):
    """The Gateway sessions of all accounts, as they outlive a process."""

    def sessions(self) -> Mapping[bytes, KeptSession]:
        """Return what each session can be gone on with, under the SHA-256 of its token. Also after a stop."""
        ...

    def resume(self, sessions: Mapping[bytes, KeptSession]) -> None:
        """Go on with these sessions where their tokens are asked for. Call it before that."""
        ...


class AccountsWatcher(Protocol):
    """Who has to know that the accounts have changed."""

    async def accounts_changed(self) -> None:
        """Open the sessions of new accounts, and close those that nobody needs any more."""
        ...


# Callbacks


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one POST to a receiver."""

    #: The receiver's HTTP status, when it gave one.
    status: int | None = None
    #: As in `CallbackAttempt.error`. None when the receiver took it.
    error: str | None = None
    #: What the receiver asked us to wait, when it did.
    retry_after: timedelta | None = None
    address: str | None = None
    duration: timedelta
    #: As in `CallbackAttempt.answer`.
    answer: str | None = None


class CallbackSender(Protocol):
    """The only way out to callers' servers."""

    async def send(self, callback: Callback, secrets: Sequence[Secret] = ()) -> Delivery:
        """
        POST the stored bytes once, signed with each of the secrets.

        Never raises for anything that the receiver or the network does.
        """
        ...


class TargetGuard(Protocol):
    """What keeps callbacks from going where they must not."""

    async def refusal(self, url: str) -> str | None:
        """Return in a sentence why nothing may be sent there now; None when it may. Dials nothing."""
        ...
