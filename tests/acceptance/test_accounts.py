"""Accounts: how they are set up, which of them runs a job, and what is told of them."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.servers import PATIENCE, Local, Relay, relay

ACCOUNT = "/v1/pika/account"
UNKNOWN = "1180000000000000001"


@pytest.fixture
def server(tmp_path: Path, local: Local) -> Iterator[Relay]:
    """A server of its own for each test: accounts are the caller's, and there is one caller."""
    # A bot that takes long is not waited for.
    with relay(
        tmp_path, local, discord_press_interval_seconds="0", discord_answer_wait_seconds="0.2"
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def _quick_bot(local: Local) -> Iterator[None]:
    yield
    local.configure_pika(behaviour="plain", speed=0.0)


def ask(server: Relay, method: str, path: str, body: Any = None) -> requests.Response:
    return requests.request(method, server.url + path, headers=server.headers, json=body, timeout=PATIENCE)


def shown(seat: tuple[str, str], max_jobs: int) -> dict[str, Any]:
    token, channel = seat
    return {"channel": channel, "discord": f"{token[:3]}…secured…{token[-3:]}", "maxJobs": max_jobs}


def refused(answer: requests.Response, code: int, error: str) -> None:
    assert {"error": error, "code": code} == answer.json()
    assert (code, "application/json") == (answer.status_code, answer.headers["Content-Type"])


def create(server: Relay, **fields: str) -> requests.Response:
    return server.post("create", {"prompt": "a kite", **fields})


def test_life_of_an_account(server: Relay, local: Local) -> None:
    """An account is created, read, listed, updated, and deleted; nothing reads its token back."""
    one, two = local.new_user("life-1"), local.new_user("life-2")
    for path in (ACCOUNT, f"{ACCOUNT}/{one[1]}"):
        refused(ask(server, "GET", path), 404, "Configuration not found")

    server.configure(one)
    server.configure(two, 3)
    server.configure(one, 7)
    everything = ask(server, "GET", ACCOUNT)

    assert {one[1]: shown(one, 7), two[1]: shown(two, 3)} == everything.json()
    assert "application/json" == everything.headers["Content-Type"]
    assert shown(one, 7) == ask(server, "GET", f"{ACCOUNT}/{one[1]}").json()
    for path in (f"{ACCOUNT}/", f"{ACCOUNT}/{one[1]}/"):
        assert (
            200
            == requests.get(
                server.url + path, headers=server.headers, timeout=PATIENCE, allow_redirects=False
            ).status_code
        )

    deleted = ask(server, "DELETE", f"{ACCOUNT}/{one[1]}")

    assert (204, b"") == (deleted.status_code, deleted.content)
    refused(ask(server, "DELETE", f"{ACCOUNT}/{one[1]}"), 404, "Configuration not found")
    assert {two[1]: shown(two, 3)} == ask(server, "GET", ACCOUNT).json()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"discord": None}, "Required param discord is missing or empty"),
        ({"discord": ""}, "Required param discord is missing or empty"),
        ({"channel": None}, "Required param channel is missing or empty"),
        ({"channel": ""}, "Required param channel is missing or empty"),
        ({"channel": "nonsense"}, "Required param channel (nonsense) is not valid Discord channel id"),
        (
            {"channel": "1180000000000000002"},
            f"Required param channel (1180000000000000002) not matching to /pika/account/{UNKNOWN}",
        ),
        ({"maxJobs": None}, "Required param maxJobs is missing or empty"),
        ({"maxJobs": ""}, "Required param maxJobs is missing or empty"),
        ({"maxJobs": 0}, "Required param maxJobs is missing or empty"),
        ({"maxJobs": -1}, "Required param maxJobs is missing or empty"),
        ({"maxJobs": 11}, "Required param maxJobs 11 can't be more that 10"),
        ({"maxJobs": 10**30}, "Required param maxJobs 100000000000000000 can't be more that 10"),
        ({"maxJobs": "0" * 17 + "5999"}, "Required param maxJobs 000000000000000005 can't be more that 10"),
        ({"maxJobs": "9" * 5000}, "Required param maxJobs 999999999999999999 can't be more that 10"),
        ({"maxJobs": "0" * 5000}, "Required param maxJobs is missing or empty"),
    ],
)
def test_wrong_account(wrong_server: Relay, change: dict[str, Any], error: str) -> None:
    """Each thing that can be wrong with an account has its sentence, and nothing is stored."""
    body = {"discord": "A" * 60, "channel": UNKNOWN, "maxJobs": 10, **change}

    refused(ask(wrong_server, "POST", f"{ACCOUNT}/{UNKNOWN}", body), 400, error)
    refused(ask(wrong_server, "GET", ACCOUNT), 404, "Configuration not found")


