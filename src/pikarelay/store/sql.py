"""
The `Store` port on any SQL engine: each method hands one transaction to a runner.

What runs them is a `Runner`. There is one per engine, and nothing else differs.
"""

from collections.abc import Callable, Collection, Container, Mapping, Sequence
from datetime import datetime, timedelta

from pikarelay.jobs.breaker import Health
from pikarelay.jobs.callbacks import (
    CallbackAttempt,
    CallbackFilter,
    CallbackRecord,
    Target,
)
from pikarelay.jobs.health import AccountHealth
from pikarelay.jobs.job import Account, Caller, Job
from pikarelay.jobs.mirror import CopyCount, CopyRecord, CopyState
from pikarelay.jobs.ownership import EVERYTHING, Holding, Seat, channel_name, session_name
from pikarelay.jobs.requests import RequestKey
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import (
    ApiToken,
    Callback,
    CallbackOutcome,
    CallbackSecret,
    Change,
    Condition,
    CopyOutcome,
    DecideOutcome,
    Figures,
    Giving,
    Hear,
    Holder,
    Holds,
    KeptSession,
    KeyedJob,
    Member,
    Orphan,
    Refusal,
    Sightings,
    Sign,
)
from pikarelay.store import admission, transactions
from pikarelay.store.keys import SqlKeys
from pikarelay.store.migrations import NEEDED
from pikarelay.store.runner import Runner
from pikarelay.store.statements.jobs import OWNERS_AT_ONCE
from pikarelay.store.vault import Vault

#: Jobs deleted in one transaction of a clean-up: some ten milliseconds of work.
PRUNED_AT_ONCE = 500


