"""Where a caller may put a secret that does not belong there: every operation that is documented, and what is hardly a request."""

import base64
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import requests

from pikarelay.contract.bodies import FILES_PATH as FILES
from tests.acceptance.servers import PATIENCE, Relay
from tests.hostile.canaries import MARK
from tests.hostile.raw import BOUNDARY, ask, file, form
from tests.hostile.raw import field as part

Place = Callable[["Sender", str], None]


@dataclass
class Sender:
    """A caller who puts secrets where they do not belong, and keeps all that comes back."""

    server: Relay
    #: A real Discord token with its channel.
    seat: tuple[str, str]
    parent: str
    #: Where the metrics are, which is not where the API is.
    metrics: str
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
PAGES = ("/", "/openapi.json", "/healthz", "/readyz", "/metrics", "/nowhere", f"{FILES}/x")
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
    "jobid": in_url("/v1/pika/jobs/?jobid={token}"),
    "jobid, no slash": in_url("/v1/pika/jobs?jobid={token}"),
    "jobid, in full": in_url("/v1/pika/jobs/?jobid=Bearer%20{token}"),
    **{f"{page}?": in_url(page + "?token={token}&Authorization=Bearer%20{token}") for page in PAGES},
    **{f"{page}/": in_url(page.rstrip("/") + "/{token}") for page in PAGES},
    **{f"{verb}/": in_url(f"/v1/pika/{verb}/{{token}}", "POST") for verb in POSTS},
    "a file": in_url(FILES + "/{token}.mp4"),
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


def on_operations(document: dict[str, Any]) -> dict[str, Place]:
    """
    Return places on every operation of the API's own document: each part of its path that is a name, each of its parameters and
    one that it has not, and each field of its body in each form.
    """
    places = {}
    for path, found in document["paths"].items():
        for method, operation in found.items():
            on = f"{method.upper()} {path}"
            declared = [(one["name"], one["in"]) for one in operation["parameters"]]
            for name, where in [*declared, ("token", "query")]:
                places[f"{on}, {name} in its {where}"] = in_parameter(method.upper(), path, name, where)
            for media_type, its in operation.get("requestBody", {}).get("content", {}).items():
                for name in its["schema"]["properties"]:
                    places[f"{on}, {name} as {media_type}"] = in_body(path, name, media_type)
    return places


def in_parameter(method: str, path: str, name: str, where: str) -> Place:
    """In a part of the path, in the query or in a header."""

    def send(sender: Sender, token: str) -> None:
        filled = re.sub(r"{(\w+)}", lambda its: token if its[1] == name else "x", path)
        more = {"query": {"params": {name: token}}, "header": {"headers": {name: token}}, "path": {}}[where]
        sender.send(method, filled, **more)

    return send


def in_body(path: str, name: str, media_type: str) -> Place:
    """In a field, of a request that is refused: what it keeps of one that is not may be as it came."""

    def send(sender: Sender, token: str) -> None:
        filled = re.sub(r"{\w+}", f"{1_270_000_000_000_000_000 + next(sender.numbers)}", path)
        given = {"replyUrl": "ftp://nowhere.example/", "jobid": "none", name: token}
        as_media: dict[str, Any] = {
            "application/json": {"json": given},
            "application/x-www-form-urlencoded": {"data": given},
            "multipart/form-data": {"files": fields(**given)},
        }
        sender.send("POST", filled, **as_media[media_type])

    return send


def on_metrics(sender: Sender, token: str) -> None:
    """At the address of the metrics, which is not the API's."""
    for path in (f"/{token}", f"/metrics?token={token}", f"/metrics/{token}"):
        answer = requests.get(sender.metrics + path, headers={"Authorization": token}, timeout=PATIENCE)
        sender.hear(answer.status_code, str(answer.headers).encode() + answer.content)