@pytest.fixture(scope="module")
def wrong_server(folder: Path, local: Local) -> Iterator[Relay]:
    """A server that is asked for nothing but what it refuses."""
    with relay(folder, local) as running:
        yield running


def test_same_token_twice(server: Relay, local: Local) -> None:
    """A token that another channel has already is refused with that channel's name."""
    token, channel = local.new_user("twice")
    server.configure((token, channel))
    body = {"discord": token, "channel": UNKNOWN, "maxJobs": 10}

    refused(
        ask(server, "POST", f"{ACCOUNT}/{UNKNOWN}", body),
        400,
        f"Channel {channel} configuration has same discord value",
    )


def test_load_balancing(server: Relay, local: Local) -> None:
    """A job that names no account runs on any that has room; when none has, the 429 speaks of all of them."""
    local.configure_pika(behaviour="plain", speed=60.0)
    seats = [local.new_user(f"balance-{n}") for n in range(3)]
    limits = {seat[1]: limit for seat, limit in zip(seats, (1, 2, 3), strict=True)}
    for seat in seats:
        server.configure(seat, limits[seat[1]])

    taken = [create(server).json() for _ in range(6)]
    full = create(server)

    # Every place is filled, and none twice: what was full was passed over.
    assert limits == Counter(job["channel"] for job in taken)
    assert {job["channel"]: limits[job["channel"]] for job in taken} == {
        job["channel"]: job["maxJobs"] for job in taken
    }
    assert 429 == full.status_code
    assert "Maximum of 6 jobs executing in parallel supported" == full.json()["error"]
    assert {job["jobid"] for job in taken} == set(full.json()["executingJobs"])

    # A place that falls free is the next job's.
    freed = taken[3]
    server.get(f"/v1/pika/jobs/cancel/?jobid={freed['jobid']}")

    assert freed["channel"] == create(server).json()["channel"]


def test_choice_is_random(server: Relay, local: Local) -> None:
    """While all accounts have room, each of them is chosen."""
    seats = [local.new_user(f"random-{n}") for n in range(3)]
    for seat in seats:
        server.configure(seat)
    chosen: set[str] = set()
    # Wrong once in 10^9 runs.
    for _ in range(54):
        chosen.add(server.finished(create(server).json()["jobid"])["channel"])
        if len(chosen) == len(seats):
            break

    assert {seat[1] for seat in seats} == chosen


def test_channel_pins(server: Relay, local: Local) -> None:
    """A channel alone means its account; full, it is refused though others have room; without one it is 400."""
    local.configure_pika(behaviour="plain", speed=60.0)
    one, other = local.new_user("pin-1"), local.new_user("pin-2")
    server.configure(one, 1)
    server.configure(other)
    job = create(server, channel=one[1]).json()
    full = create(server, channel=one[1])

    assert (one[1], 1) == (job["channel"], job["maxJobs"])
    assert {
        "error": "Maximum of 1 jobs executing in parallel supported",
        "executingJobs": [job["jobid"]],
        "code": 429,
    } == full.json()
    for fields in ({"channel": UNKNOWN}, {"discord": one[0]}):
        refused(create(server, **fields), 400, "prompt, discord or channel value is missing")


