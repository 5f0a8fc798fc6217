"""
Five hundred made-up Discord tokens, and real and made-up API tokens and signing secrets, are sent to every route in every
place, and then nobody finds one: not in the database or its log, not in files, logs, metrics, pages, answers or a copy.

What a caller writes as a prompt or as its own reference is kept and answered as it is, for the contract says so; so those
are sent in requests that are refused, and once in one that is not, which shows that the search finds what is there.
"""

import base64
import itertools
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from pikarelay.jobs.api_tokens import RANDOM_BYTES, format_token
from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, local_discord, receiver, relay
from tests.hostile.canaries import MARK, Needle, Search, discord_token, needles
from tests.hostile.places import PLACES, Sender, fields, on_metrics, on_operations

CANARIES = 500


@dataclass
class Aftermath:
    """What is left when all was sent, and what to look for."""

    #: Of the data folder: as `pikarelay backup` takes one and as `cp` does, while the server runs.
    copies: tuple[Path, Path]
    folder: Path
    sender: Sender
    server: Relay
    search: Search
    metrics: bytes
    #: How many made-up Discord tokens were sent, and where to.
    sent: int
    places: frozenset[str]

    @property
    def folders(self) -> list[Path]:
        return [self.folder / "data", self.folder / "temporary", self.folder / "heard", *self.copies]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("canaries")


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Local]:
    # Tokens that it does not know are not violations of its rules that a test is to fail for.
    with local_discord(folder) as running:
        yield running


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(scope="module")
def aftermath(folder: Path, local: Local, hook: Receiver) -> Iterator[Aftermath]:
    temporary = folder / "temporary"
    temporary.mkdir()
    (folder / "heard").mkdir()
    with relay(
        folder, local, "--log-level", "debug",
        prefix=["env", f"TMPDIR={temporary}"], metrics_port="0", discord_press_interval_seconds="0",
        http_unauthorized_per_minute="0",
    ) as server:  # fmt: skip
        yield _after(folder, local, hook, server)


def _after(folder: Path, local: Local, hook: Receiver, server: Relay) -> Aftermath:
    seat = local.new_user("canary")
    issued = server.new_token("canary")
    signing = server.command("tenant", "secret", "--rotate").stdout
    parent = server.created("a red kite", *seat, replyUrl=hook.url)["jobid"]
    hook.next()
    url = next(
        line["url"]
        for line in map(json.loads, server.log.read_text().splitlines())
        if line["event"] == "metrics.served"
    )
    sender = Sender(server, seat, parent, url.removesuffix("/metrics"))
    document = requests.get(f"{server.url}/openapi.json", timeout=PATIENCE).json()
    places = {**PLACES, **on_operations(document), "metrics": on_metrics}
    sent = 0
    for name, place in itertools.islice(itertools.cycle(places.items()), CANARIES):
        sender.place = name
        place(sender, discord_token(sent))
        sent += 1
    guesses = [format_token(bytes([number]) * RANDOM_BYTES) for number in range(1, 41)]
    secrets = [
        "whsec_" + base64.b64encode(f"{number:02}{MARK * 4}".encode()).decode() for number in range(40)
    ]
    sender.place = "other secrets"
    for secret in [*guesses, *secrets]:
        for name in ("Authorization", "Cookie", "X-Api-Key", "webhook-signature"):
            sender.send("GET", f"/{quote(secret, safe='')}", headers={name: f"Bearer {secret}"})
        sender.send("GET", f"/v1/pika/jobs/?jobid={quote(secret, safe='')}")
        sender.send("POST", "/v1/pika/button", files=fields(jobid=parent, button=secret, extra=secret))
    backup = folder / "backup"
    for words in (
        *((verb, "list") for verb in ("account", "token", "tenant", "jobs", "callbacks", "orphans")),
        ("tenant", "show"), ("jobs", "show", parent), ("callbacks", "show", parent), ("callbacks", "targets"),
        ("backup", str(backup)),
    ):  # fmt: skip
        done = server.command(*words)
        assert 0 == done.returncode, (words, done.stderr)
        sender.heard += [done.stdout.encode(), done.stderr.encode()]
    # What a command refuses, it does not repeat.
    for words in (("jobs", "show"), ("callbacks", "show")):
        done = server.command(*words, discord_token(CANARIES + 1))
        assert 1 == done.returncode, (words, done.stdout)
        sender.heard += [done.stdout.encode(), done.stderr.encode()]
    own = [server.api_token, issued, seat[0], *re.findall(r"whsec_\S+", signing), *guesses]
    assert signing.count("whsec_") == 1, signing
    sought = [*needles(MARK), *_inner(own), *needles(*(secret[6:40] for secret in secrets))]
    metrics = requests.get(url, timeout=PATIENCE).content
    (folder / "heard" / "answers").write_bytes(b"\n".join([*sender.heard, metrics]))
    (folder / "heard" / "log").write_bytes(server.log.read_bytes())
    copy = folder / "copy"
    shutil.copytree(server.data_folder, copy)
    return Aftermath((backup, copy), folder, sender, server, Search(sought), metrics, sent, frozenset(places))


