"""Links that last: results are copied to a folder or a bucket by the installed server, whatever dies meanwhile."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, relay
from tests.s3 import BUCKET, KEY, S3, s3_server

DAY = 24 * 60 * 60


@pytest.fixture(scope="module")
def s3(folder: Path) -> Iterator[S3]:
    with s3_server(folder / "s3") as running:
        yield running


@pytest.fixture
def account(local: Local) -> tuple[str, str]:
    local.configure_pika(behaviour="respond", speed=0.0, video="tiny")
    return local.new_user(f"mirror-{time.monotonic_ns()}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def mirroring(
    own: Path, local: Local, target: Path | str, port: int | None = None, **settings: str
) -> Iterator[Relay]:
    """Start a server with a mirror, whose links lead to it. A second start in `own` goes on with the data of the first."""
    own.mkdir(exist_ok=True)
    port = port or free_port()
    with relay(
        own,
        local,
        port=port,
        mirror_target=str(target),
        mirror_public_url=f"http://127.0.0.1:{port}",
        discord_press_interval_seconds="0",
        **settings,
    ) as server:
        yield server


def bucket_at(endpoint: str) -> dict[str, str]:
    return {
        "target": f"s3://{BUCKET}/pika",
        "mirror_s3_endpoint": endpoint,
        "mirror_s3_access_key_id": KEY,
        "mirror_s3_secret_access_key": KEY,
    }


def link_of(job: dict[str, Any]) -> str:
    url: str = job["attachments"][0]["url"]
    return url


def original(server: Relay, job_id: str) -> str:
    """Return Discord's own link, from the disk."""
    with contextlib.closing(sqlite3.connect(server.data_folder / "pikarelay.sqlite3")) as database:
        (document,) = database.execute("SELECT document FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    return link_of(json.loads(document))


def get(url: str, **more: Any) -> requests.Response:
    """Download as clients do: a plain GET without a token."""
    return requests.get(url, timeout=PATIENCE, **more)


def until(holds: Callable[[], Any]) -> Any:
    """Return what `holds` returns, as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def states(server: Relay) -> list[str]:
    """Return how all copies stand, from the disk."""
    with contextlib.closing(sqlite3.connect(server.data_folder / "pikarelay.sqlite3")) as database:
        return [state for (state,) in database.execute("SELECT state FROM mirror_copies")]


def wait_until_copied(server: Relay) -> None:
    until(lambda: states(server) == ["done"])


def status(server: Relay) -> str:
    """Return what the operator is told."""
    return server.command("mirror", "status").stdout


def test_folder(folder: Path, local: Local, hook: Receiver, account: tuple[str, str]) -> None:
    """Callback and GET give the same link from the start, and it works when Discord's has long ended."""
    own = folder / "folder"
    with mirroring(own, local, own / "results") as server:
        job = server.created("lasting", *account, replyUrl=hook.url)
        url, told = link_of(job), hook.next().job
        discords = original(server, job["jobid"])
        at_once = get(url, allow_redirects=False)
        video = get(discords).content
        local.post("/clock", {"advance": 3 * DAY})
        local.post("/links/expire")
        later = get(url, allow_redirects=False)
        part = get(url, headers={"Range": "bytes=4-7"})
        answer = server.get(f"/v1/pika/jobs/?jobid={job['jobid']}").json()

        assert told["attachments"] == job["attachments"] == answer["attachments"]
        assert re.fullmatch(re.escape(server.url) + r"/v1/pikarelay/files/[0-9a-z]{26}\.mp4", url)
        assert 404 == get(discords).status_code
        assert [(200, video)] * 2 == [(each.status_code, each.content) for each in (at_once, later)]
        assert "video/mp4" == later.headers["Content-Type"]
        assert (206, b"ftyp") == (part.status_code, part.content)
        assert "done: 1" in status(server)
        assert video == (own / "results" / url.rpartition("/")[2]).read_bytes()


def test_bucket(folder: Path, local: Local, hook: Receiver, account: tuple[str, str], s3: S3) -> None:
    """With a bucket the same link leads to a signed one, made for whoever comes, and the server holds nothing."""
    with mirroring(folder / "bucket", local, **bucket_at(s3.url)) as server:
        job = server.created("far away", *account, replyUrl=hook.url)
        url, told = link_of(job), hook.next().job
        video = get(original(server, job["jobid"])).content
        redirect = get(url, allow_redirects=False)
        local.post("/clock", {"advance": 3 * DAY})
        local.post("/links/expire")
        later = get(url)

        assert told["attachments"] == job["attachments"]
        assert 302 == redirect.status_code
        assert redirect.headers["Location"].startswith(f"{s3.url}/{BUCKET}/pika/")
        assert (200, video, "video/mp4") == (
            later.status_code,
            later.content,
            later.headers["Content-Type"],
        )
        assert 200 == requests.head(url, allow_redirects=True, timeout=PATIENCE).status_code
        assert video == s3.objects()[f"pika/{url.rpartition('/')[2]}"]


def test_bucket_is_dead(folder: Path, local: Local, hook: Receiver, account: tuple[str, str]) -> None:
    """A dead bucket delays neither job nor callback, its link leads to Discord, and everything heals when it is back."""
    own, s3_port = folder / "dead", free_port()
    with mirroring(own, local, **bucket_at(f"http://127.0.0.1:{s3_port}")) as server:
        began = time.monotonic()
        job = server.created("no bucket", *account, replyUrl=hook.url)
        told = hook.next().job
        took = time.monotonic() - began
        url = link_of(job)
        until(lambda: "The bucket did not answer" in status(server))
        discords = original(server, job["jobid"])
        asked = time.monotonic()
        meanwhile = get(url, allow_redirects=False)
        waited = time.monotonic() - asked

        assert told["attachments"] == job["attachments"]
        assert took < 10
        assert (302, discords) == (meanwhile.status_code, meanwhile.headers["Location"])
        # Who waits for a copy waits for ten seconds.
        assert waited < 8
        assert (200, 200) == (get(url).status_code, get(discords).status_code)

        aged = _age(server, job["jobid"], discords)
        renewed = get(url, allow_redirects=False).headers["Location"]
        assert aged != renewed
        assert 200 == get(renewed).status_code

        with s3_server(own / "s3", s3_port) as s3:
            assert "1 to be copied again.\n" == server.command("mirror", "retry", job["jobid"]).stdout
            wait_until_copied(server)
            assert f"pika/{url.rpartition('/')[2]}" in s3.objects()
            assert get(url).url.startswith(s3.url)


def _age(server: Relay, job_id: str, url: str) -> str:
    """Let the job's links have ended an hour ago, on the disk. Returns the link as it then is."""
    end = re.search(r"ex=([0-9a-f]+)", url)
    assert end is not None
    ended = f"ex={int(time.time()) - 3600:x}"
    with contextlib.closing(sqlite3.connect(server.data_folder / "pikarelay.sqlite3")) as opened, opened:
        opened.execute(
            "UPDATE jobs SET document = CAST(replace(CAST(document AS TEXT), ?, ?) AS BLOB) WHERE job_id = ?",
            (end[0], ended, job_id),
        )
    return url.replace(end[0], ended)


class Valve:
    """Passes a connection's bytes on to a server, but only so many of what it is sent, until it is opened."""

    def __init__(self, upstream: str, passes: int) -> None:
        host, _, port = upstream.rpartition("//")[2].partition(":")
        self._upstream = (host, int(port))
        self._passes = passes
        self._open = threading.Event()
        #: Set when a connection has been held up.
        self.stuck = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_limited: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError), source, sink:
            while data := source.recv(1024):
                if is_limited and passed + len(data) > self._passes and not self._open.is_set():
                    self.stuck.set()
                    self._open.wait()
                sink.sendall(data)
                passed += len(data)
            sink.shutdown(socket.SHUT_WR)


