"""What nodes on one PostgreSQL database hear and see of each other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from pikarelay.services.ports import Announcement, News, Sign
from pikarelay.store.ears import Ears
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.root_key import KeySource, load_root_key
from tests.postgres import PostgresServer
from tests.store.conftest import a_caller, a_job, an_account, ensure_callers, put

LEASE = timedelta(seconds=10)
SOON = 30.0


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
async def nodes(url: str, tmp_path: Path) -> AsyncIterator[list[PostgresStore]]:
    key = load_root_key(KeySource(tmp_path))
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(PostgresStore.open(url, root_key=key, connections=2))
            for _ in range(2)
        ]


class Heard:
    """What one node has heard, and a way to wait for more."""

    def __init__(self, store: PostgresStore | Ears) -> None:
        self.all: list[Announcement] = []
        self._came = asyncio.Event()
        store.subscribe(self._hear)

    def _hear(self, announcement: Announcement) -> None:
        self.all.append(announcement)
        self._came.set()

    async def until(self, holds: Callable[[list[News]], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not holds([its.news for its in self.all]):
                self._came.clear()
                await self._came.wait()


async def signs_until(store: PostgresStore, worker_id: str, sign: Sign) -> None:
    async with asyncio.timeout(SOON):
        while {worker_id: sign} != {m.worker_id: m.sign for m in await store.members()}:  # noqa: ASYNC110 -- nobody tells
            await asyncio.sleep(0.02)


async def test_admission_is_announced(nodes: list[PostgresStore]) -> None:
    """Every node hears of a job that another has admitted, once it is committed, and where it is."""
    one, two = nodes
    heard = Heard(two)
    await heard.until(lambda news: News.MISSED in news)
    await one.add_caller(a_caller())
    await put(one, a_job(1, channel="100"))
    await heard.until(lambda news: News.ADMITTED in news)

    (told,) = [its for its in heard.all if its.news is News.ADMITTED]
    assert ("job-0001", "100") == (told.job_id, told.channel)


async def test_nothing_is_told_of_what_was_not_done(nodes: list[PostgresStore]) -> None:
    """A transaction that is rolled back tells nothing."""
    one, two = nodes
    heard = Heard(two)
    await heard.until(lambda news: News.MISSED in news)
    await one.add_caller(a_caller())

    def refuse(_: object) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await one.admit("ann", ["100"], refuse)  # type: ignore[arg-type]
    await one.put_account(an_account())
    await heard.until(lambda news: News.ACCOUNTS in news)

    assert News.ADMITTED not in [its.news for its in heard.all]


async def test_connection_is_killed(nodes: list[PostgresStore], url: str) -> None:
    """A node whose ears were cut off hears again by itself, and is told to look at everything."""
    one, two = nodes
    heard = Heard(two)
    await heard.until(lambda news: News.MISSED in news)
    await kill_ears(url)
    await heard.until(lambda news: 2 == news.count(News.MISSED))
    await ensure_callers(one, "ann")
    await one.put_account(an_account())

    await heard.until(lambda news: News.ACCOUNTS in news)


async def test_signs_of_life(nodes: list[PostgresStore], url: str, tmp_path: Path) -> None:
    """A worker is seen from its first beat on as long as its connection lives, and missing in the moment in which that ends."""
    _, two = nodes
    async with PostgresStore.open(url, root_key=load_root_key(KeySource(tmp_path))) as one:
        # Its connection is there before it is a worker's.
        await Heard(one).until(lambda news: News.MISSED in news)
        await one.beat("one", LEASE)

        assert 1 == await locks(url)
        assert [Sign.PRESENT] == [m.sign for m in await two.members()]
    await signs_until(two, "one", Sign.MISSING)


async def test_server_was_restarted(url: str, tmp_path: Path) -> None:
    """A lock taken before the server started proves nothing: nobody is missing because the server forgot it."""
    key = load_root_key(KeySource(tmp_path))
    async with PostgresStore.open(url, root_key=key) as store:
        await store.beat("one", LEASE)
        connection = await asyncpg.connect(url)
        await connection.execute("UPDATE workers SET locked = 1")
        await connection.close()

        assert [Sign.PRESENT] == [m.sign for m in await store.members()]


class FakeConnection:
    """A connection of asyncpg's as the ears use one, which fails as a test says."""

    def __init__(self, *, on_listen: Exception | None = None, on_ask: Exception | None = None) -> None:
        self._on_listen = on_listen
        self._on_ask = on_ask
        self.is_open = True

    async def add_listener(self, *_: object) -> None:
        if self._on_listen is not None:
            raise self._on_listen

    def add_termination_listener(self, _: object) -> None:
        """Never tell: it ends by what it raises."""

    async def execute(self, _: str) -> None:
        if self._on_ask is not None:
            raise self._on_ask

    def terminate(self) -> None:
        self.is_open = False


async def test_whatever_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """However a connection fails, also by a defect of its driver or of whoever hears, it is closed, and the next one is made."""
    defect = asyncpg.InternalClientError("a defect")
    connections = [
        FakeConnection(on_listen=TimeoutError()),
        FakeConnection(on_listen=defect),
        FakeConnection(on_ask=defect),
        FakeConnection(),
    ]
    answers: list[FakeConnection | Exception] = [defect, *connections]

    async def connect(*_: object, **__: object) -> FakeConnection:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fail(_: Announcement) -> None:
        raise LookupError("a defect")

    monkeypatch.setattr(asyncpg, "connect", connect)
    ears = Ears("postgresql://nowhere")
    ears.subscribe(fail)
    heard = Heard(ears)
    try:
        await heard.until(lambda news: 2 == news.count(News.MISSED))

        assert [False, False, False, True] == [its.is_open for its in connections]
    finally:
        await ears.close()


async def kill_ears(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'pikarelay ears' AND datname = current_database()"
    )
    await connection.close()


async def locks(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    finally:
        await connection.close()