def test_unconfigured_seat_shares_the_count(server: Relay, local: Local) -> None:
    """Token and channel together need no account, and count with whatever else runs on the channel."""
    local.configure_pika(behaviour="plain", speed=60.0)
    token, channel = local.new_user("shared")
    first = create(server, discord=token, channel=channel).json()

    assert (channel, 10) == (first["channel"], first["maxJobs"])

    server.configure((token, channel), 1)
    by_account = create(server)
    by_token = create(server, discord=token, channel=channel, maxJobs="1")
    second = create(server, discord=token, channel=channel, maxJobs="2").json()

    for full in (by_account, by_token):
        assert (429, [first["jobid"]]) == (full.status_code, full.json()["executingJobs"])
    assert [first["jobid"], second["jobid"]] == server.get("/v1/pika/jobs").json()


def test_caller(server: Relay) -> None:
    """The caller's own record has its default replyUrl in its newer form only, and takes it back as empty."""
    before = server.get("/v2/account").json()
    changed = ask(server, "POST", "/v2/account", {"replyUrl": "https://example.com/hook"})

    assert {"created", "name", "verified"} == set(before)
    assert {**before, "replyUrl": "https://example.com/hook"} == changed.json()
    assert changed.json() == server.get("/v2/account").json()
    assert before == server.get("/v1/account").json()
    refused(
        ask(server, "POST", "/v2/account", {"replyUrl": "https://example.com/" + "x" * 1005}),
        400,
        "replyUrl is too long",
    )
    refused(
        ask(server, "POST", "/v2/account", {"replyUrl": "gopher://x"}), 400, "replyUrl is not a valid URL"
    )
    assert before == ask(server, "POST", "/v2/account", {"replyUrl": ""}).json()


def test_accounts_need_no_subscription(server: Relay, local: Local) -> None:
    """Without a subscription jobs are 402; accounts, and the caller's own record, go on."""
    seat = local.new_user("unsubscribed")
    job = server.created("a kite", *seat)
    with closing(sqlite3.connect(server.data_folder / "pikarelay.sqlite3")) as database, database:
        # There is no command for it: who runs a server of their own has no subscription to end.
        database.execute("UPDATE callers SET has_subscription = 0")

    for answer in (
        create(server),
        server.get("/v1/pika/jobs"),
        server.get(f"/v1/pika/jobs/?jobid={job['jobid']}"),
    ):
        refused(answer, 402, "Account has no subscription or subscription expired")
    server.configure(seat)
    assert 200 == server.get(ACCOUNT).status_code == server.get("/v2/account").status_code


HEALTH = "/v1/pikarelay/accounts"


def health(server: Relay) -> list[dict[str, Any]]:
    answer = ask(server, "GET", HEALTH)
    assert 200 == answer.status_code
    return list(answer.json()["accounts"])


def until_health(server: Relay, *states: str) -> list[dict[str, Any]]:
    """Ask until the accounts are in these states, by channel. A server tells changes within a second."""
    end = time.monotonic() + PATIENCE
    while True:
        found = health(server)
        if states == tuple(its["state"] for its in found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.1)


def test_people_are_told_what_to_do(server: Relay, local: Local) -> None:
    """Whoever owns an account sees that it is ready, and what a person has to do when Discord wants one; the command line agrees."""
    refused(ask(server, "GET", HEALTH), 404, "Configuration not found")
    one, two = sorted((local.new_user("health-1"), local.new_user("health-2")), key=lambda seat: seat[1])
    server.configure(one)
    server.configure(two, 3)
    found = until_health(server, "ready", "ready")
    assert [{**shown(one, 10), "state": "ready"}, {**shown(two, 3), "state": "ready"}] == found

    local.post("/faults", {"where": "rest", "match": {"method": "POST"}, "do": {"kind": "captcha"}})
    refused_create = create(server, channel=two[1])
    assert refused_create.status_code >= 400
    found = until_health(server, "ready", "captcha")

    assert "official" in found[1]["reason"]
    lines = server.command("account", "list").stdout.splitlines()
    assert found == sorted(map(json.loads, lines), key=lambda its: its["channel"])


def test_nobody_looks_after_it(server: Relay, local: Local) -> None:
    """Once the server has stopped, its accounts are known to be offline."""
    seat = local.new_user("health-3")
    server.configure(seat)
    until_health(server, "ready")
    server.process.terminate()
    server.process.wait(PATIENCE)

    (line,) = server.command("account", "list").stdout.splitlines()
    assert "offline" == json.loads(line)["state"]
