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
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from pikarelay.jobs.api_tokens import RANDOM_BYTES, format_token
from tests.acceptance.servers import PATIENCE, Local, Receiver, Relay, local_discord, receiver, relay
from tests.hostile.canaries import MARK, Needle, Search, discord_token, needles
from tests.hostile.raw import BOUNDARY, ask, file, form
from tests.hostile.raw import field as part

CANARIES = 500

Place = Callable[["Sender", str], None]


@dataclass
class Sender:
    """A caller who puts secrets where they do not belong, and keeps all that comes back."""

    server: Relay
    #: A real Discord token with its channel.
    seat: tuple[str, str]
    parent: str
    #: All that was answered, as it came.
    heard: list[bytes] = field(default_factory=list)
    #: By place, what it was answered with.
    codes: dict[str, set[int]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    place: str = ""

    def send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> None:
        given = {**self.server.headers, **(headers or {})}
        answer = requests.request(
            method, self.server.url + path, headers=given, timeout=PATIENCE, allow_redirects=False, **more
        )
        self.hear(answer.status_code, str(answer.headers).encode() + answer.content)

    def send_bytes(self, content: bytes) -> None:
        # A request that is none may be answered by a closed connection.
        with suppress(IndexError, ConnectionError):
            answer = ask(self.server, content)
            self.hear(answer.code, str(answer.headers).encode() + answer.body)

    def hear(self, code: int, content: bytes) -> None:
        self.codes.setdefault(self.place, set()).add(code)
        self.heard.append(content)


def fields(**texts: str) -> dict[str, tuple[None, str]]:
    return {name: (None, text) for name, text in texts.items()}


def in_its_place(path: str, **texts: str) -> Place:
    """Where a Discord token belongs: it is one that Discord does not know."""
    names = {"animate": ["image"], "encrypt_image": ["message"]}.get(path, [])
    pictures = dict.fromkeys(names, ("a.png", PICTURE))

    def send(sender: Sender, token: str) -> None:
        more = {name: text.format(parent=sender.parent) for name, text in texts.items()}
        given = fields(discord=token, channel=f"{1_290_000_000_000_000_000 + next(sender.numbers)}", **more)
        sender.send("POST", f"/v1/pika/{path}", files={**given, **pictures})

    return send


def in_field(path: str, name: str, *, accepted: bool = False) -> Place:
    """In a field that is not for it, of a request that is otherwise right, if it is to be accepted."""

    def send(sender: Sender, token: str) -> None:
        right = {"prompt": "a kite", "discord": sender.seat[0], "channel": sender.seat[1]}
        if not accepted:
            right = {"replyUrl": "ftp://nowhere.example/"}
        sender.send("POST", path, files=fields(**{**right, name: token}))

    return send


def as_account(sender: Sender, token: str) -> None:
    channel = f"{1_280_000_000_000_000_000 + next(sender.numbers)}"
    sender.send(
        "POST", f"/v1/pika/account/{channel}", json={"discord": token, "channel": channel, "maxJobs": 3}
    )
    sender.send("GET", f"/v1/pika/account/{channel}")
    sender.send("GET", "/v1/pika/account")


def as_bad_account(sender: Sender, token: str) -> None:
    for body in (
        {token: 1},
        {"discord": [token]},
        {"discord": "x", "channel": token},
        {"maxJobs": token},
        [token],
        token,
    ):
        sender.send("POST", f"/v1/pika/account/{sender.seat[1]}", json=body)
    sender.send("POST", f"/v1/pika/account/{sender.seat[1]}", data=f'{{"discord": "{token}')


def in_url(template: str, method: str = "GET") -> Place:
    return lambda sender, token: sender.send(method, template.format(token=token))


def in_header(name: str, value: str = "{token}", path: str = "/v1/pika/jobs", method: str = "GET") -> Place:
    return lambda sender, token: sender.send(method, path, headers={name: value.format(token=token)})


def as_basic(sender: Sender, token: str) -> None:
    sender.send(
        "GET",
        "/v1/pika/jobs",
        headers={"Authorization": "Basic " + base64.b64encode(token.encode()).decode()},
    )


def in_parts(build: Callable[[str], bytes], path: str = "/v1/pika/create") -> Place:
    """In a multipart body, byte by byte."""
    return lambda sender, token: sender.send_bytes(form(sender.server, path, build(token)))


def in_raw(build: Callable[[str], str]) -> Place:
    """In what is hardly a request."""
    return lambda sender, token: sender.send_bytes(build(token).encode("latin-1"))


def cut_short(sender: Sender, token: str) -> None:
    whole = form(
        sender.server, "/v1/pika/animate", part("discord", token), file("image", PICTURE + token.encode())
    )
    sender.send_bytes(whole.replace(b"--%b--" % BOUNDARY.encode(), b"--%bxx" % BOUNDARY.encode()))


PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PAGES = ("/", "/openapi.json", "/healthz", "/readyz", "/metrics", "/nowhere", "/files/x")
POSTS = ("create", "animate", "encrypt_text", "encrypt_image", "button")

PLACES: dict[str, Place] = {
    "create": in_its_place("create", prompt="a kite"),
    "animate": in_its_place("animate", prompt="a kite"),
    "encrypt_text": in_its_place("encrypt_text", prompt="a kite", message="kite"),
    "encrypt_image": in_its_place("encrypt_image", prompt="a kite"),
    "button": in_its_place("button", jobid="{parent}", button="retry"),
    "account": as_account,
    "bad account": as_bad_account,
    "maxJobs of a good request": in_field("/v1/pika/create", "maxJobs", accepted=True),
    "unknown field of a good request": in_field("/v1/pika/create", "extra", accepted=True),
    "replyUrl": in_field("/v1/pika/create", "replyUrl", accepted=True),
    "channel": in_field("/v1/pika/create", "channel", accepted=True),
    **{
        f"{name} of {verb}": in_field(f"/v1/pika/{verb}", name)
        for verb in POSTS
        for name in (
            "prompt",
            "jobid",
            "button",
            "channel",
            "maxJobs",
            "replyUrl",
            "replyRef",
            "message",
            "font",
            "image",
        )
    },
    "replyUrl of v2": in_field("/v2/account", "replyUrl"),
    "callbacks, replay": in_field("/v1/pikarelay/callbacks/replay", "jobid"),
    "callbacks, target": in_field("/v1/pikarelay/callbacks/replay", "target"),
    "callbacks, since": in_field("/v1/pikarelay/callbacks/replay", "since"),
    **{
        f"callbacks?{name}": in_url(f"/v1/pikarelay/callbacks?{name}={{token}}")
        for name in ("state", "target", "since", "until", "limit", "extra")
    },
    "callbacks/": in_url("/v1/pikarelay/callbacks/{token}"),
    "jobid": in_url("/v1/pika/jobs/?jobid={token}"),
    "jobid, no slash": in_url("/v1/pika/jobs?jobid={token}"),
    "jobid, in full": in_url("/v1/pika/jobs/?jobid=Bearer%20{token}"),
    "cancel": in_url("/v1/pika/jobs/cancel/?jobid={token}"),
    "account in a path": in_url("/v1/pika/account/{token}"),
    "account in a path, POST": in_url("/v1/pika/account/{token}", "POST"),
    "account in a path, DELETE": in_url("/v1/pika/account/{token}", "DELETE"),
    **{f"{page}?": in_url(page + "?token={token}&Authorization=Bearer%20{token}") for page in PAGES},
    **{f"{page}/": in_url(page.rstrip("/") + "/{token}") for page in PAGES},
    **{f"{verb}?": in_url(f"/v1/pika/{verb}?discord={{token}}", "POST") for verb in POSTS},
    **{f"{verb}/": in_url(f"/v1/pika/{verb}/{{token}}", "POST") for verb in POSTS},
    "a path": in_url("/{token}"),
    "a deep path": in_url("/v1/{token}/x/{token}", "PUT"),
    "a method": lambda sender, token: sender.send(
        re.sub(r"[^A-Z]", "", token.upper())[:20] + MARK, "/v1/pika/jobs"
    ),
    **{
        f"{name}: {value}": in_header(name, value)
        for name in (
            "Authorization",
            "Cookie",
            "X-Api-Key",
            "User-Agent",
            "Referer",
            "Origin",
            "X-Request-Id",
        )
        for value in ("{token}", "Bearer {token}")
    },
    "Basic": as_basic,
    "Idempotency-Key": in_header("Idempotency-Key", path="/v1/pika/create", method="POST"),
    "Content-Type": in_header("Content-Type", path="/v1/pika/create", method="POST"),
    "boundary": in_header("Content-Type", "multipart/form-data; boundary={token}", "/v1/pika/create", "POST"),
    "a header's name": in_header("X-Y", "z", "/{token}"),
    "part's name": in_parts(lambda token: part(token, "x")),
    "part's file name": in_parts(lambda token: file("image", PICTURE, token), "/v1/pika/animate"),
    "part's type": in_parts(
        lambda token: (
            f'Content-Disposition: form-data; name="prompt"\r\nContent-Type: {token}\r\n\r\nx'.encode()
        )
    ),
    "part's header": in_parts(
        lambda token: f'Content-Disposition: form-data; name="prompt"\r\n{token}: {token}\r\n\r\nx'.encode()
    ),
    "twice": in_parts(
        lambda token: part("discord", token) + f"\r\n--{BOUNDARY}\r\n".encode() + part("discord", token)
    ),
    "no picture": in_parts(lambda token: file("image", token.encode()), "/v1/pika/animate"),
    "too long": in_parts(lambda token: part("prompt", token * 400)),
    "not UTF-8": in_parts(lambda token: part("prompt", token.encode() + b"\xff\xfe")),
    "cut short": cut_short,
    "request line": in_raw(lambda token: f"{token} / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "version": in_raw(lambda token: f"GET / HTTP/{token}\r\nHost: x\r\n\r\n"),
    "no request": in_raw(lambda token: f"{token}\r\n\r\n"),
    "header's name": in_raw(lambda token: f"GET / HTTP/1.1\r\nHost: x\r\n{token}: y\r\n\r\n"),
    "no header": in_raw(lambda token: f"GET / HTTP/1.1\r\nHost: x\r\n{token} {token}\r\n\r\n"),
    "folded": in_raw(lambda token: f"GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n {token}\r\n\r\n"),
    "Host": in_raw(lambda token: f"GET / HTTP/1.1\r\nHost: {token}\r\n\r\n"),
    "length": in_raw(
        lambda token: f"POST /v1/pika/create HTTP/1.1\r\nHost: x\r\nContent-Length: {token}\r\n\r\n"
    ),
    "coding": in_raw(lambda token: f"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {token}\r\n\r\n"),
    "chunk": in_raw(
        lambda token: (
            f"POST /v1/pika/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{token}\r\n\r\n"
        )
    ),
}


@dataclass
class Aftermath:
    """What is left when all was sent, and what to look for."""

    #: Of the data folder, taken as an operator takes a copy, while the server runs.
    copy: Path
    folder: Path
    sender: Sender
    server: Relay
    search: Search
    metrics: bytes
    #: How many made-up Discord tokens were sent.
    sent: int

    @property
    def folders(self) -> list[Path]:
        return [self.folder / "data", self.folder / "temporary", self.folder / "heard", self.copy]


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
    sender = Sender(server, seat, parent)
    sent = 0
    for name, place in itertools.islice(itertools.cycle(PLACES.items()), CANARIES):
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
    for verb in ("account", "token", "tenant", "jobs", "callbacks", "orphans"):
        sender.heard.append(server.command(verb, "list").stdout.encode())
    own = [server.api_token, issued, seat[0], *re.findall(r"whsec_\S+", signing), *guesses]
    assert signing.count("whsec_") == 1, signing
    sought = [*needles(MARK), *_inner(own), *needles(*(secret[6:40] for secret in secrets))]
    url = next(
        line["url"]
        for line in map(json.loads, server.log.read_text().splitlines())
        if line["event"] == "metrics.served"
    )
    metrics = requests.get(url, timeout=PATIENCE).content
    (folder / "heard" / "answers").write_bytes(b"\n".join([*sender.heard, metrics]))
    (folder / "heard" / "log").write_bytes(server.log.read_bytes())
    copy = folder / "copy"
    shutil.copytree(server.data_folder, copy)
    return Aftermath(copy, folder, sender, server, Search(sought), metrics, sent)


def _inner(secrets: list[str]) -> list[Needle]:
    """Return needles for what may not be shown of secrets: a hint of the beginning may, and a mask's three last letters."""
    return needles(*(secret[10:-4] for secret in secrets))


def test_nothing_is_found(aftermath: Aftermath) -> None:
    """No secret is in any file, log line, metric, page, list or answer, in any form, at the most talkative log level."""
    found = aftermath.search.below(aftermath.folders)

    assert [] == found
    names = {path.name for folder in aftermath.folders for path in folder.rglob("*")}
    # All of it was there to be searched.
    assert {"pikarelay.sqlite3", "pikarelay.sqlite3-wal", "uploads", "answers", "log"} <= names


def test_everything_was_sent(aftermath: Aftermath) -> None:
    """Five hundred tokens were sent, to all places, and none of them was answered as a defect."""
    codes = aftermath.sender.codes

    assert CANARIES == aftermath.sent == len({discord_token(number) for number in range(CANARIES)})
    assert set(PLACES) - set(codes) <= {"no request"}
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
