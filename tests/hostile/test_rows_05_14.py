"""Rows 5 to 14: what is sent as a body, and what becomes of it."""

import io
import json
import random
import re
import select
import socket
import struct
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.acceptance.pictures import BOUNDARY, Upload, chunk, descriptors, files, picture
from tests.acceptance.servers import PATIENCE, Local, Relay
from tests.hostile.raw import (
    MIB,
    MULTIPART,
    Answer,
    ask,
    connect,
    cpu_ms,
    field,
    file,
    form,
    head,
    read,
    resident,
)

LARGEST = 25 * MIB


def chunked(data: bytes, size: int = 65536) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def animate(server: Relay, seat: tuple[str, str], image: bytes, name: str = "a.png") -> requests.Response:
    sent: dict[str, Any] = {"discord": (None, seat[0]), "channel": (None, seat[1]), "image": (name, image)}
    return requests.post(
        f"{server.url}/v1/pika/animate", headers=server.headers, files=sent, timeout=PATIENCE
    )


# 5


@pytest.mark.parametrize("verb", ["create", "animate"])
@pytest.mark.parametrize("is_length_true", [True, False])
@pytest.mark.usefixtures("nothing")
def test_row_05_body_that_stops(
    server: Relay, seat: tuple[str, str], verb: str, is_length_true: bool
) -> None:
    """A body that stops inside the image, or anywhere, makes no job and leaves no file, whatever its length says."""
    whole = Upload(server, seat, picture(200_000), prompt="paid for by nobody").body
    chance = random.Random(5)
    image = whole.index(b"\x89PNG")
    # A line's end after the last boundary may be missing; all before it may not.
    last = len(whole) - len("-\r\n")
    for cut in [image, image + 1, image + 100_000, last, *chance.sample(range(last), 20)]:
        announced = cut if is_length_true else len(whole)
        with connect(server) as connection:
            connection.sendall(
                head(server, f"/v1/pika/{verb}", f"{MULTIPART}Content-Length: {announced}\r\n")
            )
            connection.sendall(whole[:cut])
            connection.shutdown(socket.SHUT_WR)
            answer = read(connection)

        assert (400, "request body is incomplete") == (answer.code, answer.error), cut
    no_open_file(server)


def no_open_file(server: Relay) -> None:
    """Return when the server has no upload open. It closes one a little after it has refused it."""
    deadline = time.monotonic() + PATIENCE
    while found := descriptors(server.pid):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


@pytest.mark.usefixtures("nothing")
def test_row_05_client_that_dies(server: Relay, seat: tuple[str, str]) -> None:
    """A client that is reset in the middle of its upload leaves neither a job nor a file nor an open one."""
    upload = Upload(server, seat, picture(4 * MIB))
    for _ in range(20):
        with upload.connect() as connection:
            connection.sendall(upload.head + upload.body[: 2 * MIB])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    no_open_file(server)


# 6


def too_much(server: Relay, seat: tuple[str, str], path: str, pieces: Iterator[bytes]) -> tuple[Answer, int]:
    """Send pieces until an answer comes; return it and how much had been sent."""
    sent = 0
    with connect(server) as connection:
        connection.sendall(head(server, path, f"{MULTIPART}Transfer-Encoding: chunked\r\n"))
        for piece in pieces:
            if select.select([connection], [], [], 0)[0]:
                break
            connection.sendall(piece)
            sent += len(piece)
        return read(connection), sent


@pytest.mark.usefixtures("nothing")
def test_row_06_chunks_without_end(server: Relay, seat: tuple[str, str]) -> None:
    """An upload without a length is 400 at the first byte too many, in flat memory, and closes."""
    beginning = Upload(server, seat, b"").body[: -len(f"\r\n--{BOUNDARY}--\r\n")]
    animate(server, seat, b"warm")

    def endless() -> Iterator[bytes]:
        yield b"%x\r\n%b\r\n" % (len(beginning), beginning)
        piece = picture(65536)
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
        while True:
            yield b"10000\r\n%b\r\n" % bytes(65536)

    before = resident(server.pid)
    answer, sent = too_much(server, seat, "/v1/pika/animate", endless())

    assert (400, "image is too large", True) == (answer.code, answer.error, answer.is_last)
    assert LARGEST < sent
    assert resident(server.pid) - before < 8 * MIB