def test_killed_in_the_middle_of_a_copy(folder: Path, local: Local, account: tuple[str, str], s3: S3) -> None:
    """A server that is killed while it copies goes on after its restart; until then nobody is led to half a file."""
    own, port = folder / "killed", free_port()
    valve = Valve(s3.url, passes=2000)
    try:
        with mirroring(own, local, port=port, **bucket_at(valve.url)) as server:
            job = server.created("killed", *account)
            assert valve.stuck.wait(PATIENCE)
            os.kill(server.pid, signal.SIGKILL)
        valve.open()
        with mirroring(own, local, port=port, **bucket_at(valve.url)) as server:
            early = get(link_of(job))
            wait_until_copied(server)
            late = get(link_of(job))
            video = get(original(server, job["jobid"])).content
    finally:
        valve.close()

    assert [(200, video)] * 2 == [(each.status_code, each.content) for each in (early, late)]
    assert late.url.startswith(valve.url)
    assert video == s3.objects()[f"pika/{link_of(job).rpartition('/')[2]}"]


def test_too_large(folder: Path, local: Local, account: tuple[str, str]) -> None:
    """A result that is too large to be copied stays at Discord, and its link leads there."""
    own = folder / "large"
    with mirroring(own, local, own / "results", mirror_max_file_mib="0.001") as server:
        job = server.created("large", *account)
        until(lambda: states(server) == ["failed"])
        answer = get(link_of(job))

        assert "mirror.max_file_mib allows 1048" in status(server)
        assert (200, original(server, job["jobid"])) == (answer.status_code, answer.url)
        assert [] == list((own / "results").iterdir())


