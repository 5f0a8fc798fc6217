"""What only the SQLite store promises: groups, durability, and surviving a disk that says no."""

import asyncio
import signal
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from pikarelay.errors import Unavailable
from pikarelay.jobs.health import AccountHealth, HealthState
from pikarelay.jobs.job import Job, Upload
from pikarelay.jobs.ownership import session_name_of
from pikarelay.jobs.requests import RequestKey
from pikarelay.jobs.secret import Unreadable
from pikarelay.services.ports import Change, KeptSession
from pikarelay.store.compile import for_sqlite
from pikarelay.store.migrations import SchemaOutdated, migrate, sqlite_url
from pikarelay.store.root_key import KeySource, RootKey, WrongKey, load_root_key
from pikarelay.store.rules import AlreadyThere
from pikarelay.store.sqlite import GROUP, SqliteStore
from pikarelay.store.sqlite_file import DatabaseDamaged
from tests.store.conftest import (
    LEASE,
    NOW,
    TOKEN,
    a_caller,
    a_draft,
    a_final_job,
    a_job,
    a_sent_job,
    an_account,
    an_attempt,
    ends,
    put,
    put_with_callback,
)

IMAGE = Upload(size=1, type="image/png", key="f1")
READY = AccountHealth(state=HealthState.READY)
KEPT = KeptSession(user_id="1", session_id="s", sequence=1, resume_url="wss://x.example")
BOOKKEEPING = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "--")


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("pikarelay.db*")}


def touch(job: Job) -> Change:
    return Change(job=replace(job, message_flags=job.message_flags + 1))


def database(folder: Path) -> Path:
    path = folder / "pikarelay.db"
    migrate(sqlite_url(path))
    return path


class Leaving(BaseException):
    """Something worse than an error."""


class Tracer:
    """Counts what the connections run."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> None:
        self.texts.append(text)

    def count(self, first_word: str) -> int:
        return sum(text.startswith(first_word) for text in self.texts)

    @property
    def statements(self) -> list[str]:
        # SQLite shows a DELETE again for each table that its cascade goes on to.
        return [
            text
            for before, text in pairwise(["", *self.texts])
            if not text.startswith(BOOKKEEPING) and not (text == before and text.startswith("DELETE"))
        ]


@asynccontextmanager
async def traced(folder: Path) -> AsyncIterator[tuple[SqliteStore, Tracer]]:
    tracer = Tracer()
    async with SqliteStore.open(
        database(folder), root_key=load_root_key(KeySource(folder)), trace=tracer
    ) as store:
        yield store, tracer


@asynccontextmanager
async def writer_held(store: SqliteStore) -> AsyncIterator[None]:
    """Keep the writer inside a transaction, so that whatever is written meanwhile queues up."""
    is_held, let_go = threading.Event(), threading.Event()

    def hold(_job: Job) -> None:
        is_held.set()
        let_go.wait()

    await put(store, a_job(9999))
    holding = asyncio.ensure_future(store.change("job-9999", hold))
    await asyncio.get_running_loop().run_in_executor(None, is_held.wait)
    try:
        yield
    finally:
        let_go.set()
        await holding


async def queued(*writes: Awaitable[object]) -> asyncio.Future[list[object]]:
    """Start writes and return once all of them are in the writer's queue."""
    gathered = asyncio.gather(*writes, return_exceptions=True)
    await asyncio.sleep(0)
    return gathered


