"""What only the PostgreSQL store promises: any number of nodes, and surviving the loss of its server."""

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import asyncpg
import pytest
from msgspec.structs import replace

from pikarelay.errors import TooManyJobs, Unauthorized, Unavailable
from pikarelay.jobs.accounts import Seat, choose
from pikarelay.jobs.admission import admit
from pikarelay.jobs.job import Job
from pikarelay.jobs.ownership import channel_name
from pikarelay.jobs.secret import Secret
from pikarelay.services.ownership import Holdings
from pikarelay.services.ports import Change, NotHeld
from pikarelay.store import transactions
from pikarelay.store.migrations import DatabaseUnreachable, SchemaOutdated, migrate, schema_state
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.root_key import KeySource, RootKey, WrongKey, load_root_key
from tests.postgres import PostgresServer, postgres_server
from tests.proxy import Proxy, proxy_to
from tests.store.conftest import (
    LEASE,
    NOW,
    TOKEN,
    a_caller,
    a_draft,
    a_final_job,
    a_job,
    a_token,
    an_account,
    an_attempt,
    ends,
    ensure_callers,
    put,
    put_with_callback,
)

#: Far above what any of this takes, and far below a hung test.
SOON = 30.0
#: What the server is asked for all locks that somebody waits for.
WAITING = "SELECT FROM pg_locks WHERE NOT granted"


def touch(job: Job) -> Change:
    return Change(job=replace(job, message_flags=job.message_flags + 1))


@pytest.fixture
def key(tmp_path: Path) -> RootKey:
    return load_root_key(KeySource(tmp_path))


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
async def nodes(url: str, key: RootKey) -> AsyncIterator[list[PostgresStore]]:
    """Three nodes on one database."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(PostgresStore.open(url, root_key=key, connections=4))
            for _ in range(3)
        ]


@asynccontextmanager
async def behind_proxy(
    postgres: PostgresServer, key: RootKey, url: str | None = None
) -> AsyncIterator[tuple[PostgresStore, Proxy]]:
    url = url or postgres.new_database()
    async with proxy_to(postgres.port) as proxy:
        through = url.replace(f":{postgres.port}/", f":{proxy.port}/")
        async with PostgresStore.open(through, root_key=key, connections=4) as store:
            yield store, proxy


async def raw(url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        found: list[asyncpg.Record] = await connection.fetch(query)
    finally:
        await connection.close()
    return found


async def all_wait(connection: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    """Return once that many transactions wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(SOON):
        while count != await connection.fetchval(waiting):  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.02)


async def at_commit(url: str, does: str) -> None:
    """Let the server do this in each COMMIT of a transaction that has admitted a job."""
    await raw(
        url,
        f"CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; RETURN NULL; END $$",
    )
    await raw(
        url,
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON jobs DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION at_commit()",
    )


async def test_lease_does_not_wait_behind_work(postgres: PostgresServer, key: RootKey) -> None:
    """A worker whose connections are all taken by its work renews its lease, and sees who is there and who holds what."""
    url = postgres.new_database()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(PostgresStore.open(url, root_key=key, connections=2))
        await store.add_caller(a_caller())
        blocker = await asyncpg.connect(url)
        stack.push_async_callback(blocker.close)
        await blocker.execute("BEGIN; LOCK TABLE jobs, accounts IN ACCESS EXCLUSIVE MODE")
        work = [asyncio.create_task(store.newest_jobs(1)) for _ in range(4)]
        async with asyncio.timeout(SOON):
            while not await blocker.fetch(WAITING):  # noqa: ASYNC110 -- nobody tells
                await asyncio.sleep(0.02)
            await store.beat("one", LEASE)
            members, held = await store.members(), await store.holdings()
        assert not any(task.done() for task in work)
        await blocker.execute("COMMIT")
        await asyncio.gather(*work)

    assert (["one"], {}) == ([its.worker_id for its in members], held)