def _inner(secrets: list[str]) -> list[Needle]:
    """Return needles for what may not be shown of secrets: a hint of the beginning may, and a mask's three last letters."""
    return needles(*(secret[10:-4] for secret in secrets))


@pytest.mark.timeout(6 * PATIENCE)
def test_nothing_is_found(aftermath: Aftermath) -> None:
    """No secret is in any file, log line, metric, page, list or answer, in any form, at the most talkative log level."""
    found = aftermath.search.below(aftermath.folders)

    assert [] == found
    names = {path.name for folder in aftermath.folders for path in folder.rglob("*")}
    # All of it was there to be searched.
    assert {
        "pikarelay.sqlite3",
        "pikarelay.sqlite3-wal",
        "uploads",
        "answers",
        "log",
        "manifest.json",
    } <= names


def test_everything_was_sent(aftermath: Aftermath) -> None:
    """Five hundred tokens were sent, to all places, and none of them was answered as a defect."""
    codes = aftermath.sender.codes

    assert CANARIES == aftermath.sent == len({discord_token(number) for number in range(CANARIES)})
    assert aftermath.places - set(codes) <= {"no request"}
    assert not {500} & {code for found in codes.values() for code in found}
    # Tokens where they belong got as far as Discord, and were stored.
    assert all({502} & codes[name] or {200} & codes[name] for name in ("create", "button")), codes["create"]
    assert {204, 200} <= codes["account"]
    with closing(sqlite3.connect(aftermath.server.data_folder / "pikarelay.sqlite3")) as database:
        (accounts,) = database.execute("SELECT count(*) FROM accounts").fetchone()
        (jobs,) = database.execute("SELECT count(*) FROM jobs").fetchone()
    assert accounts >= 3
    assert jobs >= 10


@pytest.mark.parametrize("needle", needles(MARK), ids=lambda needle: needle.form)
def test_every_form_is_found(tmp_path: Path, needle: Needle) -> None:
    """A token that was left somewhere in any of the forms is found, in a log as in a database's log that is not merged yet."""
    token = discord_token(7).encode()
    quoted = "".join(f"%{byte:02x}" for byte in token)
    left = {
        "hex": token.hex(), "HEX": token.hex().upper(), "UTF-16": token.decode().encode("utf-16-le"),
        "url, all of it": quoted, "URL, all of it": quoted.upper().replace("X", "x"),
    }.get(needle.form, token.decode())  # fmt: skip
    if needle.form.startswith("base64"):
        before = int(needle.form[-1])
        left = base64.b64encode(b"x" * ((before - token.index(MARK.encode())) % 3) + token).decode()
    content = left if isinstance(left, bytes) else left.encode()
    search = Search(needles(MARK))
    log = tmp_path / "log" / "log"
    log.parent.mkdir()
    log.write_bytes(b'{"event": "' + content + b'"}\n')
    database = tmp_path / "database"
    database.mkdir()
    with closing(sqlite3.connect(database / "leaking.sqlite3", isolation_level=None)) as leaking:
        leaking.execute("PRAGMA journal_mode = WAL")
        leaking.execute("CREATE TABLE leak (content BLOB)")
        leaking.execute("INSERT INTO leak VALUES (?)", (content,))
        in_database = search.below([database])
    in_log = search.below([log.parent])

    assert [] != [line for line in in_log if needle.form in line], in_log
    assert [] != [line for line in in_database if needle.form in line and "-wal" in line], in_database


def test_what_is_kept_is_found(aftermath: Aftermath) -> None:
    """A token that a caller writes as its prompt is kept with its job, as every prompt is; the log and metrics have it not."""
    server, token = aftermath.server, discord_token(CANARIES)
    server.created(token, *aftermath.sender.seat)
    found = aftermath.search.below([server.data_folder])

    assert [] != found
    assert {"pikarelay.sqlite3-wal"} >= {Path(line.partition(":")[0]).name for line in found} - {
        "pikarelay.sqlite3"
    }
    assert [] == list(aftermath.search.within("log", server.log.read_bytes()))