class TestGroups:
    async def test_queued_writes_share_a_commit(self, tmp_path: Path) -> None:
        """A hundred changes that queued up while the writer was busy cost one commit together."""
        async with traced(tmp_path) as (store, tracer):
            jobs = [a_job(n) for n in range(100)]
            await put(store, *jobs)
            async with writer_held(store):
                before = tracer.count("COMMIT")
                writes = await queued(*(store.change(job.job_id, touch) for job in jobs))
            results = await writes

            assert all(isinstance(result, Job) for result in results)
            assert tracer.count("COMMIT") - before == 2  # The held one's, and theirs.

    async def test_a_group_has_a_limit(self, tmp_path: Path) -> None:
        """More writes than a group holds are committed in several groups, in the order they came."""
        async with traced(tmp_path) as (store, tracer):
            await put(store, a_job(1))
            order: list[int] = []

            def note(number: int) -> Callable[[Job], Change]:
                def decide(job: Job) -> Change:
                    order.append(number)
                    return touch(job)

                return decide

            async with writer_held(store):
                before = tracer.count("COMMIT")
                writes = await queued(*(store.change("job-0001", note(n)) for n in range(GROUP + 10)))
            await writes

            assert tracer.count("COMMIT") - before == 3
            assert list(range(GROUP + 10)) == order

    async def test_one_error_is_its_own(self, sqlite_store: SqliteStore) -> None:
        """Of a group, the transactions that raise are undone and the others are written."""

        def fail(_job: Job) -> Change:
            raise LookupError("mine")

        def leave(_job: Job) -> Change:
            raise Leaving

        def late_failure(job: Job) -> Change:
            return Change(job=replace(job, content="never"), callback=a_draft(job, job_id="none"))

        await put(sqlite_store, *(a_job(n) for n in range(4)))
        async with writer_held(sqlite_store):
            writes = await queued(
                sqlite_store.change("job-0000", touch),
                sqlite_store.change("job-0001", fail),
                sqlite_store.change("job-0002", late_failure),
                sqlite_store.change("job-0002", leave),
                put(sqlite_store, a_job(3)),
                sqlite_store.change("job-0003", touch),
            )
        good, own, foreign_key, left, taken, last = await writes

        assert isinstance(good, Job)
        assert isinstance(own, LookupError)
        assert isinstance(foreign_key, sqlite3.IntegrityError)
        assert isinstance(left, Leaving)
        assert isinstance(taken, AlreadyThere)
        assert isinstance(last, Job)
        assert await sqlite_store.job("job-0000") == good
        assert await sqlite_store.job("job-0001") == a_job(1)
        assert await sqlite_store.job("job-0002") == a_job(2)
        assert await sqlite_store.job("job-0003") == last

    async def test_cancelled_caller(self, sqlite_store: SqliteStore) -> None:
        """A caller that is cancelled while it waits harms nobody else of its group."""
        await put(sqlite_store, a_job(1))
        async with writer_held(sqlite_store):
            cancelled = asyncio.ensure_future(sqlite_store.change("job-0001", touch))
            writes = await queued(sqlite_store.change("job-0001", touch))
            cancelled.cancel()
        (result,) = await writes

        assert isinstance(result, Job)
        assert cancelled.cancelled()
        await sqlite_store.ping()

    async def test_new_work_does_not_wait_for_a_slow_disk(self, sqlite_store: SqliteStore) -> None:
        """A job that cannot be admitted soon is refused and never admitted; what is already known is still written."""
        await put(sqlite_store, a_job(1))
        async with writer_held(sqlite_store):
            kept = asyncio.ensure_future(sqlite_store.change("job-0001", touch))
            with pytest.raises(Unavailable):
                await put(sqlite_store, a_job(2))
            with pytest.raises(Unavailable):
                await sqlite_store.put_account(an_account())
            read = await sqlite_store.job("job-0001")
            is_waiting = not kept.done()
        changed = await kept
        await sqlite_store.ping()

        assert a_job(1) == read
        assert is_waiting
        assert isinstance(changed, Job)
        assert await sqlite_store.job("job-0002") is None
        assert () == await sqlite_store.accounts()

    async def test_closing_writes_what_is_queued(self, tmp_path: Path) -> None:
        """Leaving the store's block waits for what is queued; after that it refuses."""
        async with traced(tmp_path) as (store, _):
            await put(store, a_job(1))
            writes = await queued(*(store.change("job-0001", touch) for _ in range(50)))
        results = await writes

        assert isinstance(results[-1], Job)
        assert results[-1].message_flags == 50
        with pytest.raises(Unavailable):
            await store.job("job-0001")
        with pytest.raises(Unavailable):
            await store.ping()


