"""Two API nodes and two workers on one PostgreSQL database: nothing that callers do is different, nor is anything lost."""

import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, relay
from tests.postgres import PostgresServer

#: It starts six programs, beside a PostgreSQL server.
pytestmark = pytest.mark.timeout(600)


@dataclass
class Cluster:
    """Nodes in processes of their own, with a folder each and one root key."""

    apis: list[Relay]
    workers: list[Relay]
    url: str

    def owners(self, postgres: PostgresServer) -> dict[str, str]:
        """Return which worker holds each channel and session, by the database."""
        rows = postgres.read(self.url, "SELECT name, owner FROM holdings WHERE owner IS NOT NULL")
        return dict(rows)


def wait_for(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 4 * PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster(postgres: PostgresServer, folder: Path, local: Local) -> Iterator[Cluster]:
    url = postgres.new_database()
    settings = {
        "database": url,
        "root_key": secrets.token_hex(32),
        "discord_press_interval_seconds": "0",
    }
    with ExitStack() as stack, ThreadPoolExecutor(3) as pool:

        def node(name: str, role: str, token: str = "") -> Relay:
            (folder / name).mkdir()
            (folder / name / "api-token").write_text(token)
            return stack.enter_context(relay(folder / name, local, "--role", role, **settings))

        first = node("api-1", "api")
        second = pool.submit(node, "api-2", "api", first.api_token)
        workers = [pool.submit(node, f"worker-{number}", "worker") for number in (1, 2)]
        yield Cluster([first, second.result()], [worker.result() for worker in workers], url)


def configure(api: Relay, seat: tuple[str, str]) -> None:
    token, channel = seat
    body = {"discord": token, "channel": channel, "maxJobs": 9}
    answer = requests.post(
        f"{api.url}/v1/pika/account/{channel}", headers=api.headers, json=body, timeout=PATIENCE
    )
    assert 204 == answer.status_code, answer.text


def submit(api: Relay, account: tuple[str, str], **fields: str) -> str:
    token, channel = account
    answer = api.submitted("create", {"prompt": "a boat", "discord": token, "channel": channel, **fields})
    return str(answer["jobid"])


def test_a_cluster(cluster: Cluster, postgres: PostgresServer, local: Local, hook: Receiver) -> None:
    """Channels spread over the workers; any API node takes and shows any job; one press each; each called back once."""
    accounts = [local.new_user(f"many-{number}") for number in range(4)]
    for account in accounts:
        configure(cluster.apis[0], account)
    wait_for(lambda: 8 == len(cluster.owners(postgres)), "not all channels and sessions were taken")
    wait_for(lambda: 2 == len(set(cluster.owners(postgres).values())), "one worker kept everything")

    with ThreadPoolExecutor(8) as pool:
        jobs = list(
            pool.map(
                lambda n: submit(cluster.apis[n % 2], accounts[n % 4], replyUrl=hook.url, maxJobs="9"),
                range(12),
            )
        )
    ended = {job: cluster.apis[1].finished(job) for job in jobs}
    called = [hook.next().job for _ in jobs]

    assert ["completed"] * 12 == [job["status"] for job in ended.values()]
    assert sorted(jobs) == sorted(job["jobid"] for job in called)
    assert all(ended[job["jobid"]] == job for job in called)
    assert hook.callbacks.empty()
    assert {1} == set(local.get("/presses").values())
    owners = cluster.owners(postgres)
    assert [4, 4] == sorted(Counter(owners.values()).values())


def test_owner_is_killed(cluster: Cluster, postgres: PostgresServer, local: Local, hook: Receiver) -> None:
    """What a killed worker had under way goes on at the other, which resumes its Discord sessions; nothing is pressed twice."""
    accounts = [local.new_user(f"killed-{number}") for number in range(4)]
    for account in accounts:
        configure(cluster.apis[0], account)
    wait_for(lambda: 16 == len(cluster.owners(postgres)), "not all channels and sessions were taken")
    wait_for(lambda: [8, 8] == list(Counter(cluster.owners(postgres).values()).values()), "not shared evenly")
    local.configure_pika(speed=1.0)
    jobs = [submit(cluster.apis[0], account, replyUrl=hook.url) for account in accounts]
    seen = len(local.ledger())
    dead = cluster.workers[0]
    assert dead.process is not None
    dead.process.send_signal(signal.SIGKILL)
    dead.process.wait()
    wait_for(lambda: 1 == len(set(cluster.owners(postgres).values())), "nobody took over")
    local.configure_pika(speed=0.0)
    jobs += [submit(cluster.apis[1], account, replyUrl=hook.url) for account in accounts]
    ended = [cluster.apis[1].finished(job)["status"] for job in jobs]

    assert ["completed"] * 8 == ended
    assert {1} == set(local.get("/presses").values())
    assert [] == [its for its in local.ledger()[seen:] if its["event"] == "identified"]
    assert 4 <= len([its for its in local.ledger()[seen:] if its["event"] == "resumed"])
    assert sorted(jobs) == sorted(hook.next().job["jobid"] for _ in jobs)