@pytest.mark.parametrize("removes", [True, False], ids=["with its job", "never"])
def test_pruned(folder: Path, local: Local, account: tuple[str, str], *, removes: bool) -> None:
    """A copy goes when its job goes, or stays for good with its link, as the operator wants it."""
    own, port = folder / f"pruned-{removes}", free_port()
    settings = {"port": port, "mirror_remove_with_jobs": str(removes)}
    with mirroring(own, local, own / "results", **settings) as server:  # type: ignore[arg-type]  # one is a number
        job = server.created("old", *account)
        wait_until_copied(server)
    with contextlib.closing(sqlite3.connect(own / "data" / "pikarelay.sqlite3")) as database, database:
        database.execute("UPDATE jobs SET updated = 0")
    with mirroring(own, local, own / "results", **settings) as server:  # type: ignore[arg-type]
        until(lambda: server.get(f"/v1/pika/jobs/?jobid={job['jobid']}").status_code == 404)
        until(lambda: states(server) == ([] if removes else ["done"]))

        assert (404 if removes else 200) == get(link_of(job)).status_code
        assert (0 if removes else 1) == len(list((own / "results").iterdir()))


def test_switched_off(folder: Path, local: Local, account: tuple[str, str]) -> None:
    """Switching the mirror off breaks no link, and switching it on again brings the copies back."""
    own, port = folder / "off", free_port()
    with mirroring(own, local, own / "results", port=port) as server:
        job = server.created("off and on", *account)
        wait_until_copied(server)
    with relay(own, local, port=port) as server:
        off = server.job(job["jobid"])
        discords = original(server, job["jobid"])
        assert discords == link_of(off)
        assert discords == get(link_of(job), allow_redirects=False).headers["Location"]
    with mirroring(own, local, own / "results", port=port) as server:
        assert link_of(job) == link_of(server.job(job["jobid"]))
        assert 200 == get(link_of(job), allow_redirects=False).status_code


def test_unknown_files(folder: Path, local: Local) -> None:
    """A name that nobody was given is 404, whatever it looks like."""
    own = folder / "unknown"
    with mirroring(own, local, own / "results") as server:
        secret = own / "secret.mp4"
        secret.write_bytes(b"secret")
        for name in ("a.mp4", "0" * 26 + ".mp4", "..%2fsecret.mp4", "%2e%2e/secret.mp4", "%00.mp4"):
            answer = get(f"{server.url}/v1/pikarelay/files/{name}")

            assert 404 == answer.status_code
            assert 404 == answer.json()["code"]