class SqlStore:
    """Everything that must outlive the process, in SQL."""

    def __init__(
        self, runner: Runner, vault: Vault, holds: Holds | None = None, *, first: Runner | None = None
    ) -> None:
        """
        With `holds`, it is as a worker sees it: see `held_by`.

        `first` is for what a worker's lease hangs on, which is not to wait behind its work; None: the same runner.
        """
        self._runner = runner
        self._first = first or runner
        self._vault = vault
        #: What seals the secrets in it.
        self.keys = SqlKeys(runner, vault)
        self._holds = holds
        self._owner = None if holds is None else holds.worker_id
        #: The names of the sessions of all seats that were seen last.
        self._sessions: dict[tuple[str, bytes], str] = {}
        #: As a worker's, all accounts that were seen last, by their rows: it looks every few seconds, and there may be thousands.
        self._accounts: dict[tuple[object, ...], Account] = {}

    def held_by(self, holds: Holds) -> "SqlStore":
        """
        Return this store as a worker sees it that holds what `holds` says.

        Accounts and unfinished jobs of others are not there, and a change of what another holds by then is refused in its
        transaction, however late it comes.
        """
        return SqlStore(self._runner, self._vault, holds, first=self._first)

    def subscribe(self, hear: Hear) -> None:
        self._runner.subscribe(hear)

    def _is_seen(self, token: Secret, channel: str) -> bool:
        holds = self._holds
        return holds is None or (holds.is_kept(channel_name(channel)) and holds.is_kept(session_name(token)))

    async def holder(self, digest: bytes) -> Holder | None:
        return await self._runner.read(transactions.callers.holder, digest)

    async def add_caller(self, caller: Caller) -> None:
        await self._runner.write(transactions.callers.add_caller, caller)

    async def set_reply_url(self, caller_id: str, reply_url: str | None) -> Caller | None:
        return await self._runner.write_soon(transactions.callers.set_reply_url, caller_id, reply_url)

    async def set_subscription(
        self, caller_id: str, until: datetime | None, *, is_there: bool
    ) -> Caller | None:
        return await self._runner.write(
            transactions.callers.set_subscription, caller_id, until, is_there=is_there
        )

    async def callers(self) -> tuple[Caller, ...]:
        return await self._runner.read(transactions.callers.callers)

    async def caller_named(self, name: str) -> Caller | None:
        return await self._runner.read(transactions.callers.caller_named, name)

    async def remove_caller(self, caller_id: str) -> bool:
        return await self._runner.write(transactions.callers.remove_caller, caller_id)

    async def final_jobs(self, caller_id: str, after: str, limit: int) -> tuple[str, ...]:
        return await self._runner.read(transactions.jobs.final_jobs, caller_id, after, limit)

    async def delete_jobs(self, job_ids: Sequence[str]) -> None:
        await self._runner.write(transactions.jobs.delete_jobs, job_ids)

    async def add_api_token(self, token: ApiToken, digest: bytes) -> None:
        await self._runner.write(transactions.callers.add_api_token, token, digest)

    async def add_first_api_token(self, caller: Caller, token: ApiToken, digest: bytes) -> bool:
        return await self._runner.write(transactions.callers.add_first_api_token, caller, token, digest)

    async def api_tokens(self) -> tuple[ApiToken, ...]:
        return await self._runner.read(transactions.callers.api_tokens)

    async def revoke_api_token(self, token_id: str, now: datetime) -> bool:
        return await self._runner.write(transactions.callers.revoke_api_token, token_id, now)

    async def revoke_api_tokens_of(self, caller_id: str, now: datetime) -> int:
        return await self._runner.write(transactions.callers.revoke_api_tokens_of, caller_id, now)

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        await self._runner.write(transactions.callers.note_uses, uses)

    async def put_account(self, account: Account) -> None:
        await self._runner.write_soon(transactions.callers.put_account, account, self._vault)

    async def account(self, caller_id: str, channel: str) -> Account | None:
        return await self._runner.read(transactions.callers.account, caller_id, channel, self._vault)

    async def accounts(self, caller_id: str | None = None) -> tuple[Account, ...]:
        found = await self._runner.read(transactions.callers.accounts, caller_id, self._vault, self._accounts)
        if caller_id is None and self._holds is not None:
            # What cannot be read now may be once another key is known.
            self._accounts = {row: its for row, its in found.items() if its.discord_token.is_readable}
        return tuple(its for its in found.values() if self._is_seen(its.discord_token, its.channel))

    async def delete_account(self, caller_id: str, channel: str) -> bool:
        return await self._runner.write_soon(transactions.callers.delete_account, caller_id, channel)

    async def job(self, job_id: str) -> Job | None:
        return await self._runner.read(transactions.jobs.job, job_id, self._vault)

    async def executing(self, caller_id: str) -> tuple[str, ...]:
        return await self._runner.read(transactions.jobs.executing, caller_id)

    async def admit(
        self,
        caller_id: str,
        channels: Sequence[str],
        decide: Callable[[Mapping[str, tuple[str, ...]]], Job],
        key: RequestKey | None = None,
        *,
        answer_until: datetime | None = None,
    ) -> Job:
        return await admission.admitted(
            self._runner, self._vault, caller_id, channels, decide, key, answer_until
        )

    async def change(self, job_id: str, decide: Callable[[Job], Change | None]) -> Job | None:
        return await self._runner.write(transactions.jobs.change, job_id, decide, self._vault, self._holds)

    async def withdraw(self, job_id: str, *, was_sent: bool) -> Job | None:
        return await self._runner.write(transactions.jobs.withdraw, job_id, self._vault, was_sent=was_sent)

    async def sightings(
        self, channel: str, message_ids: Sequence[str], *, ghosts_since: datetime | None = None
    ) -> Sightings:
        # One statement sees one state; several have to be told to.
        run = self._runner.read if len(message_ids) <= OWNERS_AT_ONCE else self._runner.snapshot
        return await run(transactions.jobs.sightings, channel, message_ids, ghosts_since, self._vault)

    async def closed_messages(self, message_ids: Sequence[str]) -> frozenset[str]:
        return await self._runner.read(transactions.jobs.closed_messages, message_ids)

    async def job_by_key(self, caller_id: str, key: str, since: datetime) -> KeyedJob | None:
        return await self._runner.read(transactions.jobs.job_by_key, caller_id, key, since, self._vault)

    async def job_by_nonce(self, nonce: str) -> Job | None:
        return await self._runner.read(transactions.jobs.job_by_nonce, nonce, self._vault)

    async def keep_orphan(self, orphan: Orphan) -> None:
        await self._runner.write(transactions.orphans.keep_orphan, orphan, self._holds)

    async def orphan(self, message_id: str) -> Orphan | None:
        return await self._runner.read(transactions.orphans.orphan, message_id)

    async def orphans(self, channel: str | None = None) -> tuple[Orphan, ...]:
        return await self._runner.read(transactions.orphans.orphans, channel)

    async def keep_sessions(
        self, sessions: Mapping[bytes, KeptSession], forgotten: Collection[bytes] = ()
    ) -> None:
        await self._runner.write(
            transactions.sessions.keep_sessions, sessions, forgotten, self._vault, self._holds
        )

    async def kept_sessions(self, names: Container[str] = EVERYTHING) -> dict[bytes, KeptSession]:
        some = tuple(names) if isinstance(names, Collection) else None
        return await self._first.read(transactions.sessions.kept_sessions, some, self._vault)

    async def keep_health(
        self, found: Mapping[bytes, AccountHealth], gone: Collection[bytes], now: datetime
    ) -> None:
        await self._runner.write(transactions.health.keep, found, gone, now, self._holds)

    async def health(self, seen_since: datetime) -> dict[bytes, AccountHealth]:
        return await self._runner.read(transactions.health.read, seen_since)

    async def unfinished(self) -> tuple[Job, ...]:
        found = await self._runner.read(transactions.jobs.unfinished, self._owner, self._vault)
        return tuple(job for job in found if self._is_seen(job.discord_token, job.channel))

    async def ghosts(self, since: datetime) -> tuple[Job, ...]:
        found = await self._runner.read(transactions.jobs.ghosts, since, self._owner, self._vault)
        return tuple(job for job in found if self._is_seen(job.discord_token, job.channel))

    async def newest_jobs(self, limit: int) -> tuple[Job, ...]:
        return await self._runner.read(transactions.jobs.newest_jobs, limit, self._vault)

    async def claim_callbacks(
        self, now: datetime, lease: timedelta, fresh: int, failing: int
    ) -> tuple[Callback, ...]:
        return await self._runner.write(transactions.callbacks.claim_callbacks, now, lease, fresh, failing)

    async def renew_claim(self, callback_id: str, attempt: int, until: datetime) -> bool:
        return await self._runner.write(transactions.callbacks.renew_claim, callback_id, attempt, until)

    async def finish_callback(
        self, attempt: CallbackAttempt, decide: DecideOutcome
    ) -> CallbackOutcome | None:
        return await self._runner.write(transactions.callbacks.finish_callback, attempt, decide)

    async def release_claims(self, now: datetime) -> int:
        return await self._runner.write(transactions.callbacks.release_claims, now)

    async def next_callback(self) -> datetime | None:
        return await self._runner.read(transactions.callbacks.next_callback)

    async def callback(self, job_id: str) -> CallbackRecord | None:
        return await self._runner.read(transactions.callbacks.callback, job_id)

    async def undelivered(self, which: CallbackFilter, limit: int) -> tuple[CallbackRecord, ...]:
        return await self._runner.read(transactions.callbacks.undelivered, which, limit)

    async def replay_callback(self, job_id: str, now: datetime) -> bool:
        return await self._runner.write(transactions.callbacks.replay_callback, job_id, now)

    async def replay_dead(self, which: CallbackFilter, now: datetime, limit: int) -> tuple[str, ...]:
        return await self._runner.write(transactions.callbacks.replay_dead, which, now, limit)

    async def targets(self, limit: int, target: str | None = None) -> tuple[Target, ...]:
        return await self._runner.read(transactions.callbacks.targets, limit, target)

    async def put_health(self, target: str, health: Health) -> bool:
        return await self._runner.write(transactions.callbacks.put_health, target, health)

    async def rotate_callback_secret(self, secret: CallbackSecret, old_until: datetime) -> None:
        await self._runner.write(
            transactions.callbacks.rotate_callback_secret, secret, old_until, self._vault
        )

    async def remove_callback_secrets(self, caller_id: str) -> int:
        return await self._runner.write(transactions.callbacks.remove_callback_secrets, caller_id)

    async def callback_secrets(self, caller_id: str, now: datetime) -> tuple[CallbackSecret, ...]:
        return await self._runner.read(transactions.callbacks.callback_secrets, caller_id, now, self._vault)

    async def attempts(self, job_id: str) -> tuple[CallbackAttempt, ...]:
        return await self._runner.read(transactions.callbacks.attempts, job_id)

    async def claim_copies(self, now: datetime, lease: timedelta, limit: int) -> tuple[CopyRecord, ...]:
        return await self._runner.write(transactions.mirror.claim_copies, now, lease, limit)

    async def renew_copy(self, name: str, attempt: int, until: datetime) -> bool:
        return await self._runner.write(transactions.mirror.renew_copy, name, attempt, until)

    async def finish_copy(self, name: str, attempt: int, outcome: CopyOutcome) -> bool:
        return await self._runner.write(transactions.mirror.finish_copy, name, attempt, outcome)

    async def release_copies(self, now: datetime) -> int:
        return await self._runner.write(transactions.mirror.release_copies, now)

    async def next_copy(self) -> datetime | None:
        return await self._runner.read(transactions.mirror.next_copy)

    async def copy(self, name: str) -> CopyRecord | None:
        return await self._runner.read(transactions.mirror.copy, name)

    async def undone_copies(self, limit: int) -> tuple[CopyRecord, ...]:
        return await self._runner.read(transactions.mirror.undone_copies, limit)

    async def count_copies(self) -> Mapping[CopyState, CopyCount]:
        return await self._runner.read(transactions.mirror.count_copies)

    async def retry_copies(self, now: datetime, job_id: str | None = None) -> int:
        return await self._runner.write(transactions.mirror.retry_copies, now, job_id)

    async def abandoned_copies(self, limit: int, *, with_done: bool) -> tuple[CopyRecord, ...]:
        return await self._runner.read(transactions.mirror.abandoned_copies, limit, with_done)

    async def forget_copies(self, names: Sequence[str]) -> None:
        await self._runner.write(transactions.mirror.forget_copies, names)

    async def prune(self, before: datetime) -> int:
        """Delete in portions, each a transaction of its own, so that nobody waits for all of it."""
        await self._runner.write(transactions.orphans.prune_orphans, before)
        total = 0
        while True:
            pruned = await self._runner.write(transactions.jobs.prune, before, PRUNED_AT_ONCE)
            total += pruned
            if pruned < PRUNED_AT_ONCE:
                await self._runner.write(transactions.callbacks.prune_targets)
                return total

    async def prune_keys(self, before: datetime) -> int:
        await self._runner.write(transactions.answers.prune_answers, before)
        return await self._runner.write(transactions.jobs.prune_keys, before)

    async def known_uploads(self, keys: Sequence[str]) -> frozenset[str]:
        return await self._runner.read(transactions.jobs.known_uploads, keys)

    async def probe(self) -> Condition:
        schema = await self._runner.write(transactions.vault.probe, NEEDED)
        return Condition(has_schema=schema.is_usable, has_key=self._vault.works)

    async def figures(self, now: datetime) -> Figures:
        return await self._runner.read(transactions.figures.figures, now)

    async def claim_refusal(self, job_id: str, now: datetime) -> bool:
        return await self._runner.write(transactions.answers.claim_refusal, job_id, now)

    async def spare(self, job_id: str) -> None:
        await self._runner.write(transactions.answers.spare, job_id)

    async def refuse(self, job_id: str, refusal: Refusal, now: datetime, *, was_sent: bool) -> Job | None:
        return await self._runner.write(
            transactions.answers.refuse, job_id, refusal, now, self._vault, self._holds, was_sent=was_sent
        )

    async def refusal(self, job_id: str) -> Refusal | None:
        return await self._runner.read(transactions.answers.refusal, job_id)

    async def give_answer(self, job_id: str, now: datetime) -> Giving | Refusal:
        return await self._runner.write(transactions.answers.give_answer, job_id, now)

    async def close_answer(self, job_id: str) -> None:
        await self._runner.write_alone(transactions.answers.close_answer, job_id)

    async def owed_until(self, job_id: str) -> datetime | None:
        return await self._runner.read(transactions.answers.owed_until, job_id)

    async def beat(self, worker_id: str, lease: timedelta) -> None:
        locked = await self._runner.be_present(worker_id)
        await self._first.write(transactions.ownership.beat, worker_id, lease, locked)

    async def members(self) -> tuple[Member, ...]:
        found = await self._first.read(transactions.ownership.workers)
        signs = await self._first.signs([name for name, _ in found])
        return tuple(
            Member(worker_id=name, is_in_time=is_in_time, sign=signs.get(name, Sign.PRESENT))
            for name, is_in_time in found
        )

    async def retire(self, worker_id: str) -> None:
        await self._first.write(transactions.ownership.retire, worker_id)

    async def holdings(self) -> dict[str, Holding]:
        return await self._first.read(transactions.ownership.holdings)

    async def claim(
        self, estates: Sequence[Collection[str]], worker_id: str, over: Collection[str]
    ) -> Mapping[str, int]:
        return await self._first.write(transactions.ownership.claim, estates, worker_id, over)

    async def release(self, worker_id: str, names: Sequence[str]) -> None:
        await self._first.write(transactions.ownership.release, worker_id, names)

    async def seats(self) -> tuple[Seat, ...]:
        found = await self._first.read(transactions.ownership.seats, self._vault, self._sessions)
        self._sessions = {known_by: session for known_by, session, _ in found}
        return tuple({Seat(session, channel_name(channel)) for _, session, channel in found})

    async def begin_file(self, key: str, size: int, now: datetime) -> None:
        """Begin to keep a file, whose pieces follow."""
        await self._runner.write(transactions.files.begin_file, key, size, now)

    async def put_file_piece(self, key: str, number: int, piece: bytes) -> None:
        await self._runner.write(transactions.files.put_file_piece, key, number, piece)

    async def file_piece(self, key: str, number: int) -> bytes | None:
        return await self._runner.read(transactions.files.file_piece, key, number)

    async def files_size(self) -> int:
        """Return the bytes of all files that are kept."""
        return await self._runner.read(transactions.files.files_size)

    async def files_before(self, moment: datetime) -> tuple[str, ...]:
        return await self._runner.read(transactions.files.files_before, moment)

    async def remove_files(self, keys: Sequence[str]) -> None:
        await self._runner.write(transactions.files.remove_files, keys)

    async def ping(self) -> None:
        """Raise `Unavailable` unless the engine can take a write transaction and answer in it."""
        await self._runner.write(transactions.vault.ping)
