"""This release's code on the schema of the next one, which the next one's own `migrate` made."""

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from chaos.next_release import NEXT, next_release
from msgspec.structs import replace

from pikarelay.jobs.job import Job
from pikarelay.services.ports import Change, Condition
from pikarelay.store.migrations import NEEDED, SchemaOutdated, migrate, schema_state, sqlite_url
from pikarelay.store.moving import move
from pikarelay.store.postgres import PostgresStore
from pikarelay.store.root_key import KeySource, load_root_key
from pikarelay.store.sqlite import SqliteStore
from tests.postgres import PostgresServer
from tests.store.conftest import (
    LEASE,
    NOW,
    AnyStore,
    Opener,
    a_final_job,
    a_job,
    an_account,
    put,
    put_with_callback,
)

# Each runs another release in processes of its own.
pytestmark = pytest.mark.timeout(240)
ROOT = Path(__file__).parents[2]
MIGRATE = "import sys; from pikarelay.store.migrations import migrate; migrate(sys.argv[1])"
#: Admits a job, as a node of the next release does.
ADMIT = """
import asyncio, sys
from pathlib import Path
from tests.store.test_upgrade import opener_of, a_final_job, put

async def admit():
    async with opener_of(sys.argv[1], Path(sys.argv[2]))() as store:
        await put(store, a_final_job(99))

asyncio.run(admit())
"""


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, Path]:
    """The next release, by the oldest code that it says its migration serves: ours, its own alone, or none because it forgot to say."""
    folder = tmp_path_factory.mktemp("releases")
    return {
        oldest_code: next_release(ROOT / "src", folder / str(oldest_code), oldest_code=oldest_code)
        for oldest_code in (NEEDED, NEXT, None)
    }


def opener_of(url: str, folder: Path) -> Opener:
    root_key = load_root_key(KeySource(folder))
    if url.startswith("sqlite"):
        return lambda: SqliteStore.open(folder / "pikarelay.db", root_key=root_key)
    return lambda: PostgresStore.open(url, root_key=root_key)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with our schema."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.new_database()
    address = sqlite_url(tmp_path / "pikarelay.db")
    migrate(address)
    return address


def by(release: Path, code: str, *arguments: str) -> str:
    """Run code of a release, and return what it said on stderr; nothing when all went well."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": f"{release}{os.pathsep}{ROOT}"},
        capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr


def touch(job: Job) -> Change:
    return Change(job=replace(job, message_flags=job.message_flags + 1))


async def work(store: AnyStore, first: int) -> None:
    """Do with a store what a server does all day, on two jobs of its own."""
    waiting, final = a_job(first), a_final_job(first + 1)
    await put(store, waiting)
    await put_with_callback(store, final)
    await store.put_account(an_account(channel=str(first)))
    await store.change(waiting.job_id, touch)
    changed = await store.job(waiting.job_id)

    assert changed is not None
    assert 1 == changed.message_flags
    assert waiting.job_id in {job.job_id for job in await store.unfinished()}
    assert [final.job_id] == [
        callback.job_id for callback in await store.claim_callbacks(final.updated, LEASE, 9, 9)
    ]
    assert Condition(has_schema=True, has_key=True) == await store.probe()


async def test_our_code_goes_on(url: str, tmp_path: Path, releases: dict[str | None, Path]) -> None:
    """Our code goes on while the next release migrates, starts again on what that left, and prunes what the next one admitted."""
    async with opener_of(url, tmp_path)() as store:
        await work(store, 10)
        assert "" == await asyncio.to_thread(by, releases[NEEDED], MIGRATE, url)
        await work(store, 20)
    state = schema_state(url)
    migrate(url)

    assert state == schema_state(url)
    assert (NEXT, True, True) == (state.current, state.is_ahead, state.is_usable)
    async with opener_of(url, tmp_path)() as store:
        await work(store, 30)
        assert "" == await asyncio.to_thread(by, releases[NEEDED], ADMIT, url, str(tmp_path))
        theirs = await store.job("job-0099")
        assert theirs == a_final_job(99)
        assert 4 == await store.prune(NOW + timedelta(days=1))


async def test_a_schema_that_does_not_serve_us(
    url: str, tmp_path: Path, releases: dict[str | None, Path]
) -> None:
    """Where the next release says that its schema is for its own code alone, ours is unready, and does not start: it names both."""
    async with opener_of(url, tmp_path)() as store:
        assert "" == await asyncio.to_thread(by, releases[NEXT], MIGRATE, url)

        assert Condition(has_schema=False, has_key=True) == await store.probe()
    named = f"is at schema {NEXT}, and this version needs {NEEDED}: pikarelay .* made it for versions that need {NEXT}"
    with pytest.raises(SchemaOutdated, match=named):
        async with opener_of(url, tmp_path)():
            pass
    with pytest.raises(SchemaOutdated, match=named):
        migrate(url)


def test_a_migration_that_does_not_say(tmp_path: Path, releases: dict[str | None, Path]) -> None:
    """A migration that does not say which code it serves is not carried out."""
    address = sqlite_url(tmp_path / "pikarelay.db")
    migrate(address)

    assert "has no attribute 'oldest_code'" in by(releases[None], MIGRATE, address)
    assert NEEDED == schema_state(address).current


async def test_moving(tmp_path: Path, postgres: PostgresServer, releases: dict[str | None, Path]) -> None:
    """A store of a newer version is not moved, nor is one moved into such: what we know nothing of would be left behind."""
    source, target = tmp_path / "pikarelay.db", postgres.new_database()
    migrate(sqlite_url(source))
    assert "" == await asyncio.to_thread(by, releases[NEEDED], MIGRATE, target)
    with pytest.raises(SchemaOutdated, match="postgresql://"):
        await move(source, target, tmp_path)
    assert "" == await asyncio.to_thread(by, releases[NEEDED], MIGRATE, sqlite_url(source))

    with pytest.raises(SchemaOutdated, match=r"pikarelay\.db"):
        await move(source, postgres.new_database(), tmp_path)