@pytest.mark.usefixtures("nothing")
def test_row_06_a_byte_too_many(server: Relay, seat: tuple[str, str]) -> None:
    """A picture of 25 MiB and one byte is 400, also in chunks."""
    upload = Upload(server, seat, picture(LARGEST + 1))
    answer, _ = too_much(server, seat, "/v1/pika/animate", chunked(upload.body))

    assert (400, "image is too large") == (answer.code, answer.error)


@pytest.mark.parametrize("size", [10 * 1024**3, 10**30, 26 * MIB + 1])
@pytest.mark.usefixtures("nothing")
def test_row_06_announced_giant(server: Relay, size: int) -> None:
    """A length beyond the limit is refused before a byte of the body is read or sent."""
    answer = ask(server, head(server, "/v1/pika/animate", f"{MULTIPART}Content-Length: {size}\r\n"))

    # A number that no file can have is not even a length.
    expected = "malformed request" if size > 2**64 else "image is too large"
    assert (400, expected, True) == (answer.code, answer.error, answer.is_last)


@pytest.mark.usefixtures("nothing")
def test_row_06_small_routes(server: Relay) -> None:
    """Routes without a picture take 64 KiB."""
    for path in ("/v1/pika/button", "/v2/account", "/v1/pika/account/1180000000000000001"):
        answer = ask(server, head(server, path, f"{MULTIPART}Content-Length: {64 * 1024 + 1}\r\n"))

        assert (400, "request body is too large", True) == (answer.code, answer.error, answer.is_last)


# 7


def measured(server: Relay, path: str, request: bytes) -> tuple[Answer, float]:
    """Send as decent clients do, looking for an answer meanwhile; return it and the server's processor time."""
    with connect(server) as connection:
        before = cpu_ms(server.pid)
        for start in range(0, len(request), 65536):
            if select.select([connection], [], [], 0)[0]:
                break
            connection.sendall(request[start : start + 65536])
        answer = read(connection)
        return answer, cpu_ms(server.pid) - before


@pytest.mark.usefixtures("nothing")
def test_row_07_what_parsers_hate(server: Relay) -> None:
    """A thousand parts, a header of a megabyte, fifty before the first boundary: 400, for less than 100 ms of processor."""
    path = "/v1/pika/create"
    part = field("prompt", "x")
    long_header = b"X: " + b"x" * MIB + b"\r\n" + part
    long_name = field("n" * 1000, "x")
    many_headers = b"X: y\r\n" * 5000 + part
    preamble = head(server, path, f"{MULTIPART}Transfer-Encoding: chunked\r\n") + b"".join(
        chunked(bytes(50 * MIB))
    )
    requests_ = {
        "parts": form(server, path, *[field(f"f{n}", "x") for n in range(1000)]),
        "same part": form(server, path, *[field("unknown", "x")] * 1000),
        "files": form(server, path, *[file(f"f{n}", b"x") for n in range(1000)]),
        "header": form(server, path, long_header),
        "headers": form(server, path, many_headers),
        "name": form(server, path, long_name),
        "text": form(server, path, field("unknown", "x" * MIB)),
        "preamble": preamble,
        "almost a boundary": form(server, path, field("prompt", f"\r\n--{BOUNDARY[:-1]}" * 100_000)),
    }
    for name, request in requests_.items():
        answer, spent = measured(server, path, request)

        assert (400, "malformed multipart body") == (answer.code, answer.error), name
        assert spent < 100, name


# 8


@pytest.mark.parametrize("name", ["discord", "prompt", "channel", "replyRef", "replyUrl", "maxJobs"])
@pytest.mark.usefixtures("nothing")
def test_row_08_field_given_twice(server: Relay, seat: tuple[str, str], name: str) -> None:
    """A field given twice is 400 with its name, in every kind of body, also with the same value."""
    given = {"prompt": "x", "discord": seat[0], "channel": seat[1]}
    for second in ("A", given.get(name, "A")):
        pairs = [*given.items(), (name, "A"), (name, second)]
        sentence = f"{name} is given more than once"
        multipart = ask(server, form(server, "/v1/pika/create", *[field(*pair) for pair in pairs]))
        ask_ = {"headers": server.headers, "timeout": PATIENCE}
        url = f"{server.url}/v1/pika/create"
        urlencoded = requests.post(url, data=pairs, **ask_)
        inside = ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs)
        as_json = {"headers": {**server.headers, "Content-Type": "application/json"}, "timeout": PATIENCE}
        flat = requests.post(url, data="{" + inside + "}", **as_json)

        assert (400, sentence) == (multipart.code, multipart.error)
        assert [(400, sentence)] * 2 == [(a.status_code, a.json()["error"]) for a in (urlencoded, flat)]


