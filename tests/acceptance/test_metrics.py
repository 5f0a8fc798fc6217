"""What Prometheus reads of a running server."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, relay

#: By name and labels.
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, local: Local) -> Iterator[Relay]:
    folder = tmp_path_factory.mktemp("metrics")
    settings = {"metrics_port": "0", "discord_press_interval_seconds": "0"}
    with relay(folder, local, **settings) as running:
        yield running


def address(server: Relay) -> str:
    lines = map(json.loads, server.log.read_text().splitlines())
    (url,) = [line["url"] for line in lines if line["event"] == "metrics.served"]
    return str(url)


def page(server: Relay) -> str:
    answer = requests.get(address(server), timeout=PATIENCE)
    assert 200 == answer.status_code, answer.text
    return answer.text


def samples(server: Relay) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page(server))
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def wait_for(server: Relay, holds: Callable[[Samples], bool]) -> Samples:
    deadline = time.monotonic() + PATIENCE
    while not holds(found := samples(server)):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def test_what_happens_is_counted(watched: Relay, local: Local, hook: Receiver) -> None:
    """A job with its press, its callback and its session is seen where it happened, and nowhere else."""
    seat = local.new_user("metrics")
    before = samples(watched)
    watched.created("a red kite", *seat, replyUrl=hook.url)
    hook.next()
    name = "pikarelay_callback_attempts_total"
    found = wait_for(watched, lambda now: value(now, name, **{"class": "delivered"}) == 1)

    assert 1 == value(found, "pikarelay_ready")
    assert 1 == value(found, "pikarelay_presses_total", outcome="accepted")
    assert 1 == value(found, "pikarelay_jobs_ended_total", status="completed")
    assert 1 == value(found, "pikarelay_gateway_sessions", link="live", standing="good")
    assert 1000 == value(found, "pikarelay_discord_invalid_requests_allowed")
    route = "/v1/pika/create"
    assert 1 == value(found, "pikarelay_http_request_duration_seconds_count", route=route)
    presses = "pikarelay_discord_request_duration_seconds"
    assert 1 == value(found, f"{presses}_count", operation="interactions")
    assert 1 == value(found, f"{presses}_bucket", operation="interactions", le="+Inf")
    changed = {key[0] for key in before if key[0].startswith("pikarelay") and before[key] != found[key]}
    assert changed <= {
        *("pikarelay_presses_total", "pikarelay_jobs_ended_total", name),
        *("pikarelay_callback_attempt_seconds_total", "pikarelay_connections"),
        *("pikarelay_callback_targets", "pikarelay_http_answers_total"),
        *("pikarelay_event_loop_lag_seconds", "pikarelay_database_write_seconds"),
        *("pikarelay_disk_free_bytes", "pikarelay_http_request_duration_seconds_count"),
        *("pikarelay_http_request_duration_seconds_sum", "pikarelay_http_request_duration_seconds_bucket"),
        *(f"{presses}_{part}" for part in ("count", "sum", "bucket")),
    }


def test_overdue_callback_is_seen(watched: Relay, local: Local) -> None:
    """A callback that its receiver does not take is among those that wait, under the class of its failure."""
    seat = local.new_user("overdue")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    watched.created("a dead end", *seat, replyUrl=f"http://127.0.0.1:{port}/hook")
    found = wait_for(watched, lambda now: value(now, "pikarelay_callbacks", state="waiting") == 1)

    assert 0 == value(found, "pikarelay_callbacks", state="dead")
    assert 1 == value(found, "pikarelay_callback_targets", health="failing")
    assert 1 <= value(found, "pikarelay_callback_attempts_total", **{"class": "connect"})


def test_labels_have_an_end(watched: Relay, local: Local) -> None:
    """However many paths, ids, methods and tokens callers think of, no series is added and none of it is shown."""
    token, channel = local.new_user("labels")
    job = watched.created("a canary prompt", token, channel, replyRef="canary-ref")
    watched.get("/nowhere")
    before = set(samples(watched))
    for number in range(200):
        watched.get(f"/nowhere/canary-{number}")
        watched.get(f"/v1/pika/jobs/?jobid=canary-{number}")
        watched.get(f"/v1/pikarelay/callbacks/canary-{number}")
    requests.request("CANARY", watched.url + "/v1/pika/create", timeout=PATIENCE)
    text = page(watched)
    after = set(samples(watched))
    added = {(name, labels) for name, labels in after - before if not re.search(r"route|code", str(labels))}

    assert set() == added
    assert len(after) <= 500
    told = ["canary", job["jobid"], token, channel, watched.api_token, str(watched.data_folder), "127.0.0.1"]
    assert [] == [secret for secret in told if secret in text]


def test_counting_is_cheap(watched: Relay) -> None:
    """A hundred scrapes in a row write no more than the one probe a second that readiness does anyway."""
    log = watched.data_folder / "pikarelay.sqlite3-wal"
    page(watched)
    began, before = time.monotonic(), log.stat().st_size
    for _ in range(100):
        page(watched)
    seconds, grown = time.monotonic() - began, log.stat().st_size - before

    assert 0 <= grown <= (seconds + 1) * (4096 + 24)


def test_not_on_the_api(watched: Relay, server: Relay) -> None:
    """The page is not on the API's address, and without its setting there is none at all."""
    assert 404 == watched.get("/metrics").status_code
    assert (
        404
        == requests.get(address(watched).replace("/metrics", "/v1/pika/jobs"), timeout=PATIENCE).status_code
    )
    assert "metrics.served" not in server.log.read_text()


def test_no_callback_reaches_it(watched: Relay, local: Local) -> None:
    """A callback to the page's own address is blocked, also where loopback is open to callbacks."""
    job = watched.created("a mirror", *local.new_user("itself"), replyUrl=address(watched))
    deadline = time.monotonic() + PATIENCE
    while not (log := watched.get(f"/v1/pikarelay/callbacks/{job['jobid']}").json().get("log")):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert "blocked" == log[0]["error"]


def test_prometheus_takes_it(watched: Relay) -> None:
    """Prometheus's own checker reads the page without an error."""
    promtool = shutil.which("promtool")
    assert promtool is not None, "promtool is needed: make system"
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page(watched), capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr
    assert "" == done.stderr


def test_port_in_use(tmp_path: Path, local: Local, watched: Relay) -> None:
    """A port that is taken ends the start, and not later."""
    port = address(watched).split(":")[2].split("/")[0]
    with pytest.raises(AssertionError, match="did not start"), relay(tmp_path, local, metrics_port=port):
        pass
