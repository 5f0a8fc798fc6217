"""Leases and holdings: what every store does, and what keeps a worker that was succeeded from changing anything."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from msgspec.structs import replace

from pikarelay.jobs.health import AccountHealth, HealthState
from pikarelay.jobs.job import Job, Status
from pikarelay.jobs.ownership import Holding, Seat, channel_name, session_name, session_name_of
from pikarelay.jobs.secret import Secret
from pikarelay.services.ownership import Holdings
from pikarelay.services.ports import Change, KeptSession, NotHeld, OwnershipStore
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.sqlite import SqliteStore
from pikarelay.store.vault import Vault
from tests.fakes.clock import FakeClock
from tests.fakes.ownership import FakeOwnership
from tests.store.conftest import (
    NOW,
    AnyStore,
    Opener,
    a_caller,
    a_job,
    a_sent_job,
    an_account,
    an_orphan,
    put,
)

LEASE = timedelta(seconds=10)
TOKEN = Secret("a-token-of-some-length-0123456789")
#: For the type checker.
PORTS: tuple[type[OwnershipStore], ...] = (FakeOwnership, SqliteStore, PostgresStore)
AnyOwnership = FakeOwnership | SqliteStore | PostgresStore


@pytest.fixture
async def ownership(store: AnyStore) -> AnyOwnership:
    return store if isinstance(store, SqliteStore | PostgresStore) else FakeOwnership(FakeClock())


#: Of tests about what the fake does not know.
in_sql = pytest.mark.parametrize("opener", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
async def sql(store: AnyStore) -> SqliteStore | PostgresStore:
    assert isinstance(store, SqliteStore | PostgresStore)
    return store


def touch(job: Job) -> Change:
    return Change(job=replace(job, message_flags=job.message_flags + 1))


async def test_claim(ownership: AnyOwnership) -> None:
    """What nobody holds is taken as a whole, under an epoch that grows each time it changes hands."""
    assert {"a": 1, "b": 1} == await ownership.claim([["b", "a"]], "one", [])
    assert {} == await ownership.claim([["b", "c"]], "two", [])
    assert {"a": 2, "b": 2} == await ownership.claim([["a", "b"]], "one", [])
    await ownership.release("one", ["a"])
    assert {"a": 3} == await ownership.claim([["a"]], "two", [])
    assert {"b": 3} == await ownership.claim([["b"]], "two", ["one"])

    assert {
        "a": Holding(owner="two", epoch=3),
        "b": Holding(owner="two", epoch=3),
    } == await ownership.holdings()


async def test_many_are_claimed_at_once(ownership: AnyOwnership) -> None:
    """Of a hundred estates that one worker left, another takes all but those of which a third has a part."""
    estates = [[f"channel {n}", f"session {n}"] for n in range(100)]
    await ownership.claim(estates[:90], "one", [])
    await ownership.claim([["session 7"]], "three", ["one"])
    taken = await ownership.claim(estates, "two", ["one"])

    assert {name for n in range(100) if n != 7 for name in estates[n]} == set(taken)
    assert {2} == {taken[name] for names in estates[8:90] for name in names}
    assert {1} == {taken[name] for names in estates[90:] for name in names}
    held = await ownership.holdings()
    assert {"one": 1, "two": 198, "three": 1} == Counter(its.owner for its in held.values())


async def test_release(ownership: AnyOwnership) -> None:
    """Only what is one's own is let go; who retires lets go of everything, and is no member any more."""
    await ownership.beat("one", LEASE)
    await ownership.claim([["a", "b"]], "one", [])
    await ownership.claim([["c"]], "two", [])
    await ownership.release("two", ["a"])
    assert "one" == (await ownership.holdings())["a"].owner
    await ownership.retire("one")

    held = {name: its.owner for name, its in (await ownership.holdings()).items()}
    assert {"a": None, "b": None, "c": "two"} == held
    assert () == await ownership.members()


async def test_leases(ownership: AnyOwnership) -> None:
    """A worker is a member in time until its lease is over, by the store's clock."""
    await ownership.beat("one", LEASE)
    await ownership.beat("two", timedelta(seconds=-1))
    await ownership.beat("two", timedelta(seconds=-1))

    assert {"one": True, "two": False} == {m.worker_id: m.is_in_time for m in await ownership.members()}


