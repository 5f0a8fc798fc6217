"""kill -9 in the middle of a rotation of the data key, or of a migration."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
import requests
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from chaos import sealed
from chaos.processes import Zygote

from pikarelay.store.migrations import NEEDED, migrate, sqlite_url
from tests.acceptance.servers import PATIENCE, Local, Relay, relay
from tests.postgres import PostgresServer, apart
from tests.store.test_migrations import on, what_is_there

SECRETS = 300
KILLS = 200
#: A rotation that has not come to where it was to die waits by now, for servers to learn of its key, and dies so.
LIFE_SECONDS = 0.5
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(folder: Path, local: Local) -> Iterator[Relay]:
    """A server with many stored tokens."""
    (folder / "data").mkdir(mode=0o700)
    asyncio.run(sealed.fill(folder / "data", SECRETS))
    with relay(folder, local) as running:
        yield running


@pytest.mark.timeout(12 * PATIENCE)
async def test_row_39_rotation(server: Relay, folder: Path) -> None:
    """Rotations that are killed leave every secret readable, cost no request, and are finished by the server itself."""
    answers: list[bool] = []
    is_over = threading.Event()
    asking = asyncio.create_task(asyncio.to_thread(keep_asking, server, answers, is_over))
    try:
        async with Zygote.start(ROOT / "src") as zygote:
            await kill_rotations(zygote, server, folder)
        deadline = time.monotonic() + PATIENCE
        while not sealed.read(server.data_folder).is_done:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
    finally:
        is_over.set()
        await asking

    check(server)
    assert len(answers) > KILLS
    assert all(answers)


async def kill_rotations(zygote: Zygote, server: Relay, folder: Path) -> None:
    """Begin rotations, one after the other, and kill each at some moment of its work; after each, look at every secret."""
    chance, reached = Random(39), 0
    for _ in range(KILLS):
        # Its commits: as it opens the store, as it makes the key, and for each hundred secrets.
        at, most = chance.choice(
            [("before COMMIT", 4), ("after COMMIT", 4), ("before UPDATE jobs", SECRETS // 2)]
        )
        rotation = await zygote.run(
            ["key", "rotate", "--data-folder", str(server.data_folder)],
            folder / "rotations.log",
            {"kill": {"points": str(folder / "points"), "at": [at, chance.randint(1, most)]}},
        )
        await asyncio.wait([rotation.ended], timeout=LIFE_SECONDS)
        reached += rotation.ended.done()
        await rotation.kill()
        check(server)
        assert -signal.SIGKILL == rotation.ended.result()
    assert reached > KILLS / 4


def keep_asking(server: Relay, answers: list[bool], is_over: threading.Event) -> None:
    # Now and then: the test is about what dies meanwhile, and not about how much a server bears.
    while not is_over.wait(0.05):
        answers.append(shown(server, len(answers) % SECRETS))


def shown(server: Relay, number: int) -> bool:
    """Ask for a job, and say whether its token could be read."""
    secret = sealed.secret_of(number)
    answer = requests.get(
        f"{server.url}/v1/pika/jobs/?jobid={sealed.job_of(number)}", headers=server.headers, timeout=PATIENCE
    )
    return (200, f"{secret[:3]}…secured…{secret[-3:]}") == (answer.status_code, answer.json().get("discord"))


def check(server: Relay) -> None:
    reading = sealed.read(server.data_folder)
    texts = [reading.texts["jobs", sealed.job_of(number)] for number in range(SECRETS)]

    assert [] == reading.unreadable
    assert [sealed.secret_of(number) for number in range(SECRETS)] == texts


@pytest.mark.timeout(240)
def test_row_39_migration(tmp_path: Path) -> None:
    """A migration that is killed at any of its steps leaves the schema as it was or as it will be, and begins anew."""
    source = tmp_path / "first.sqlite3"
    migrate(sqlite_url(source))
    fresh = objects_of(source)
    source.unlink()
    os.close(os.open(source, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(sqlite_url(source))
    with engine.begin() as connection:
        at_first_schema(connection)
    engine.dispose()
    found = killed_migrations(str(source), str(tmp_path))
    for path in (tmp_path / f"{number}.sqlite3" for number in range(1, len(found) + 1)):
        migrate(sqlite_url(path))

        assert fresh == objects_of(path)
        with closing(sqlite3.connect(path)) as raw:
            assert [("ok",)] == raw.execute("PRAGMA integrity_check").fetchall()
            assert [("100",)] == raw.execute("SELECT channel FROM channels").fetchall()

    assert len(found) > 5
    assert {"0001", NEEDED} == set(found)


@pytest.mark.timeout(240)
def test_row_39_migration_on_postgresql(postgres: PostgresServer) -> None:
    """As on SQLite; it stays as it was until COMMIT, and then is as it will be."""
    url = postgres.new_database(is_migrated=False)
    apart(on(url, at_first_schema))
    found = killed_migrations(url)
    migrate(url)

    assert len(found) > 5
    assert ["0001"] * (len(found) - 1) + [NEEDED] == found
    assert apart(on(postgres.new_database(), what_is_there)) == apart(on(url, what_is_there))
    assert [("100",)] == postgres.read(url, "SELECT channel FROM channels")


def killed_migrations(*target: str) -> list[str]:
    """Kill a migration at each of its steps; return the schema that each left."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.killed_migration", *target],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=6 * PATIENCE,
    )  # fmt: skip
    return done.stdout.split()


def at_first_schema(connection: sa.Connection) -> None:
    """Make a database as the first version made it, with something in it."""
    config = Config()
    config.set_main_option("script_location", "pikarelay.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    connection.execute(sa.text("INSERT INTO channels VALUES ('100')"))


def objects_of(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as raw:
        return {row[0] for row in raw.execute("SELECT name FROM sqlite_master")}