class TestWork:
    """Statements are counted, for their number is what the code decides."""

    @pytest.mark.parametrize(
        ("run", "statements"),
        [
            (lambda s: s.holder(b"x"), 1),
            (lambda s: s.job("job-0001"), 1),
            (lambda s: s.job_by_nonce("x"), 1),
            (lambda s: s.account("ann", "100"), 1),
            (lambda s: s.executing("ann"), 1),
            (lambda s: s.unfinished(), 1),
            (lambda s: s.ghosts(NOW), 1),
            (lambda s: s.next_callback(), 1),
            (lambda s: s.sightings("100", []), 1),
            (lambda s: s.sightings("100", ["1", "2", "3", "4"]), 1),
            (lambda s: s.sightings("100", ["1"], ghosts_since=NOW), 1),
            (lambda s: s.sightings("100", list("123456789"), ghosts_since=NOW), 2),
            (lambda s: s.orphan("1"), 1),
            (lambda s: s.orphans("100"), 1),
            (lambda s: s.kept_sessions(), 1),
            (lambda s: s.kept_sessions([session_name_of(bytes([n])) for n in range(65)]), 2),
            (lambda s: s.health(NOW), 1),
            (lambda s: s.keep_health({}, [], NOW), 1),
            (lambda s: s.keep_health(dict.fromkeys(map(bytes, range(66)), READY), [], NOW), 5),
            (lambda s: s.keep_sessions({}, [b"d"]), 1),
            (lambda s: s.keep_sessions(dict.fromkeys(map(bytes, range(66)), KEPT)), 4),
            (lambda s: s.admit("ann", ["100"], lambda _: a_job(5)), 3),
            (lambda s: s.admit("ann", ["100", "200", "300"], lambda _: a_job(5)), 4),
            (lambda s: s.admit("ann", list(map(str, range(2_000))), lambda _: a_job(5)), 4),
            (lambda s: s.admit("ann", ["100"], lambda _: a_job(5), RequestKey(text="k", digest=b"d")), 5),
            (lambda s: s.admit("ann", ["100"], lambda _: a_job(5, image=IMAGE)), 4),
            (lambda s: s.job_by_key("ann", "k", NOW), 1),
            (lambda s: s.known_uploads(["k"] * 65), 2),
            (lambda s: s.prune_keys(NOW), 2),
            (lambda s: s.change("job-0001", lambda _: None), 1),
            (lambda s: s.change("job-0001", touch), 2),
            (lambda s: s.change("job-0001", lambda j: Change(job=j, message_id="m")), 3),
            (lambda s: s.change("job-0001", lambda j: Change(job=j, callback=a_draft(j))), 6),
            (lambda s: s.change("job-0001", lambda j: Change(job=j, message_id="m", callback=a_draft(j))), 7),
            (lambda s: s.withdraw("job-0001", was_sent=False), 2),
            (lambda s: s.put_account(an_account()), 2),
            (lambda s: s.add_caller(a_caller("bob")), 1),
            (lambda s: s.set_reply_url("ann", None), 1),
            (lambda s: s.claim_callbacks(NOW + LEASE, LEASE, 10, 10), 4),
            (lambda s: s.finish_callback(an_attempt(a_final_job(2), 0), ends(delivered=True)), 7),
            (lambda s: s.prune(NOW + LEASE), 4),
        ],
    )
    async def test_statements_per_verb(
        self, tmp_path: Path, run: Callable[[SqliteStore], Awaitable[object]], statements: int
    ) -> None:
        """Each verb costs a known number of statements."""
        async with traced(tmp_path) as (store, tracer):
            await put(store, a_job(1))
            await put_with_callback(store, a_final_job(2))
            tracer.texts.clear()
            await run(store)

            assert len(tracer.statements) == statements, tracer.statements

    async def test_no_statement_reads_a_whole_table(self, sqlite_store: SqliteStore) -> None:
        """No statement about jobs, messages, callbacks or copies looks at rows that no index led it to."""
        small = {
            "callers",
            "api_tokens",
            "revoke_api_tokens_of",
            "remove_api_tokens",
            "accounts",
            "accounts_of_caller",
            "data_keys",
            "lock_data_keys",
            "ping",
            "probe",
            "targets",
            "idle_targets",
            "busy_targets",
        }
        small |= {"orphans", "prune_orphans", "gateway_sessions"}
        # A row an account, read when a person asks, and pruned once a minute.
        small |= {"account_health", "prune_account_health"}
        # Asked by an operator's command, which has a process of its own; and once, when a server starts.
        small |= {"count_copies", "busy_targets"}
        small |= {"workers", "forget_workers", "holdings"}
        # A row a migration.
        small |= {"migrations"}
        small |= {"release_all", "prune_answers", "account_seats", "files_size"}
        with closing(sqlite3.connect(_path_of(sqlite_store))) as connection:
            scans = [
                f"{name}: {step}"
                for name, sql in for_sqlite().items()
                if name not in small
                for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql.text}", _AnyParameter())
                # The indexes of what is unfinished have nothing else in them, so all of them may be read.
                if step.startswith("SCAN")
                and "INDEX jobs_unfinished" not in step
                and "INDEX copies_undone" not in step
                and "INDEX callbacks_undelivered" not in step
                # What the statement brings with it.
                and "CONSTANT ROW" not in step
                # There is a row for each origin that callbacks go to.
                and not step.startswith("SCAN callback_targets")
                # Walks the primary key's index from its end, and stops at the limit.
                and name != "newest_jobs"
            ]

        assert scans == []

    async def test_probe_reaches_the_disk(self, sqlite_store: SqliteStore) -> None:
        """A probe writes one page to the log, although it changes nothing."""
        path = _path_of(sqlite_store)
        log = path.with_name(path.name + "-wal")
        sizes = []
        for _ in range(4):
            await sqlite_store.probe()
            sizes.append(log.stat().st_size)

        # A page with what the log says of it.
        assert [4096 + 24] * 3 == [after - before for before, after in pairwise(sizes)]

    async def test_reads_wait_for_nobody(self, sqlite_store: SqliteStore) -> None:
        """A read answers with what is committed while the writer is in the middle of a transaction."""
        await put(sqlite_store, a_job(1))
        async with writer_held(sqlite_store):
            assert await sqlite_store.job("job-0001") == a_job(1)


