"""The stores that must all behave alike, and values to put in them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pikarelay.jobs.callbacks import (
    CallbackAttempt,
)
from pikarelay.jobs.job import Account, Attachment, Caller, Job, Press, PressPhase, Status, Verb
from pikarelay.jobs.messages import BotMessage, Kind
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import (
    ApiToken,
    CallbackDraft,
    CallbackOutcome,
    Change,
    DecideOutcome,
    Orphan,
    OrphanReason,
    Store,
)
from pikarelay.store.migrations import migrate, sqlite_url
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.root_key import KeySource, load_root_key
from pikarelay.store.rules import AlreadyThere
from pikarelay.store.sqlite import SqliteStore
from tests.fakes.store import FakeStore
from tests.postgres import PostgresServer

NOW = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
LEASE = timedelta(seconds=60)
TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.canary.0123456789abcdefghijABCDEFGHIJ0123456"

#: For the type checker: all are what the services ask for.
PORTS: tuple[type[Store], ...] = (FakeStore, SqliteStore, PostgresStore)
AnyStore = FakeStore | SqliteStore | PostgresStore
#: Opens the same store, again after it was closed: what was written before is there.
Opener = Callable[[], AbstractAsyncContextManager[AnyStore]]


def _fake(_folder: Path) -> Opener:
    fake = FakeStore()

    @asynccontextmanager
    async def open_again() -> AsyncIterator[AnyStore]:
        yield fake

    return open_again


def _sqlite(folder: Path) -> Opener:
    path = folder / "pikarelay.db"
    migrate(sqlite_url(path))
    root_key = load_root_key(KeySource(folder))
    return lambda: SqliteStore.open(path, root_key=root_key)


STORES: dict[str, Callable[[Path], Opener]] = {"fake": _fake, "sqlite": _sqlite}


@pytest.fixture
def postgres_opener(postgres: PostgresServer, tmp_path: Path) -> Opener:
    url, root_key = postgres.new_database(), load_root_key(KeySource(tmp_path))
    return lambda: PostgresStore.open(url, root_key=root_key)


@pytest.fixture(params=[*STORES, "postgres"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    if request.param == "postgres":
        opener: Opener = request.getfixturevalue("postgres_opener")
        return opener
    return STORES[request.param](tmp_path)


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[AnyStore]:
    async with opener() as opened:
        yield opened


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with _sqlite(tmp_path)() as opened:
        assert isinstance(opened, SqliteStore)
        yield opened


@pytest.fixture
async def callers(store: AnyStore) -> None:
    """Ann and Bob, for tests of what is theirs."""
    await ensure_callers(store, "ann", "bob")


def a_token(token_id: str = "t1", caller_id: str = "ann") -> ApiToken:
    return ApiToken(token_id=token_id, caller_id=caller_id, hint="pk_abcd", created=NOW)


def a_caller(caller_id: str = "ann", **fields: Any) -> Caller:
    return Caller(**{"caller_id": caller_id, "name": caller_id.title(), "created": NOW, **fields})


def an_orphan(message_id: str, *, channel: str = "100", **its: Any) -> Orphan:
    message = BotMessage(
        id=message_id,
        channel_id=channel,
        author_id="8",
        kind=Kind.RESULT,
        content="ünï ␀",
        timestamp="2026-03-04T05:06:07+00:00",
        attachments=(Attachment(url="u", proxy_url="p", filename="v.mp4", id="9"),),
    )
    given: dict[str, Any] = {
        "seen": NOW,
        "candidates": ("job-0001", "job-0002"),
        "reason": OrphanReason.AMBIGUOUS,
        **its,
    }
    return Orphan(message=message, user_id="7", **given)


def an_account(caller_id: str = "ann", channel: str = "100", **fields: Any) -> Account:
    given = {"discord_token": Secret(TOKEN), "max_jobs": 3, "updated": NOW, **fields}
    return Account(caller_id=caller_id, channel=channel, **given)


def a_job(number: int = 1, **fields: Any) -> Job:
    """Return a job of Ann's on channel 100 whose press waits, made `number` seconds after NOW."""
    press = {"nonce": f"{number:019}", **fields.pop("press", {})}
    given: dict[str, Any] = {
        "job_id": f"job-{number:04}",
        "caller_id": "ann",
        "verb": Verb.BUTTON,
        "created": NOW + timedelta(seconds=number),
        "updated": NOW + timedelta(seconds=number),
        "discord_token": Secret(TOKEN),
        "channel": "100",
        "max_jobs": 10,
        **fields,
    }
    return Job(press=Press(**press), **given)


def a_sent_job(number: int = 1, **fields: Any) -> Job:
    press = {"phase": PressPhase.SENT, "sent": NOW + timedelta(seconds=number), **fields.pop("press", {})}
    return a_job(number, press=press, **fields)


def a_final_job(number: int = 1, **fields: Any) -> Job:
    return a_sent_job(number, **{"status": Status.COMPLETED, **fields})


async def ensure_callers(store: AnyStore, *caller_ids: str) -> None:
    """Make the callers that are not there yet: only a caller has jobs and accounts."""
    known = {its.caller_id for its in await store.callers()}
    for caller_id in sorted(set(caller_ids) - known):
        with suppress(AlreadyThere):
            await store.add_caller(a_caller(caller_id))


async def put(store: AnyStore, *jobs: Job) -> None:
    """Add jobs, and their callers if they are not there yet."""
    await ensure_callers(store, *(job.caller_id for job in jobs))
    for job in jobs:
        await store.admit(job.caller_id, [job.channel], lambda _executing, job=job: job)  # type: ignore[misc]


def a_draft(job: Job, **fields: Any) -> CallbackDraft:
    """Return a draft to a target of its own, unless told; its target is its URL's beginning."""
    url = fields.pop("url", f"https://{job.job_id}.example.com/hook")
    target = "/".join(url.split("/")[:3])
    given = {"target": target, "url": url, "body": b'{"status": "completed"}', "due": job.updated, **fields}
    return CallbackDraft(**{"callback_id": f"cb-{job.job_id}", "job_id": job.job_id, **given})


async def put_with_callback(store: AnyStore, *jobs: Job, **fields: Any) -> None:
    """Add jobs whose callbacks are due at the time they were last updated."""
    await put(store, *jobs)
    for job in jobs:
        await store.change(job.job_id, lambda found: Change(job=found, callback=a_draft(found, **fields)))


def ends(**fields: Any) -> DecideOutcome:
    """Return what decides so, wherever the target stands."""
    return lambda health: CallbackOutcome(**{"health": health, **fields})


def an_attempt(job: Job, number: int = 1, **fields: Any) -> CallbackAttempt:
    given = {"started": NOW, "duration_ms": 12, "status": 200, "address": "192.0.2.7", **fields}
    return CallbackAttempt(callback_id=f"cb-{job.job_id}", attempt=number, **given)