class TestSeveralNodes:
    async def test_first_token_under_way(self, postgres: PostgresServer, key: RootKey) -> None:
        """A node that would give out the first token waits for another that is about to, and then gives out none."""
        url = postgres.new_database()
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(PostgresStore.open(url, root_key=key))
            await store.add_caller(a_caller())
            other = await asyncpg.connect(url)
            stack.push_async_callback(other.close)
            await other.execute("BEGIN")
            await other.execute("SELECT FROM callers FOR UPDATE")
            await other.execute(
                "INSERT INTO api_tokens (token_id, digest, caller_id, hint, created) VALUES ('t1', 'd', 'ann', 'h', 0)"
            )
            giving = asyncio.create_task(store.add_first_api_token(a_caller(), a_token("t2"), b"t" * 32))
            async with asyncio.timeout(SOON):
                while not giving.done() and not await other.fetch("SELECT FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 -- nobody tells
                    await asyncio.sleep(0.02)
            await other.execute("COMMIT")
            is_added = await giving

            assert not is_added
            assert ["t1"] == [token.token_id for token in await store.api_tokens()]

    async def test_schema_grows_under_a_node(self, postgres: PostgresServer, key: RootKey) -> None:
        """A node that runs when the next release adds to the schema goes on with its statements."""
        url = postgres.new_database()
        async with PostgresStore.open(url, root_key=key) as store:
            await store.add_caller(a_caller())
            await put(store, a_job(1))
            for table in ("jobs", "callbacks", "accounts", "callers", "channels"):
                await raw(url, f"ALTER TABLE {table} ADD COLUMN next_release TEXT NOT NULL DEFAULT 'x'")
                await raw(url, f"CREATE INDEX ix_{table}_next_release ON {table} (next_release)")
            await put(store, a_job(2))
            changed = await store.change("job-0001", lambda job: Change(job=replace(job, message_flags=7)))

            assert changed is not None
            assert 7 == changed.message_flags
            assert {"job-0001", "job-0002"} == {job.job_id for job in await store.unfinished()}

    async def test_capacity_is_exact(self, nodes: list[PostgresStore]) -> None:
        """Of sixty admissions that three nodes race for, exactly as many as there are places succeed."""
        places = 5

        async def one(number: int) -> bool:
            job = a_job(number, max_jobs=places)

            def decide(executing: Mapping[str, tuple[str, ...]]) -> Job:
                admit(executing.get("100", ()), places)
                return job

            try:
                await nodes[number % 3].admit("ann", ["100"], decide)
            except TooManyJobs:
                return False
            return True

        await ensure_callers(nodes[0], "ann")
        admitted = await asyncio.gather(*(one(number) for number in range(60)))

        assert places == sum(admitted)
        assert places == len(await nodes[0].executing("ann"))

    async def test_removal_comes_first(self, nodes: list[PostgresStore], url: str) -> None:
        """What is added to a caller while another node removes it waits for that, and is refused."""
        await ensure_callers(nodes[0], "ann", "bob")
        remover = await asyncpg.connect(url)
        try:
            await remover.execute("BEGIN; DELETE FROM callers WHERE caller_id = 'ann'")
            adding = [
                asyncio.create_task(nodes[0].admit("ann", ["100"], lambda _: a_job(1))),
                asyncio.create_task(nodes[1].put_account(an_account())),
            ]
            await all_wait(remover, 2)
            # Nobody else does.
            await nodes[2].put_account(an_account("bob"))
            await put(nodes[2], a_job(2, caller_id="bob", channel="200"))
            await remover.execute("COMMIT")
            results = await asyncio.gather(*adding, return_exceptions=True)
        finally:
            await remover.close()

        assert [Unauthorized, Unauthorized] == [type(result) for result in results]
        assert ["bob"] == [its.caller_id for its in await nodes[2].accounts()]
        assert ["bob"] == [its.caller_id for its in await nodes[2].unfinished()]

    async def test_admission_comes_first(self, nodes: list[PostgresStore], url: str) -> None:
        """A removal waits for an admission that another node has begun, and then finds its job; a new address waits for neither."""
        await ensure_callers(nodes[0], "ann")
        blocker = await asyncpg.connect(url)
        try:
            # Jobs can be read and not written.
            await blocker.execute("BEGIN; LOCK TABLE jobs IN SHARE ROW EXCLUSIVE MODE")
            admitting = asyncio.create_task(nodes[0].admit("ann", ["100"], lambda _: a_job(1)))
            await all_wait(blocker, 1)
            changed = await nodes[2].set_reply_url("ann", "https://example.com/")
            removing = asyncio.create_task(nodes[1].remove_caller("ann"))
            await all_wait(blocker, 2)
            await blocker.execute("COMMIT")
            admitted, is_removed = await asyncio.gather(admitting, removing)
        finally:
            await blocker.close()

        assert (a_job(1), False) == (admitted, is_removed)
        assert (changed,) == await nodes[2].callers()
        assert ("job-0001",) == await nodes[2].executing("ann")

    async def test_capacity_of_several_channels_is_exact(self, nodes: list[PostgresStore]) -> None:
        """Of ninety admissions that three nodes race for on whichever channel has room, as many succeed as there are places."""
        seats = [Seat(channel=f"{n}00", discord_token=Secret(TOKEN), max_jobs=n) for n in range(1, 7)]
        draw = Random(7)

        refusals: list[TooManyJobs] = []
        await ensure_callers(nodes[0], "ann")

        async def one(number: int) -> bool:
            drawn = draw.random()

            def decide(executing: Mapping[str, tuple[str, ...]]) -> Job:
                return a_job(number, channel=choose(seats, executing, drawn).channel)

            try:
                await nodes[number % 3].admit("ann", [seat.channel for seat in seats], decide)
            except TooManyJobs as refusal:
                refusals.append(refusal)
                return False
            return True

        admitted = await asyncio.gather(*(one(number) for number in range(90)))
        found = Counter(job.channel for job in await nodes[0].unfinished())

        assert {seat.channel: seat.max_jobs for seat in seats} == found
        assert sum(admitted) == found.total()
        assert {found.total()} == {len(refusal.executing) for refusal in refusals}

    async def test_admission_waits_for_its_channel_alone(
        self, postgres: PostgresServer, key: RootKey
    ) -> None:
        """An admission on one of several channels does not wait for what is under way on another."""
        url = postgres.new_database()
        async with PostgresStore.open(url, root_key=key) as store:
            await put(store, a_final_job(1, channel="200"))
            other = await asyncpg.connect(url)
            try:
                await other.execute("BEGIN; SELECT FROM channels WHERE channel = '200' FOR UPDATE")
                admission = asyncio.create_task(store.admit("ann", ["100", "200"], lambda _: a_job(2)))
                async with asyncio.timeout(SOON):
                    while not admission.done() and not await other.fetch(WAITING):  # noqa: ASYNC110 -- nobody tells
                        await asyncio.sleep(0.01)

                assert admission.done()
                assert a_job(2) == await admission
            finally:
                await other.close()

    async def test_no_change_is_lost(self, nodes: list[PostgresStore]) -> None:
        """A hundred and fifty changes of one job by three nodes all count."""
        await put(nodes[0], a_job(1))
        await asyncio.gather(*(nodes[n % 3].change("job-0001", touch) for n in range(150)))
        job = await nodes[1].job("job-0001")

        assert job is not None
        assert job.message_flags == 150

    async def test_a_target_is_claimed_by_one(self, nodes: list[PostgresStore]) -> None:
        """However many nodes look for due callbacks at once, each is claimed once."""
        await put_with_callback(nodes[0], *(a_final_job(n) for n in range(30)))
        later = NOW + timedelta(hours=1)
        claims = await asyncio.gather(*(nodes[n % 3].claim_callbacks(later, LEASE, 7, 7) for n in range(12)))
        claimed = [callback.callback_id for claim in claims for callback in claim]

        assert sorted(set(claimed)) == sorted(claimed)
        # Whatever was locked by somebody else in that moment is there for the next look.
        rest = [c.callback_id for c in await nodes[0].claim_callbacks(later, LEASE, 99, 99)]
        assert {f"cb-job-{n:04}" for n in range(30)} == {*claimed, *rest}
        assert len(claimed) + len(rest) == 30

    async def test_target_outlives_a_clean_up_beside_it(self, nodes: list[PostgresStore]) -> None:
        """A callback that comes to a target while idle targets are pruned is in the queue afterwards."""
        for round_ in range(20):
            number = 2 * round_
            await put_with_callback(nodes[0], a_final_job(number), url="https://example.com/hook")
            await nodes[0].prune(NOW + timedelta(days=1))
            new = a_final_job(number + 1)
            await put(nodes[0], new)
            draft = a_draft(new, url="https://example.com/hook")

            await asyncio.gather(
                nodes[1].change(new.job_id, lambda job, draft=draft: Change(job=job, callback=draft)),  # type: ignore[misc]
                nodes[2]._runner.write(_prune_targets),
            )

            claimed = await nodes[0].claim_callbacks(NOW + timedelta(hours=1), LEASE, 9, 9)
            assert [draft.callback_id] == [callback.callback_id for callback in claimed]
            attempt = an_attempt(new)
            await nodes[0].finish_callback(attempt, ends(delivered=True))

    async def test_deadlock(self, nodes: list[PostgresStore], postgres: PostgresServer) -> None:
        """Two transactions that wait for each other are both written in the end."""

        def both(first: str, second: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
            yield "lock_channel", {"channel": first}
            yield "lock_channel", {"channel": second}
            return first

        for _ in range(2):
            done = await asyncio.gather(
                nodes[0]._runner.write(both, "1", "2"), nodes[1]._runner.write(both, "2", "1")
            )

            assert ["1", "2"] == done


class TestFence:
    """A change locks its job and its channel's holding in one statement, which may have to wait for either."""

    @asynccontextmanager
    async def changing(
        self, postgres: PostgresServer, key: RootKey, meanwhile: str
    ) -> AsyncIterator[asyncio.Task[Job | None]]:
        """Yield a change of a held job that had to wait for a transaction which ran `meanwhile`, and is committed by now."""
        url, holds = postgres.new_database(), Holdings("me")
        async with PostgresStore.open(url, root_key=key, connections=4) as store:
            await put(store, a_job(1))
            holds.take(await store.claim([[channel_name("100")]], "me", []))
            other = await asyncpg.connect(url)
            try:
                async with other.transaction():
                    await other.execute(meanwhile)
                    change = asyncio.create_task(store.held_by(holds).change("job-0001", touch))
                    async with asyncio.timeout(SOON):
                        while not await raw(url, WAITING):  # noqa: ASYNC110 -- nobody tells
                            await asyncio.sleep(0.01)
                yield change
            finally:
                await other.close()

    async def test_taken_over_meanwhile(self, postgres: PostgresServer, key: RootKey) -> None:
        """A change that waited for another worker to take its channel over writes nothing."""
        taken = "UPDATE holdings SET owner = 'somebody', epoch = epoch + 1"
        async with self.changing(postgres, key, taken) as change:
            with pytest.raises(NotHeld):
                await change

    async def test_changed_meanwhile(self, postgres: PostgresServer, key: RootKey) -> None:
        """A change that waited for another one is made on what that has left."""
        async with self.changing(postgres, key, "UPDATE jobs SET interaction_id = '7'") as change:
            changed = await change

        assert changed is not None
        assert ("7", 1) == (changed.press.interaction_id, changed.message_flags)


class TestTroubles:
    async def test_nothing_acknowledged_is_lost_over_a_crash(self, key: RootKey) -> None:
        """While the server crashes and comes back, every admission is either there or was refused with 503."""
        with postgres_server(is_durable=True) as server:
            url = server.new_database()
            async with PostgresStore.open(url, root_key=key, connections=6) as store:
                admitted: set[str] = set()
                refused = wanted = 0
                is_enough = asyncio.Event()
                is_over = asyncio.Event()

                async def keep_admitting(lane: int) -> None:
                    nonlocal refused
                    number = lane * 100_000
                    while not is_over.is_set():
                        number += 1
                        try:
                            await put(store, a_job(number, job_id=f"job-{number}"))
                        except Unavailable:
                            refused += 1
                            await asyncio.sleep(0.01)
                        else:
                            admitted.add(f"job-{number}")
                            if len(admitted) >= wanted:
                                is_enough.set()

                async def more() -> None:
                    """Return once fifty more are admitted."""
                    nonlocal wanted
                    wanted = len(admitted) + 50
                    is_enough.clear()
                    await is_enough.wait()

                lanes = [asyncio.create_task(keep_admitting(lane)) for lane in range(1, 9)]
                for _ in range(2):
                    await more()
                    await asyncio.to_thread(server.stop, signal.SIGQUIT)
                    await asyncio.to_thread(server.start)
                await more()
                is_over.set()
                await asyncio.gather(*lanes)
                stored = set(await store.executing("ann"))

            assert admitted <= stored
            assert refused > 0

    async def test_cut_in_the_only_statement(self, postgres: PostgresServer, key: RootKey) -> None:
        """What is a single statement, and may be run twice, is run again when its connection breaks; it needs no BEGIN."""
        async with behind_proxy(postgres, key) as (store, proxy):
            job = a_job(1)
            await store.add_caller(a_caller())
            await store.admit("ann", [job.channel], lambda _: job, answer_until=NOW)
            cuts, sent = iter([True]), []

            def watch(data: bytes) -> bool:
                sent.append(data)
                return b"DELETE FROM owed_answers" in data and next(cuts, False)

            proxy.watch = watch
            await store.close_answer("job-0001")

            assert next(cuts, None) is None
            assert await store.owed_until("job-0001") is None
            assert not [data for data in sent if b"BEGIN" in data]

    async def test_several_statements_need_a_transaction(
        self, postgres: PostgresServer, key: RootKey
    ) -> None:
        """What turns out to be more than a single statement is refused where it would be run without a transaction."""
        async with behind_proxy(postgres, key) as (store, _proxy):
            with pytest.raises(RuntimeError, match="several statements"):
                await store._runner.write_alone(transactions.ownership.beat, "worker", LEASE, None)

    async def test_cut_before_the_commit(self, postgres: PostgresServer, key: RootKey) -> None:
        """A transaction whose connection breaks before COMMIT has left is written by the next try, once."""
        async with behind_proxy(postgres, key) as (store, proxy):
            await put(store, a_job(1))
            cuts = iter([True])
            proxy.watch = lambda data: b"UPDATE jobs" in data and next(cuts, False)
            # A fresh connection has to name the statement; one that knows it sends a number.
            await store._runner._pool.expire_connections()  # type: ignore[attr-defined]
            changed = await store.change("job-0001", touch)

            assert next(cuts, None) is None
            assert changed is not None
            assert changed.message_flags == 1
            assert changed == await store.job("job-0001")

    @pytest.mark.parametrize("is_committed", [True, False])
    async def test_cut_at_the_commit(
        self, postgres: PostgresServer, key: RootKey, *, is_committed: bool
    ) -> None:
        """An admission whose COMMIT nobody confirmed is looked for: found, it counts; else the caller gets 503."""
        async with behind_proxy(postgres, key) as (store, proxy):
            await ensure_callers(store, "ann")
            cuts = iter([True])
            proxy.watch = lambda data: b"COMMIT" in data and next(cuts, False)
            proxy.passes_what_it_cuts = is_committed
            job = a_job(1)
            if is_committed:
                assert job == await store.admit("ann", ["100"], lambda _: job)
            else:
                with pytest.raises(Unavailable):
                    await store.admit("ann", ["100"], lambda _: job)

            assert (job if is_committed else None) == await store.job("job-0001")

    async def test_cut_while_the_commit_waits(self, postgres: PostgresServer, key: RootKey) -> None:
        """An admission that the server is still committing when its connection breaks counts once it is committed."""
        url = postgres.new_database()
        async with behind_proxy(postgres, key, url) as (store, proxy):
            await ensure_callers(store, "ann")
            await at_commit(url, "PERFORM pg_advisory_xact_lock(7)")
            disk = await asyncpg.connect(url)
            try:
                await disk.execute("BEGIN; SELECT pg_advisory_xact_lock(7)")
                cuts = iter([True])
                proxy.watch = lambda data: b"COMMIT" in data and next(cuts, False)
                proxy.passes_what_it_cuts = True
                job = a_job(1)
                admission = asyncio.create_task(store.admit("ann", ["100"], lambda _: job))
                async with asyncio.timeout(SOON):
                    while not admission.done() and len(await disk.fetch(WAITING)) < 2:  # noqa: ASYNC110 -- nobody tells
                        await asyncio.sleep(0.01)
                await disk.execute("COMMIT")
            finally:
                await disk.close()

            assert job == await admission
            assert job == await store.job("job-0001")

    async def test_commit_refused(self, postgres: PostgresServer, key: RootKey) -> None:
        """An admission whose COMMIT the server refused for what may be gone is written by the next try."""
        url = postgres.new_database()
        async with PostgresStore.open(url, root_key=key) as store:
            await ensure_callers(store, "ann")
            await raw(url, "CREATE SEQUENCE commits")
            refused_once = (
                "IF nextval('commits') = 1 THEN RAISE 'waited too long' USING ERRCODE = '55P03'; END IF"
            )
            await at_commit(url, refused_once)
            job = a_job(1)

            assert job == await store.admit("ann", ["100"], lambda _: job)
            assert ["job-0001"] == [its.job_id for its in await store.unfinished()]
            assert [(2,)] == [tuple(row) for row in await raw(url, "SELECT last_value FROM commits")]

    async def test_all_connections_broken(self, postgres: PostgresServer, key: RootKey) -> None:
        """When every connection of the pool breaks, what is asked next is answered."""
        async with behind_proxy(postgres, key) as (store, proxy):
            await put(store, *(a_job(n) for n in range(10)))
            await asyncio.gather(*(store.change(f"job-{n:04}", touch) for n in range(10)))

            assert proxy.cut() > 0
            assert all(await asyncio.gather(*(store.job(f"job-{n:04}") for n in range(10))))

    async def test_server_is_away(self, postgres: PostgresServer, key: RootKey) -> None:
        """Without a server everything is refused at once, and served again when it is back."""
        async with behind_proxy(postgres, key) as (store, proxy):
            await put(store, a_job(1))
            proxy.refuse()
            async with asyncio.timeout(5):
                with pytest.raises(Unavailable):
                    await store.job("job-0001")
                with pytest.raises(Unavailable):
                    await store.change("job-0001", touch)
                with pytest.raises(Unavailable):
                    await store.ping()
            proxy.refuse(refuses=False)

            assert await store.job("job-0001") == a_job(1)

    async def test_network_is_away(
        self, postgres: PostgresServer, key: RootKey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A network that swallows everything costs a request a bounded time, then 503; afterwards all is well."""
        monkeypatch.setattr("pikarelay.store.postgres.COMMAND_SECONDS", 0.3)
        monkeypatch.setattr("pikarelay.store.postgres.CONNECT_SECONDS", 0.3)
        monkeypatch.setattr("pikarelay.store.postgres.RETRY_SECONDS", 0.1)
        async with behind_proxy(postgres, key) as (store, proxy):
            await put(store, a_job(1))
            proxy.stall()
            async with asyncio.timeout(10):
                with pytest.raises(Unavailable):
                    await store.change("job-0001", touch)
                with pytest.raises(Unavailable):
                    await store.job("job-0001")
            proxy.cut()
            proxy.flow()
            async with asyncio.timeout(SOON):
                while True:
                    try:
                        assert await store.job("job-0001") is not None
                    except Unavailable:
                        await asyncio.sleep(0.05)
                    else:
                        break

    async def test_node_that_stands_still_holds_its_locks_for_seconds(
        self, nodes: list[PostgresStore], postgres: PostgresServer
    ) -> None:
        """A node that stops in the middle of a transaction keeps the others from a channel for a few seconds at most."""
        url = postgres.url(f"test_{postgres._count}")
        stopped = await asyncpg.connect(url, server_settings={"idle_in_transaction_session_timeout": "3000"})
        try:
            await stopped.execute("BEGIN; INSERT INTO channels VALUES ('100')")
            async with asyncio.timeout(10):
                await put(nodes[0], a_job(1))
        finally:
            stopped.terminate()

        assert await nodes[1].job("job-0001") == a_job(1)
        shown = await nodes[0]._runner._pool.fetchval("SHOW idle_in_transaction_session_timeout")  # type: ignore[attr-defined]
        assert shown == "3s"

    async def test_cancelled_caller(self, nodes: list[PostgresStore]) -> None:
        """A caller that is cancelled while it waits does not take its transaction back, and costs no connection."""
        await put(nodes[0], a_job(1))
        tasks = [asyncio.create_task(nodes[0].change("job-0001", touch)) for _ in range(8)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Whoever comes later waits for the job's row, and so for them.
        async with asyncio.timeout(SOON):
            await asyncio.gather(*nodes[0]._runner._running)  # type: ignore[attr-defined]
        job = await nodes[0].job("job-0001")

        assert all(task.cancelled() for task in tasks)
        assert job is not None
        assert job.message_flags == 8

    async def test_texts_with_nul(self, nodes: list[PostgresStore]) -> None:
        """A NUL, which PostgreSQL's texts cannot hold, is shown as U+FFFD, and in an id it finds nothing."""
        await put_with_callback(nodes[0], a_final_job(1))
        await nodes[0].claim_callbacks(NOW + timedelta(hours=1), LEASE, 9, 9)
        attempt = an_attempt(a_final_job(1), answer="o\0k")
        await nodes[0].finish_callback(attempt, ends(delivered=True))
        (kept,) = await nodes[0].attempts("job-0001")

        assert kept.answer == "o\ufffdk"
        assert await nodes[0].job("job\0-0001") is None

    async def test_closed(self, postgres: PostgresServer, key: RootKey) -> None:
        """Leaving the store's block waits for what has begun; after that it refuses."""
        async with PostgresStore.open(postgres.new_database(), root_key=key) as store:
            await put(store, a_job(1))
            writing = [asyncio.ensure_future(store.change("job-0001", touch)) for _ in range(20)]
            await asyncio.sleep(0)
        results = await asyncio.gather(*writing)

        assert max(job.message_flags for job in results if job is not None) == 20
        with pytest.raises(Unavailable):
            await store.job("job-0001")


class TestOpening:
    async def test_without_schema(self, postgres: PostgresServer, key: RootKey) -> None:
        """A database without the schema is refused with what to do, and becomes usable by doing it."""
        url = postgres.new_database(is_migrated=False)
        with pytest.raises(SchemaOutdated, match="pikarelay migrate"):
            async with PostgresStore.open(url, root_key=key):
                pass
        migrate(url)
        async with PostgresStore.open(url, root_key=key) as store:
            await store.ping()

    async def test_with_another_root_key(self, postgres: PostgresServer, key: RootKey) -> None:
        """A node with another root key than the first one's is refused."""
        url = postgres.new_database()
        async with PostgresStore.open(url, root_key=key):
            pass
        with pytest.raises(WrongKey):
            async with PostgresStore.open(url, root_key=RootKey(b"x" * 32, "the test")):
                pass

    async def test_nodes_that_start_together(self, postgres: PostgresServer, key: RootKey) -> None:
        """Nodes that open a new database together agree on its data key."""
        url = postgres.new_database()
        async with AsyncExitStack() as stack:
            stores = await asyncio.gather(
                *(stack.enter_async_context(PostgresStore.open(url, root_key=key)) for _ in range(4))
            )
            await put(stores[0], a_job(1))

            assert [a_job(1)] * 4 == [await store.job("job-0001") for store in stores]

    async def test_no_server(self, key: RootKey) -> None:
        """What cannot be reached is named without its password."""
        with pytest.raises(DatabaseUnreachable, match=r"postgresql://me@127\.0\.0\.1:1/none") as refusal:
            async with PostgresStore.open("postgresql://me:secret-word@127.0.0.1:1/none", root_key=key):
                pass

        assert "secret-word" not in str(refusal.value)

    async def test_secrets_are_sealed(self, postgres: PostgresServer, key: RootKey) -> None:
        """No Discord token can be read in the database."""
        url = postgres.new_database()
        async with PostgresStore.open(url, root_key=key) as store:
            await put(store, a_job(1))
        ((text,),) = await raw(url, "SELECT encode(discord_token, 'escape') FROM jobs")

        assert a_job(1).discord_token.reveal() not in text


def _prune_targets():  # type: ignore[no-untyped-def]  # noqa: ANN202
    from pikarelay.store.transactions.callbacks import prune_targets

    return prune_targets()


def test_nodes_that_start_together(postgres: PostgresServer) -> None:
    """Of processes that find an empty database at the same moment one makes the schema, and all find it made."""
    url = postgres.new_database(is_migrated=False)
    command = [
        sys.executable,
        "-c",
        "import sys; from pikarelay.store.migrations import migrate; migrate(sys.argv[1])",
        url,
    ]
    together = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=4 * SOON)[1] for process in together]

    assert [0, 0, 0] == [process.returncode for process in together], said
    assert schema_state(url).is_current