class _AnyParameter(dict[str, object]):
    def __missing__(self, key: str) -> object:
        return None


def _path_of(store: SqliteStore) -> Path:
    runner = store._runner
    ((_, _, path),) = runner._reader.execute("PRAGMA database_list").fetchall()  # type: ignore[attr-defined]
    return Path(path)


class TestTroubles:
    async def test_full_disk(self, sqlite_store: SqliteStore) -> None:
        """When the file cannot grow, writes are refused and reads go on; when it can again, so do writes."""
        await put(sqlite_store, a_job(1))
        writer: sqlite3.Connection = sqlite_store._runner._writer  # type: ignore[attr-defined]
        ((pages,),) = writer.execute("PRAGMA page_count").fetchall()
        writer.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        large = a_job(2, prompt="x" * 1_000_000)

        with pytest.raises(Unavailable) as refusal:
            await put(sqlite_store, large)
        assert "full" in str(refusal.value.__cause__)
        assert await sqlite_store.job("job-0001") == a_job(1)
        assert await sqlite_store.job("job-0002") is None
        writer.execute("PRAGMA max_page_count = 1000000").fetchall()
        await put(sqlite_store, large)
        assert await sqlite_store.job("job-0002") == large

    async def test_file_busy_for_too_long(self, sqlite_store: SqliteStore) -> None:
        """While another process holds the file, writes are refused and reads go on."""
        await put(sqlite_store, a_job(1))
        sqlite_store._runner._writer.execute("PRAGMA busy_timeout = 0").fetchall()  # type: ignore[attr-defined]
        with closing(sqlite3.connect(_path_of(sqlite_store), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")

            with pytest.raises(Unavailable):
                await sqlite_store.ping()
            assert await sqlite_store.job("job-0001") == a_job(1)
            other.execute("ROLLBACK")
        await sqlite_store.ping()

    async def test_two_stores_on_one_file(self, tmp_path: Path) -> None:
        """Two stores on one file see each other's writes at once, and never admit past the limit."""
        path, key = database(tmp_path), load_root_key(KeySource(tmp_path))
        async with SqliteStore.open(path, root_key=key) as one, SqliteStore.open(path, root_key=key) as two:
            await put(one, a_job(1))
            assert await two.job("job-0001") == a_job(1)

            await asyncio.gather(
                *(store.change("job-0001", touch) for store in (one, two) for _ in range(100))
            )
            job = await one.job("job-0001")
            assert job is not None
            assert job.message_flags == 200

    async def test_no_file(self, tmp_path: Path) -> None:
        """A database that is not there is not made by opening it."""
        with pytest.raises(SchemaOutdated, match="pikarelay migrate"):
            async with SqliteStore.open(tmp_path / "none.db", root_key=load_root_key(KeySource(tmp_path))):
                pass
        assert not (tmp_path / "none.db").exists()

    async def test_not_a_database(self, tmp_path: Path) -> None:
        """A file that is no database is refused by its name."""
        (tmp_path / "not.db").write_bytes(b"hello" * 1000)

        with pytest.raises(DatabaseDamaged, match=r"not\.db is damaged: the file is not a database"):
            async with SqliteStore.open(tmp_path / "not.db", root_key=load_root_key(KeySource(tmp_path))):
                pass


class TestSecrets:
    async def test_no_token_on_the_disk(self, tmp_path: Path) -> None:
        """A Discord token is in no file of the database, where the prompt beside it can be found."""
        async with traced(tmp_path) as (store, _):
            await put(store, a_job(1, prompt="a prompt to find"))
            await store.put_account(an_account())
            await store.change("job-0001", touch)
            found = contents_of(tmp_path)

        assert "pikarelay.db-wal" in found
        assert any(b"a prompt to find" in content for content in found.values())
        assert not any(part in content for content in found.values() for part in (TOKEN.encode(), b"canary"))

    @pytest.mark.parametrize("table", ["jobs", "accounts"])
    async def test_swapped_secrets_do_not_open(self, tmp_path: Path, table: str) -> None:
        """A sealed token that was moved to another row does not open there, and the rest of the row can be read."""
        path = database(tmp_path)
        async with SqliteStore.open(path, root_key=load_root_key(KeySource(tmp_path))) as store:
            await put(store, a_job(1), a_job(2))
            await store.put_account(an_account(channel="100"))
            await store.put_account(an_account(channel="200"))
        with closing(sqlite3.connect(path)) as raw, raw:
            (_, one), (_, two) = raw.execute(
                f"SELECT rowid, discord_token FROM {table} ORDER BY 1"
            ).fetchall()
            raw.execute(f"UPDATE {table} SET discord_token = iif(rowid = 1, ?, ?)", (two, one))

        async with SqliteStore.open(path, root_key=load_root_key(KeySource(tmp_path))) as store:
            for number in (1, 2):
                found = await (
                    store.job(f"job-{number:04}") if table == "jobs" else store.account("ann", f"{number}00")
                )

                assert found is not None
                assert isinstance(found.discord_token, Unreadable)
                assert "ann" == found.caller_id

    async def test_wrong_root_key(self, tmp_path: Path) -> None:
        """A database that was sealed with another root key says so at once, and names both keys."""
        path, key = database(tmp_path), load_root_key(KeySource(tmp_path))
        async with SqliteStore.open(path, root_key=key):
            pass
        wrong = RootKey(b"w" * 32, "/etc/wrong.key")

        with pytest.raises(WrongKey) as refusal:
            async with SqliteStore.open(path, root_key=wrong):
                pass
        assert all(
            part in str(refusal.value) for part in ("/etc/wrong.key", key.fingerprint, wrong.fingerprint)
        )


KILLED = """
import asyncio, sys
from pathlib import Path
from pikarelay.store.sqlite import SqliteStore
from pikarelay.store.root_key import KeySource, load_root_key
from tests.store.conftest import a_job, put

async def write(store, start):
    for number in range(start, 1_000_000, 20):
        await put(store, a_job(number))
        sys.stdout.write(f"job-{number:04}\\n")
        sys.stdout.flush()

async def main(folder):
    async with SqliteStore.open(folder / "pikarelay.db", root_key=load_root_key(KeySource(folder))) as store:
        await asyncio.gather(*(write(store, start) for start in range(20)))

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_killed_process_loses_nothing(tmp_path: Path) -> None:
    """Of a process killed in the midst of writing, every acknowledged job is there, and the file is sound."""
    path = database(tmp_path)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        KILLED,
        str(tmp_path),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    acknowledged = [await process.stdout.readline() for _ in range(300)]
    process.send_signal(signal.SIGKILL)
    acknowledged += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    # The last line may be cut short by the kill.
    ids = [line.decode().strip() for line in acknowledged if line.endswith(b"\n")]

    assert len(ids) >= 300
    async with SqliteStore.open(path, root_key=load_root_key(KeySource(tmp_path))) as store:
        assert [job_id for job_id in ids if await store.job(job_id) is None] == []
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_pruning_in_portions(sqlite_store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clean-up larger than one portion deletes everything that is old."""
    monkeypatch.setattr("pikarelay.store.sql.PRUNED_AT_ONCE", 3)
    await put(sqlite_store, *(a_final_job(n) for n in range(7)), a_sent_job(7))

    assert await sqlite_store.prune(NOW + timedelta(hours=1)) == 7
    assert await sqlite_store.unfinished() == (a_sent_job(7),)