@pytest.mark.usefixtures("nothing")
def test_row_08_file_given_twice(server: Relay, seat: tuple[str, str]) -> None:
    """A picture given twice is no less ambiguous."""
    parts = [field("prompt", "x"), file("image", picture(1000)), file("image", picture(1000))]
    answer = ask(server, form(server, "/v1/pika/create", *parts))

    assert (400, "image is given more than once") == (answer.code, answer.error)


# 9


@pytest.mark.parametrize("name", ["prompt", "replyRef"])
@pytest.mark.usefixtures("nothing")
def test_row_09_what_is_no_text(server: Relay, seat: tuple[str, str], name: str) -> None:
    """Bytes that are no UTF-8, a NUL and lone surrogates are 400 with the field's name."""
    bad = {
        b"\xff\xfe": "is not valid UTF-8", b"caf\xe9": "is not valid UTF-8", b"\xed\xa0\x80": "is not valid UTF-8",
        b"\xc0\x80": "is not valid UTF-8", b"\xf4\x90\x80\x80": "is not valid UTF-8", b"\xe2\x82": "is not valid UTF-8",
        b"a\x00b": "has a NUL character",
    }  # fmt: skip
    rest = [field("discord", seat[0]), field("channel", seat[1])]
    if name != "prompt":
        rest.append(field("prompt", "x"))
    for value, sentence in bad.items():
        answer = ask(server, form(server, "/v1/pika/create", *rest, field(name, value)))

        assert (400, f"{name} {sentence}") == (answer.code, answer.error)

    for escaped in ("\\ud800", "\\udfff", "a\\u0000"):
        text = f'{{"discord":"{seat[0]}","channel":"{seat[1]}","prompt":"x","{name}":"{escaped}"}}'
        if name == "prompt":
            text = text.replace('"prompt":"x",', "")
        as_json = {**server.headers, "Content-Type": "application/json"}
        refused = requests.post(f"{server.url}/v1/pika/create", headers=as_json, data=text, timeout=PATIENCE)

        assert 400 == refused.status_code
        assert refused.json()["error"].startswith(f"{name} ")


def test_row_09_every_text_there_is(server: Relay, seat: tuple[str, str]) -> None:
    """Emoji, right-to-left text and combining marks come back byte for byte, in neither form nor letter changed."""
    text = "🎬👩‍👩‍👧‍👦 שלום عليكم e\u0301 é \u202e \ufeff ﷽ \u2028 <b>&amp;</b> %00 \t"
    job = server.created(text, *seat, replyRef=text)

    assert (text, text) == (job["prompt"], job["replyRef"])


# 10


@pytest.mark.parametrize("unit", ["x", "é", "漢", "🎬"])
def test_row_10_length_of_a_reference(server: Relay, local: Local, seat: tuple[str, str], unit: str) -> None:
    """1,024 UTF-16 units of replyRef are taken and come back, one more is 400 and makes no job."""
    size = len(unit.encode("utf-16-le")) // 2
    fits = unit * (1024 // size)
    jobs = server.stored_jobs()

    assert fits == server.created("x", *seat, replyRef=fits)["replyRef"]

    refused = server.post(
        "create", {"prompt": "x", "discord": seat[0], "channel": seat[1], "replyRef": fits + "x"}
    )
    assert 400 == refused.status_code
    assert {"error": "prompt, replyRef or replyUrl is too long", "code": 400} == refused.json()
    assert jobs + 1 == server.stored_jobs()


def test_row_10_the_button_too(server: Relay, parent: dict[str, Any]) -> None:
    """The button has the contract's own sentence for it."""
    too_long = {"jobid": parent["jobid"], "button": "retry", "replyRef": "🎬" * 512 + "x"}
    refused = server.post("button", too_long)

    assert {"error": "replyRef or replyUrl is too long", "code": 400} == refused.json()


# 11


@pytest.mark.parametrize(
    ("given", "effective"),
    [
        *((nonsense, 10) for nonsense in ("0", "-1", "NaN", "10; drop", "1e9", "Infinity", "0x10", "", " ", "\u0661\u0660", "1.5", "--1")),
        ("9" * 400, 10),
        ("1", 1),
        ("10", 10),
        ("11", 11),
    ],
)  # fmt: skip
def test_row_11_how_many_jobs(server: Relay, seat: tuple[str, str], given: str, effective: int) -> None:
    """What is no number of jobs counts as not given; never is it a 500, never no limit at all."""
    job = server.created("x", *seat, maxJobs=given)

    assert effective == job["maxJobs"]


# 12


@pytest.mark.parametrize("side", [(9000, 9000), (60_000, 60_000), (16_385, 1), (2**31 - 1, 2**31 - 1)])
@pytest.mark.usefixtures("nothing")
def test_row_12_pixels(server: Relay, seat: tuple[str, str], side: tuple[int, int]) -> None:
    """A picture of 10 kB that announces too many pixels is refused from its header, and takes no memory."""
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *side, 8, 2, 0, 0, 0)) + bytes(10_000)
    )
    animate(server, seat, bomb)
    before = resident(server.pid)
    answers = [animate(server, seat, bomb) for _ in range(10)]

    assert {"error": "image is too large (pixels)", "code": 400} == answers[0].json()
    assert {400} == {answer.status_code for answer in answers}
    assert resident(server.pid) - before < MIB