async def test_one_of_many_claims(ownership: AnyOwnership) -> None:
    """Of many workers that reach for the same estates, each is had by one, and as a whole."""
    names = [[f"channel {n}", f"session {n}"] for n in range(5)]
    taken = await asyncio.gather(
        *(ownership.claim([estate], f"worker {w}", []) for w in range(8) for estate in names)
    )
    held = await ownership.holdings()

    assert 5 == len([its for its in taken if its])
    assert all(held[channel].owner == held[session].owner is not None for channel, session in names)


@in_sql
async def test_seats(sql: SqliteStore | PostgresStore) -> None:
    """Every account and every unfinished job is a use of its session on its channel; the same twice is one."""
    await sql.add_caller(a_caller())
    account = an_account(channel="100")
    await sql.put_account(account)
    await put(sql, a_job(1))
    other = Secret("another-token-of-some-length-0123456789")
    await put(sql, a_job(2, channel="200", discord_token=other))
    seats = set(await sql.seats())

    assert Seat(session_name(other), channel_name("200")) in seats
    assert Seat(session_name(account.discord_token), channel_name("100")) in seats
    assert seats == set(await sql.seats())


@in_sql
async def test_fence(sql: SqliteStore | PostgresStore) -> None:
    """Who was succeeded changes no job and keeps no session any more, though it still believes that it holds both."""
    await put(sql, a_job(1, channel="100"))
    token = TOKEN.digest
    names = [channel_name("100"), session_name_of(token)]
    old, new = Holdings("old"), Holdings("new")
    old.take(await sql.claim([names], "old", []))
    session = KeptSession(user_id="1", session_id="s", sequence=1, resume_url="wss://x.example")
    assert await sql.held_by(old).change("job-0001", touch) is not None
    await sql.held_by(old).keep_sessions({token: session})
    new.take(await sql.claim([names], "new", ["old"]))

    with pytest.raises(NotHeld):
        await sql.held_by(old).change("job-0001", touch)
    await put(sql, a_job(2, channel="200"))
    with pytest.raises(NotHeld):
        # Nobody has ever held its channel.
        await sql.held_by(new).change("job-0002", touch)
    assert await sql.held_by(new).change("job-0003", touch) is None
    await sql.held_by(old).keep_sessions({token: replace(session, sequence=9)})
    assert {token: session} == await sql.kept_sessions()
    job = await sql.held_by(new).change("job-0001", touch)
    assert job is not None
    assert 2 == job.message_flags
    await sql.held_by(new).keep_sessions({}, [token])
    assert {} == await sql.kept_sessions()


@in_sql
async def test_fence_of_health(sql: SqliteStore | PostgresStore) -> None:
    """Who was succeeded neither takes back what its successor says of an account, nor says anything else instead."""
    digest, other = TOKEN.digest, b"o" * 32
    names = [session_name_of(digest)]
    old, new = Holdings("old"), Holdings("new")
    ready, offline = AccountHealth(state=HealthState.READY), AccountHealth(state=HealthState.OFFLINE)
    old.take(await sql.claim([names], "old", []))
    await sql.held_by(old).keep_health({digest: offline, other: offline}, [], NOW)
    assert {digest: offline} == await sql.health(NOW)
    new.take(await sql.claim([names], "new", ["old"]))
    await sql.held_by(new).keep_health({digest: ready}, [], NOW)
    await sql.held_by(old).keep_health({digest: offline}, [], NOW)
    await sql.held_by(old).keep_health({}, [digest], NOW)
    assert {digest: ready} == await sql.health(NOW)
    await sql.held_by(new).keep_health({}, [digest], NOW)

    assert {} == await sql.health(NOW)


@in_sql
async def test_fence_of_orphans(sql: SqliteStore | PostgresStore) -> None:
    """Who was succeeded on a channel keeps none of its messages as an orphan any more."""
    old, new = Holdings("old"), Holdings("new")
    old.take(await sql.claim([[channel_name("100")]], "old", []))
    new.take(await sql.claim([[channel_name("100")]], "new", ["old"]))
    await sql.held_by(old).keep_orphan(an_orphan("m1"))
    await sql.held_by(new).keep_orphan(an_orphan("m2"))

    assert [an_orphan("m2")] == list(await sql.orphans())


