"""kill -9 in the middle of a rotation of the data key."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import requests
from chaos import sealed
from chaos.processes import Zygote

from tests.acceptance.servers import PATIENCE, Local, Relay, relay

SECRETS = 300
KILLS = 200
#: A rotation that has not come to where it was to die waits by now, for servers to learn of its key, and dies so.
LIFE_SECONDS = 0.3
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