@pytest.mark.usefixtures("nothing")
def test_row_12_frames(server: Relay, seat: tuple[str, str]) -> None:
    """A picture of some kilobytes with more frames than anybody wants to draw is refused."""
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    bomb = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + frame * 501 + b";"

    assert {"error": "image is too large (frames)", "code": 400} == animate(server, seat, bomb).json()


# 13


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as written:
        written.writestr("a.png", picture(1000))
    return packed.getvalue()


NO_PICTURES = {
    "HTML": b"<!doctype html><html><script>alert(1)</script></html>",
    "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "PDF": b"%PDF-1.7\n" + bytes(1000),
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "zip": archive(),
    "nothing": b"",
    "BMP": b"BM" + bytes(1000),
    "TIFF": b"II*\x00" + bytes(1000),
    "ICO": b"\x00\x00\x01\x00" + bytes(1000),
    "a beginning": b"\x89PNG\r\n\x1a\n",
    "half a JPEG": b"\xff\xd8\xff",
    "RIFF, no WebP": b"RIFF\x00\x00\x00\x00WAVE" + bytes(100),
}


@pytest.mark.parametrize("content", NO_PICTURES.values(), ids=NO_PICTURES)
@pytest.mark.usefixtures("nothing")
def test_row_13_no_picture(server: Relay, seat: tuple[str, str], content: bytes) -> None:
    """What is no PNG, JPEG, WebP or GIF is 400, whatever it is called and declared."""
    answer = animate(server, seat, content, "a.png")

    assert {"error": "image is not supported", "code": 400} == answer.json()
    assert 400 == answer.status_code


def test_row_13_two_in_one(server: Relay, seat: tuple[str, str]) -> None:
    """A GIF that is HTML as well is kept as a GIF, and no address of this server gives it out."""
    page = b"GIF89a" + struct.pack("<HH", 16, 16) + b"\x00\x00\x00" + b"/*<script>alert(1)</script>*/;"
    before = set(files(server))
    answer = animate(server, seat, page, "a.html")
    (stored,) = set(files(server)) - before

    assert 200 == answer.status_code
    assert stored.endswith(".gif")
    for path in (f"/{stored}", f"/uploads/{stored}", f"/try/{stored}", f"/try/../uploads/{stored}"):
        assert 404 == server.get(path).status_code


# 14


@pytest.mark.parametrize(
    "name",
    ["../../etc/cron.d/x", "/etc/passwd", "CON", "NUL.png", "x" * 4000, "", ".", "..", "a\x00b.png", "C:\\x.png", "a/b", "\u202egnp.exe"],
)  # fmt: skip
def test_row_14_file_names(server: Relay, seat: tuple[str, str], name: str) -> None:
    """A file's name is no name of anything here; its job runs."""
    before = set(files(server))
    parts = [
        field("discord", seat[0]),
        field("channel", seat[1]),
        f'Content-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode() + picture(1000),
    ]
    answer = ask(server, form(server, "/v1/pika/animate", *parts))
    (stored,) = set(files(server)) - before

    assert 200 == answer.code, answer.body
    assert "completed" == server.finished(json.loads(answer.body)["jobid"])["status"]
    assert re.fullmatch(r"[0-9a-f]{32}\.png", stored)