def test_every_outbound_connection_is_accounted_for(
    folder: Path, local: Local, hook: Receiver, account: tuple[str, str], s3: S3
) -> None:
    """A trace of a server that copies to a bucket shows connections to Discord, to the bucket and to receivers only."""
    strace = shutil.which("strace")
    assert strace is not None, "strace is needed: make system"
    own = folder / "traced"
    trace = own / "trace"
    with (
        mirroring(own, local, **bucket_at(s3.url)) as server,
        subprocess.Popen(
            [strace, "-f", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace), "-p", str(server.pid)],
            stderr=subprocess.PIPE,
            text=True,
        ) as tracer,
    ):
        assert tracer.stderr is not None
        assert "attached" in tracer.stderr.readline()
        job = server.created("traced", *account, replyUrl=hook.url)
        hook.next()
        wait_until_copied(server)
        get(link_of(job), allow_redirects=False)
        tracer.terminate()
        tracer.wait(PATIENCE)

    text = trace.read_text()
    ports = set(re.findall(r"connect\(.*sin6?_port=htons\((\d+)\)", text))
    addresses = set(re.findall(r'connect\(.*(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"', text))
    port_of = {url: url.rpartition(":")[2].split("/")[0] for url in (local.url, hook.url, s3.url)}
    assert {"127.0.0.1"} == addresses
    assert {port_of[hook.url], port_of[s3.url]} <= ports
    assert ports <= set(port_of.values())


def test_secrets(folder: Path, local: Local, account: tuple[str, str], s3: S3) -> None:
    """The bucket's secret may come from a file; neither that nor a copy's name, which is a secret too, is ever logged."""
    own = folder / "file"
    own.mkdir()
    (own / "secret").write_text(f"{KEY}\n")
    settings = bucket_at(s3.url)
    del settings["mirror_s3_secret_access_key"]
    settings |= {"mirror_s3_secret_access_key_file": str(own / "secret"), "log_level": "debug"}
    with mirroring(own, local, **settings) as server:
        job = server.created("from a file", *account)
        wait_until_copied(server)
        name = link_of(job).rpartition("/")[2]
        answers = [get(link_of(job)), requests.post(link_of(job), timeout=PATIENCE)]

        assert f"pika/{name}" in s3.objects()
        assert [200, 405] == [answer.status_code for answer in answers]
        for secret in (KEY, name.removesuffix(".mp4")):
            assert secret not in server.log.read_text()


@pytest.mark.parametrize(
    ("target", "settings", "said"),
    [
        ("/proc/nothing/here", {}, "No such file or directory"),
        ("s3://Bad_Name", {}, "must be a bucket like s3://name/prefix"),
        ("s3://results", {}, "needs mirror.s3_access_key_id"),
    ],
)
def test_impossible_mirrors(
    folder: Path, local: Local, target: str, settings: dict[str, str], said: str
) -> None:
    """A mirror that cannot be is told in a line at the start."""
    own = folder / f"impossible-{time.monotonic_ns()}"
    with pytest.raises(AssertionError, match=re.escape(said)), mirroring(own, local, target, **settings):
        pass


def test_check(folder: Path, local: Local, s3: S3) -> None:
    """`pikarelay check` says whether the mirror can be used, and changes nothing."""
    own = folder / "check"
    own.mkdir()
    results = own / "results"
    settings = own / "settings.toml"

    def check(**mirror: str) -> str:
        lines = "".join(f'{key} = "{value}"\n' for key, value in mirror.items())
        settings.write_text(f'[discord]\napi_url = "{local.api}"\n[mirror]\npublic_url = "http://a"\n{lines}')
        return server.command("check", "--config", str(settings)).stdout

    bucket = {"target": f"s3://{BUCKET}", "s3_endpoint": s3.url, "s3_access_key_id": KEY}
    with relay(own, local) as server:
        assert f"ok    The mirror's folder {results} is made when" in check(target=str(results))
        assert not results.exists()
        results.mkdir()
        assert f"ok    Results can be copied to {results}." in check(target=str(results))
        assert f"ok    Results can be copied to s3://{BUCKET}." in check(**bucket, s3_secret_access_key=KEY)
        assert "FAIL  The bucket answered HTTP status 403" in check(**bucket, s3_secret_access_key="wrong")
        missing = check(**bucket, s3_secret_access_key_file=str(own / "none"))
        assert f"FAIL  The mirror cannot be opened: {own / 'none'}: No such file" in missing