@in_sql
async def test_fence_of_many(sql: SqliteStore | PostgresStore) -> None:
    """Of many sessions that are kept at once, those are left out of which another is the owner, or under another epoch."""
    sessions = {
        bytes([n]) * 32: KeptSession(user_id="1", session_id=str(n), sequence=1, resume_url="wss://x.example")
        for n in range(70)
    }
    names = [session_name_of(digest) for digest in sessions]
    mine = Holdings("me")
    mine.take(await sql.claim([[name] for name in names], "me", []))
    await sql.claim([[names[3]]], "somebody", ["me"])
    await sql.claim([[names[40]]], "me", [])
    await sql.held_by(mine).keep_sessions(sessions)

    assert {its.session_id for its in sessions.values()} - {"3", "40"} == {
        its.session_id for its in (await sql.kept_sessions()).values()
    }


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the rows whose secrets are unsealed from now on."""
    unsealed: list[str] = []
    unseal = Vault.unseal

    def unseal_and_count(self: Vault, sealed: bytes, table: str, row: str, column: str) -> str:
        unsealed.append(row)
        return unseal(self, sealed, table, row, column)

    monkeypatch.setattr(Vault, "unseal", unseal_and_count)
    return unsealed


@in_sql
async def test_nothing_of_others_is_read(
    sql: SqliteStore | PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that looks at its jobs, ghosts and sessions unseals no token of what another worker holds."""
    holds = Holdings("me")
    for owner, channel, number in (("me", "100", 1), ("somebody", "200", 3)):
        token = Secret(f"{TOKEN.reveal()}-{owner}")
        names = [channel_name(channel), session_name(token)]
        taken = await sql.claim([names], owner, [])
        if owner == "me":
            holds.take(taken)
        session = KeptSession(user_id="1", session_id=owner, sequence=1, resume_url="wss://x.example")
        await sql.keep_sessions({token.digest: session})
        ghost = a_sent_job(number, channel=channel, discord_token=token, status=Status.CANCELLED)
        await put(sql, ghost, a_job(number + 1, channel=channel, discord_token=token))
    unsealed, seen = counted(monkeypatch), sql.held_by(holds)
    mine = await seen.unfinished(), await seen.ghosts(NOW - LEASE)
    kept = await seen.kept_sessions(holds.epochs.keys())

    assert (["job-0002"], ["job-0001"]) == tuple([job.job_id for job in jobs] for jobs in mine)
    assert ["me"] == [session.session_id for session in kept.values()]
    assert 3 == len(unsealed)


@in_sql
async def test_accounts_are_unsealed_once(
    sql: SqliteStore | PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that looks at all accounts again unseals those that have changed since, and sees each as it is now."""
    await sql.add_caller(a_caller())
    for channel in ("100", "200"):
        await sql.put_account(an_account(channel=channel))
    holds = Holdings("me")
    other = Secret("another-token-of-some-length-0123456789")
    tokens = (an_account().discord_token, other)
    holds.take(dict.fromkeys([channel_name("100"), channel_name("200"), *map(session_name, tokens)], 1))
    seen = sql.held_by(holds)
    assert {"100", "200"} == {its.channel for its in await seen.accounts()}
    unsealed = counted(monkeypatch)
    await sql.put_account(replace(an_account(channel="200"), discord_token=other))
    await sql.delete_account("ann", "100")
    assert [("200", other)] == [(its.channel, its.discord_token) for its in await seen.accounts()]
    await seen.accounts()

    assert 1 == len(unsealed)


@in_sql
async def test_what_a_worker_sees(sql: SqliteStore | PostgresStore) -> None:
    """A worker sees the unfinished jobs and accounts whose channel and session it holds, and none that it is leaving."""
    await sql.add_caller(a_caller())
    await sql.put_account(an_account(channel="100"))
    token = TOKEN
    await put(sql, a_job(1, channel="100", discord_token=token))
    await put(sql, a_job(2, channel="200", discord_token=token))
    holds = Holdings("me")
    seen = sql.held_by(holds)
    assert ((), ()) == (await seen.unfinished(), await seen.accounts())
    holds.take(await sql.claim([[channel_name("100"), session_name(token)]], "me", []))
    assert ["job-0001"] == [job.job_id for job in await seen.unfinished()]
    holds.leave([channel_name("100")])
    assert () == await seen.unfinished()


@in_sql
async def test_reopened(opener: Opener) -> None:
    """Epochs outlive every process: a name that was held is never held under the same epoch again."""
    async with opener() as store:
        assert isinstance(store, SqliteStore | PostgresStore)
        await store.claim([["a"]], "one", [])
        await store.retire("one")
    async with opener() as store:
        assert isinstance(store, SqliteStore | PostgresStore)
        assert {"a": 2} == await store.claim([["a"]], "one", [])
