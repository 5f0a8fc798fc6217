"""Reading request bodies: what becomes a form, and the sentence for everything that does not."""

import asyncio
import itertools
import json
import random
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pikarelay.api.exchange import PLACE
from pikarelay.api.forms import CloseUnread, Form, FormRules, read_form
from pikarelay.api.room import Place, Room
from pikarelay.errors import ApiError, InvalidValue, MalformedBody, Unavailable
from pikarelay.jobs.job import Upload

BOUNDARY = "----formBoundary7MA4YWxk"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"

BUTTON = FormRules(fields=frozenset({"jobid", "button", "discord", "replyRef"}))
CREATE = FormRules(fields=frozenset({"prompt", "discord", "image"}), files=frozenset({"image"}))
TWO_FILES = FormRules(fields=frozenset({"prompt", "message", "image"}), files=frozenset({"message", "image"}))


class MemorySink:
    """A sink that keeps what it is given, and can be told to refuse."""

    def __init__(self, declared: str | None, *, refusal: ApiError | None = None) -> None:
        self.declared = declared
        self.data = bytearray()
        self.is_finished = False
        self.is_discarded = False
        self._refusal = refusal

    async def write(self, data: bytes) -> None:
        if self._refusal is not None:
            raise self._refusal
        self.data += data

    async def finish(self) -> Upload:
        self.is_finished = True
        return Upload(size=len(self.data), type=self.declared or "image/png", key="k")

    async def discard(self) -> None:
        self.is_discarded = True


class Sinks:
    """Opens sinks, and remembers them."""

    def __init__(self, refusal: ApiError | None = None) -> None:
        self.opened: list[MemorySink] = []
        self._refusal = refusal

    def __call__(self, declared: str | None) -> MemorySink:
        self.opened.append(MemorySink(declared, refusal=self._refusal))
        return self.opened[-1]


class Wire:
    """An ASGI `receive` that gives out pieces, then says how it ends: whole, cut off, or never."""

    def __init__(self, pieces: Iterable[bytes], *, ending: str = "whole") -> None:
        self._pieces = iter(pieces)
        self._ending = ending
        self.received = 0
        #: Set when everything is given out, and the reader waits for what never comes.
        self.waits = asyncio.Event()
        self.on_silence: Callable[[], None] = lambda: None

    async def __call__(self) -> dict[str, Any]:
        piece = next(self._pieces, None)
        if piece is not None:
            self.received += len(piece)
            return {"type": "http.request", "body": piece, "more_body": True}
        if self._ending == "silence":
            self.waits.set()
            self.on_silence()
            await asyncio.Event().wait()
        if self._ending == "cut":
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}


def part(name: str, data: bytes | str, *, filename: str | None = None, headers: str = "") -> bytes:
    value = data.encode() if isinstance(data, str) else data
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--{BOUNDARY}\r\n{headers}Content-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def multipart(*parts: bytes) -> bytes:
    return b"".join(parts) + END


def pieces_of(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


async def read(
    body: bytes,
    rules: FormRules = BUTTON,
    *,
    content_type: str | None = MULTIPART,
    length: int | None = None,
    ending: str = "whole",
    size: int = 65536,
    sinks: Sinks | None = None,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> Form:
    known = [*headers]
    if content_type is not None:
        known.append((b"content-type", content_type.encode("latin-1")))
    if length is not None:
        known.append((b"content-length", str(length).encode()))
    wire = Wire(pieces_of(body, size), ending=ending)
    return await read_form(wire, known, rules, Sinks() if sinks is None else sinks)


# Whole bodies


async def test_texts_come_back_byte_for_byte() -> None:
    """Emoji, right-to-left text, line ends and empty texts survive, whatever the pieces they come in."""
    texts = {"jobid": "a1", "button": "retry", "replyRef": "👩‍🚀 שלום\r\n--\r\n", "discord": ""}
    body = multipart(*(part(name, text) for name, text in texts.items()))

    for size in (1, 2, 3, 7, 64, 65536):
        form = await read(body, length=len(body), size=size)

        assert texts == form.texts
        assert form.files == {}


async def test_type_before_disposition_is_a_text() -> None:
    """A part with a media type and no file name is a text, as aiohttp sends its fields."""
    body = multipart(part("jobid", "a1", headers="Content-Type: text/plain; charset=utf-8\r\n"))

    assert (await read(body)).texts == {"jobid": "a1"}


@pytest.mark.parametrize(
    "filename", ["blob", "/tmp/phpK3jd0", "../../etc/x", "NUL", "a" * 4000, "né.png", "", 'a\\"b.png']
)
async def test_file_name_means_nothing(filename: str) -> None:
    """A part with a file name is a file, whatever the name."""
    sinks = Sinks()
    image = part(
        "image", b"\x89PNG\r\n\x1a\n\x00\xff", filename=filename, headers="Content-Type: image/png\r\n"
    )

    form = await read(multipart(part("prompt", "a kite"), image), CREATE, sinks=sinks)

    assert form.texts == {"prompt": "a kite"}
    assert form.files["image"] == Upload(size=10, type="image/png", key="k")
    assert bytes(sinks.opened[0].data) == b"\x89PNG\r\n\x1a\n\x00\xff"
    assert sinks.opened[0].is_finished
    assert not sinks.opened[0].is_discarded


@pytest.mark.parametrize(
    "absent",
    [
        part("image", b"", filename="", headers="Content-Type: application/octet-stream\r\n"),
        part("image", b""),
        part("image", b"undefined"),
    ],
    ids=["empty file input", "empty text", "text"],
)
async def test_absent_file_is_absent(absent: bytes) -> None:
    """What clients send for no file is no file, and no text either."""
    sinks = Sinks()

    form = await read(multipart(part("prompt", "a kite"), absent), CREATE, sinks=sinks)

    assert Form(texts={"prompt": "a kite"}) == form
    assert sinks.opened == []


async def test_named_file_without_bytes_is_judged_by_the_sink() -> None:
    """An empty file with a name was meant as a file."""
    form = await read(multipart(part("image", b"", filename="a.png")), CREATE)

    assert form.files["image"].size == 0


async def test_unknown_fields_are_ignored() -> None:
    """Fields and files that nobody asked for leave no trace, also when they come twice."""
    sinks = Sinks()
    extra = [part("extra", "1"), part("extra", "2"), part("attachment", b"x" * 100, filename="x")]

    form = await read(multipart(*extra, part("jobid", "a1")), sinks=sinks)

    assert Form(texts={"jobid": "a1"}) == form
    assert sinks.opened == []


async def test_two_files_where_two_are_known() -> None:
    """A route that knows two files takes both."""
    body = multipart(part("message", b"12", filename="a"), part("image", b"345", filename="b"))

    form = await read(body, TWO_FILES)

    assert {name: upload.size for name, upload in form.files.items()} == {"message": 2, "image": 3}


async def test_form_discards_its_files() -> None:
    """A form whose request comes to nothing leaves no file behind."""
    sinks = Sinks()
    form = await read(multipart(part("image", b"1", filename="a")), CREATE, sinks=sinks)

    await form.discard()

    assert sinks.opened[0].is_discarded


async def test_urlencoded_body_is_a_form() -> None:
    """A form without files may come percent-encoded."""
    texts = {"jobid": "a1", "button": "retry", "replyRef": "a b+c&d=e👍", "discord": ""}

    form = await read(urlencode({**texts, "extra": "1"}).encode(), content_type=URLENCODED)

    assert texts == form.texts


async def test_json_body_is_a_form() -> None:
    """Of a flat JSON object, texts, numbers and booleans become the texts a form would have had."""
    rules = FormRules(fields=frozenset("abcdefg"))
    body = b'{"a":"x","b":10,"c":1.50,"d":true,"e":false,"f":null,"g":"","z":1}'

    form = await read(body, rules, content_type="application/json; charset=utf-8")

    assert form.texts == {"a": "x", "b": "10", "c": "1.50", "d": "true", "e": "false", "g": ""}


@given(st.dictionaries(st.sampled_from(sorted(BUTTON.fields)), st.text(max_size=200)), st.integers(1, 300))
async def test_dialects_agree(texts: dict[str, str], size: int) -> None:
    """The same fields give the same form, or the same refusal, in all three dialects."""
    encodable = {name: text.encode("utf-8", "surrogatepass") for name, text in texts.items()}
    bodies = {
        MULTIPART: multipart(*(part(name, data) for name, data in encodable.items())),
        URLENCODED: urlencode(encodable).encode(),
        JSON: json.dumps(texts).encode(),
    }

    outcomes = []
    for content_type, body in bodies.items():
        try:
            outcomes.append((await read(body, content_type=content_type, size=size)).texts)
        except ApiError as refusal:
            outcomes.append({"refusal": refusal.message})

    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert texts == outcomes[0] or "refusal" in outcomes[0]


# Refusals


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xff\xfe", "replyRef is not valid UTF-8"),
        (b"caf\xe9", "replyRef is not valid UTF-8"),
        (b"\xed\xa0\x80", "replyRef is not valid UTF-8"),
        (b"a\x00b", "replyRef has a NUL character"),
    ],
)
@pytest.mark.parametrize("content_type", [MULTIPART, URLENCODED])
async def test_bad_text_is_refused_by_name(data: bytes, sentence: str, content_type: str) -> None:
    """A text that is none says which field it was."""
    body = (
        multipart(part("replyRef", data))
        if content_type == MULTIPART
        else urlencode({"replyRef": data}).encode()
    )

    with pytest.raises(InvalidValue, match=f"^{sentence}$"):
        await read(body, content_type=content_type)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"replyRef":"\\ud800"}', "replyRef is not valid UTF-8"),
        (b'{"replyRef":"a\\u0000"}', "replyRef has a NUL character"),
        (b'{"replyRef":"a","replyRef":"b"}', "replyRef is given more than once"),
        (b'{"replyRef":["a"]}', "request body holds a value that is no text, number or boolean"),
        (b'{"replyRef":{"a":1}}', "request body holds a value that is no text, number or boolean"),
        (b'{"replyRef":NaN}', "malformed request body"),
        (b'{"replyRef":"\xff"}', "malformed request body"),
        (b'{"replyRef":', "malformed request body"),
        (b"[" * 60000, "malformed request body"),
        (b'["a"]', "request body is not a JSON object"),
        (b'"a"', "request body is not a JSON object"),
        (b"", "malformed request body"),
        (json.dumps({str(n): 1 for n in range(33)}).encode(), "malformed request body"),
        (json.dumps({"replyRef": "a" * 16385}).encode(), "malformed request body"),
    ],
)
async def test_bad_json_is_refused(body: bytes, sentence: str) -> None:
    """JSON that is no flat object of texts is refused with a reason."""
    with pytest.raises(ApiError, match=f"^{sentence}$") as refusal:
        await read(body, content_type=JSON)

    assert refusal.value.code == 400


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (multipart(part("discord", "A"), part("discord", "B")), MULTIPART),
        (multipart(part("discord", ""), part("jobid", "1"), part("discord", "")), MULTIPART),
        (b"discord=A&jobid=1&discord=B", URLENCODED),
        (b"discord=A&disc%6frd=B", URLENCODED),
    ],
)
async def test_repeated_field_is_refused(body: bytes, content_type: str) -> None:
    """Which of two values was meant is not guessed."""
    with pytest.raises(InvalidValue, match=r"^discord is given more than once$"):
        await read(body, content_type=content_type)


async def test_repeated_file_is_refused() -> None:
    """Of two files for one field neither is kept."""
    sinks = Sinks()

    with pytest.raises(InvalidValue, match=r"^image is given more than once$"):
        await read(
            multipart(part("image", b"1", filename="a"), part("image", b"2", filename="b")),
            TWO_FILES,
            sinks=sinks,
        )

    assert [sink.is_discarded for sink in sinks.opened] == [True]


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/octet-stream",
        "multipart/mixed; boundary=a",
        "multipart",
        "application/xml",
    ],
)
async def test_other_types_are_refused(content_type: str | None) -> None:
    """A body that is no form says what would be."""
    with pytest.raises(MalformedBody, match="Content-Type must be multipart/form-data"):
        await read(multipart(part("jobid", "a1")), content_type=content_type)


async def test_two_types_are_refused() -> None:
    """A body that claims to be two things is neither."""
    with pytest.raises(MalformedBody, match="Content-Type must be"):
        await read(b"{}", content_type=JSON, headers=[(b"content-type", URLENCODED.encode())])


async def test_compressed_body_is_refused() -> None:
    """Nothing is inflated."""
    with pytest.raises(MalformedBody, match=r"^Content-Encoding is not supported$"):
        await read(b"{}", content_type=JSON, headers=[(b"content-encoding", b"gzip")])


MALFORMED = {
    "no boundary declared": (multipart(part("jobid", "a")), "multipart/form-data"),
    "thousand parts": (multipart(*[part(f"f{n}", "") for n in range(1000)]), MULTIPART),
    "thirty-three parts": (multipart(*[part("x", "") for _ in range(33)]), MULTIPART),
    "no name": (f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx\r\n".encode() + END, MULTIPART),
    "empty name": (multipart(part("", "x")), MULTIPART),
    "long name": (multipart(part("n" * 65, "x")), MULTIPART),
    "long text": (multipart(part("jobid", "x" * 16385)), MULTIPART),
    "long ignored text": (multipart(part("other", "x" * 16385)), MULTIPART),
    "long header line": (multipart(part("jobid", "x", headers=f"X-A: {'a' * 8192}\r\n")), MULTIPART),
    "long headers": (multipart(part("jobid", "x", headers=f"X-A: {'a' * 5000}\r\n" * 2)), MULTIPART),
    "header without end": (f"--{BOUNDARY}\r\n".encode() + b"a" * 20000, MULTIPART),
    "no disposition": (f"--{BOUNDARY}\r\nX-A: b\r\n\r\nx\r\n".encode() + END, MULTIPART),
    "long preamble": (b"x" * 20000 + multipart(part("jobid", "x")), MULTIPART),
    "two unknown files": (multipart(part("a", "1", filename="a"), part("b", "2", filename="b")), MULTIPART),
    "bare line ends": (multipart(part("jobid", "x")).replace(b"\r\n", b"\n"), MULTIPART),
}


@pytest.mark.parametrize(("body", "content_type"), MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("size", [100, 65536])
async def test_malformed_multipart_is_refused(body: bytes, content_type: str, size: int) -> None:
    """A multipart body beyond its rules or limits gets one sentence, in whatever pieces it comes."""
    with pytest.raises(MalformedBody, match=r"^malformed multipart body$"):
        await read(body, content_type=content_type, size=size)


async def test_limits_are_inclusive() -> None:
    """Thirty-two parts, a name of 64 bytes and a text of 16 KiB are still a form."""
    body = multipart(part("jobid", "x" * 16384), part("n" * 64, "x"), *[part("x", "") for _ in range(30)])

    assert len((await read(body)).texts["jobid"]) == 16384


async def test_endless_preamble_ends_early() -> None:
    """Fifty MiB before the first boundary are not read to their end."""
    wire = Wire(b"x" * 65536 for _ in range(800))

    with pytest.raises(MalformedBody, match=r"^malformed multipart body$"):
        await read_form(wire, [(b"content-type", MULTIPART.encode())], CREATE, Sinks())

    assert wire.received == 65536


@pytest.mark.parametrize(
    ("rules", "content_type", "sentence"),
    [
        (CREATE, MULTIPART, "image is too large"),
        (BUTTON, MULTIPART, "request body is too large"),
        (CREATE, JSON, "request body is too large"),
        (BUTTON, URLENCODED, "request body is too large"),
    ],
)
async def test_declared_giant_is_refused_unread(rules: FormRules, content_type: str, sentence: str) -> None:
    """A Content-Length beyond the limit is answered before a byte is read."""
    wire = Wire([b"x"])
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"10737418240")]

    with pytest.raises(MalformedBody, match=f"^{sentence}$"):
        await read_form(wire, headers, rules, Sinks())

    assert wire.received == 0


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"", b"0x10", "٣".encode()])
async def test_odd_length_is_refused(length: bytes) -> None:
    """A length that is no number is nothing to count against."""
    with pytest.raises(MalformedBody, match=r"^malformed request body$"):
        await read(b"{}", content_type=JSON, headers=[(b"content-length", length)])


async def test_absurdly_long_length_is_a_giant() -> None:
    """A length of five thousand digits is too large, and not a crash."""
    with pytest.raises(MalformedBody, match=r"^request body is too large$"):
        await read(b"{}", content_type=JSON, headers=[(b"content-length", b"9" * 5000)])


async def test_file_stops_at_its_limit_in_flat_memory() -> None:
    """A file without end is refused at the first byte too many, and was never in memory."""
    sinks: list[Any] = []

    class Counting(MemorySink):
        count = 0

        async def write(self, data: bytes) -> None:
            self.count += len(data)

    def open_sink(declared: str | None) -> Counting:
        sinks.append(Counting(declared))
        return sinks[-1]

    head = part("image", b"", filename="a")[:-2]
    wire = Wire(iter([head, *([b"x" * 65536] * 500)]))
    tracemalloc.start()
    try:
        with pytest.raises(ApiError, match=r"^image is too large$"):
            await read_form(wire, [(b"content-type", MULTIPART.encode())], CREATE, open_sink)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert CREATE.max_file - 65536 < sinks[0].count <= CREATE.max_file
    assert sinks[0].is_discarded
    assert peak < 2 * 1024 * 1024


async def test_body_stops_at_its_limit() -> None:
    """Also an ignored file, and what follows the last boundary, count."""
    body = multipart(part("jobid", "a")) + b"\r\n" * 40000

    with pytest.raises(MalformedBody, match=r"^request body is too large$"):
        await read(body)


# Cut bodies


async def test_no_cut_body_is_a_form() -> None:
    """At 1,000 random cuts, with a true length, a false one or none, ended or hung up: never a form, never a file."""
    chance = random.Random(7)
    image = part("image", chance.randbytes(3000), filename="a.png")
    body = multipart(part("prompt", "a kite"), image, part("discord", "token"))
    whole = body.rstrip()
    assert (await read(whole, CREATE)).texts["discord"] == "token"

    for _ in range(1000):
        cut = whole[: chance.randrange(len(whole))]
        sinks = Sinks()
        length = chance.choice([None, len(cut), len(body)])
        ending = chance.choice(["whole", "cut"])
        with pytest.raises(MalformedBody, match=r"^request body is incomplete$"):
            await read(
                cut, CREATE, length=length, ending=ending, size=chance.choice([1, 50, 65536]), sinks=sinks
            )

        assert all(sink.is_discarded for sink in sinks.opened)


@pytest.mark.parametrize("content_type", [URLENCODED, JSON, MULTIPART])
async def test_fewer_bytes_than_declared_are_incomplete(content_type: str) -> None:
    """A body that would be a form without its last bytes is none, when those were announced."""
    body = {URLENCODED: b"jobid=a1", JSON: b'{"jobid":"a1"}', MULTIPART: multipart(part("jobid", "a1"))}[
        content_type
    ]
    assert (await read(body, content_type=content_type, length=len(body))).texts == {"jobid": "a1"}

    with pytest.raises(MalformedBody, match=r"^request body is incomplete$"):
        await read(body, content_type=content_type, length=len(body) + 1)


@pytest.mark.parametrize(
    ("size", "seconds"), [(0, 10), (9000, 10), (11_000, 11), (16_000, 15), (100_000, 15), (5000, 120)]
)
async def test_slow_body_is_incomplete(size: int, seconds: float) -> None:
    """A client that falls silent, or takes for ever, is not waited for; its file goes."""
    sinks = Sinks()
    body = part("image", b"x" * size, filename="a")[:size] if size else b""
    wire = Wire([body] if body else [], ending="silence")

    made: dict[float, asyncio.Timeout] = {}

    def timer(delay: float) -> asyncio.Timeout:
        made[delay] = asyncio.timeout(None)
        return made[delay]

    # The deadline passes at the moment the client falls silent.
    wire.on_silence = lambda: made[seconds].reschedule(asyncio.get_running_loop().time())
    type_ = (b"content-type", MULTIPART.encode())

    with pytest.raises(MalformedBody, match=r"^request body is incomplete$"):
        await read_form(wire, [type_], CREATE, sinks, timer, lambda: 0.0)

    assert wire.waits.is_set()
    assert all(sink.is_discarded for sink in sinks.opened)


@pytest.mark.parametrize(("bytes_a_second", "taken"), [(999, False), (1001, True)])
async def test_body_has_a_pace(bytes_a_second: int, taken: bool) -> None:
    """Who is slower than 1 kB a second, all in all and after ten seconds, is not waited for; who is faster, is."""
    clock = [0.0]
    body = multipart(part("image", b"x" * 90_000, filename="a"))
    wire = Wire(pieces_of(body, bytes_a_second))

    async def receive() -> dict[str, Any]:
        message = await wire()
        clock[0] += len(message["body"]) / bytes_a_second
        return message

    reading = read_form(
        receive, [(b"content-type", MULTIPART.encode())], CREATE, Sinks(), seconds=lambda: clock[0]
    )
    if taken:
        assert 90_000 == (await reading).files["image"].size
        return

    with pytest.raises(MalformedBody, match=r"^request body is incomplete$"):
        await reading
    assert wire.received < len(body)


async def test_own_slowness_is_not_the_clients() -> None:
    """While we are busy with what a client has sent, a slow disk say, nobody waits for the client."""
    clock = [0.0]

    class SlowSink(MemorySink):
        async def write(self, data: bytes) -> None:
            clock[0] += 60
            await super().write(data)

    body = multipart(part("image", b"x" * 300, filename="a"))
    type_ = (b"content-type", MULTIPART.encode())

    form = await read_form(
        Wire(pieces_of(body, 50)), [type_], CREATE, lambda _: SlowSink(None), seconds=lambda: clock[0]
    )

    assert 300 == form.files["image"].size


async def test_refusal_of_the_sink_is_passed_on() -> None:
    """What a sink has against a file is the answer, and nothing of the file stays."""
    sinks = Sinks(refusal=Unavailable())

    with pytest.raises(Unavailable):
        await read(multipart(part("image", b"1", filename="a")), CREATE, sinks=sinks)

    assert [sink.is_discarded for sink in sinks.opened] == [True]


async def test_cancelled_reading_leaves_no_file() -> None:
    """A request that is cancelled in the middle of its upload takes its file with it."""
    sinks = Sinks()
    wire = Wire([part("image", b"x" * 100, filename="a")], ending="silence")
    task = asyncio.create_task(read_form(wire, [(b"content-type", MULTIPART.encode())], CREATE, sinks))
    await wire.waits.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert [sink.is_discarded for sink in sinks.opened] == [True]


@given(st.binary(max_size=400), st.sampled_from([MULTIPART, URLENCODED, JSON]), st.integers(1, 100))
async def test_any_bytes_get_an_answer(noise: bytes, content_type: str, size: int) -> None:
    """No body makes the reader fail in any way but its own."""
    for body in (noise, part("jobid", "a")[:-2] + noise, multipart(part("jobid", noise), noise)):
        outcome = await outcome_of(body, content_type, size)

        assert outcome == 400 or isinstance(outcome, set)


async def outcome_of(body: bytes, content_type: str, size: int) -> set[str] | int:
    """Return the names of a body's texts, or the code of its refusal."""
    try:
        return set((await read(body, content_type=content_type, size=size)).texts)
    except ApiError as refusal:
        return refusal.code


# The connection


async def answered(headers: list[tuple[bytes, bytes]], *, reads: int) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer that leaves after so many of a body's three messages were received."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(reads):
            await receive()
        await send(
            {"type": "http.response.start", "status": 400, "headers": [(b"connection", b"keep-alive")]}
        )
        await send({"type": "http.response.body", "body": b""})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await CloseUnread(app)({"type": "http", "headers": headers}, Wire([b"a", b"b"]), send)
    return list(sent[0]["headers"])


@pytest.mark.parametrize("header", [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")])
@pytest.mark.parametrize(("reads", "connection"), [(0, b"close"), (2, b"close"), (3, b"keep-alive")])
async def test_unread_body_closes_the_connection(
    header: tuple[bytes, bytes], reads: int, connection: bytes
) -> None:
    """An answer to a body that was not read to its end is the last on its connection."""
    assert await answered([header], reads=reads) == [(b"connection", connection)]


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")]])
async def test_request_without_body_keeps_the_connection(headers: list[tuple[bytes, bytes]]) -> None:
    """Where there was nothing to read, nothing is unread."""
    assert await answered(headers, reads=0) == [(b"connection", b"keep-alive")]


async def lingering(wire: Wire, timer: Callable[[float], asyncio.Timeout] = asyncio.timeout) -> list[Any]:
    """Refuse a request unread, and return what was sent, each with what was received by then."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append((message.get("body"), message.get("more_body", False), wire.received))

    scope: Any = {"type": "http", "headers": [(b"transfer-encoding", b"chunked")]}
    await CloseUnread(app, timer)(scope, wire, send)
    return sent[1:]


@pytest.mark.parametrize("ending", ["whole", "cut"])
async def test_refused_client_may_send_the_rest(ending: str) -> None:
    """The whole answer leaves at once, and its end when the client has sent all that it wanted to, or is gone."""
    assert [(b"no", True, 0), (b"", False, 2)] == await lingering(Wire([b"a", b"b"], ending=ending))


async def test_flood_is_not_waited_for() -> None:
    """A client that sends on and on is cut off."""
    wire = Wire(itertools.repeat(bytes(1024 * 1024)))

    assert [(b"no", True, 0), (b"", False, 64 * 1024 * 1024)] == await lingering(wire)


@pytest.mark.parametrize("seconds", [1, 30])
async def test_silence_is_not_waited_for(seconds: float) -> None:
    """A client that neither sends nor goes, or takes for ever, is cut off."""
    wire = Wire([b"a"], ending="silence")
    made: dict[float, asyncio.Timeout] = {}

    def timer(delay: float) -> asyncio.Timeout:
        made[delay] = asyncio.timeout(None)
        return made[delay]

    wire.on_silence = lambda: made[seconds].reschedule(asyncio.get_running_loop().time())

    assert [(b"no", True, 0), (b"", False, 1)] == await lingering(wire, timer)


async def test_form_holds_its_texts_only() -> None:
    """What a body holds in memory are its texts: a file is in its sink, and what nobody asked for is gone."""
    room = Room(1_000_000, own=0)
    place = Place(room)
    body = multipart(
        part("prompt", "a kite"), part("image", b"x" * 60_000, filename="a.png"), part("chatter", "y" * 9_000)
    )

    await read_form(
        Wire([body[n : n + 1000] for n in range(0, len(body), 1000)]),
        [(b"content-type", MULTIPART.encode())], CREATE, Sinks(), place=place,
    )  # fmt: skip

    assert len(b"a kite") <= room.taken < 1_000


@pytest.mark.parametrize("kind", [MULTIPART, JSON])
async def test_form_without_room(kind: str) -> None:
    """A text for which there is no room is refused, and no file is left of the request."""
    sinks = Sinks()
    body = multipart(part("image", b"x" * 100, filename="a.png"), part("prompt", "y" * 5_000))
    wire = Wire([body] if kind == MULTIPART else [json.dumps({"prompt": "y" * 5_000}).encode()])

    with pytest.raises(Unavailable):
        await read_form(
            wire, [(b"content-type", kind.encode())], CREATE, sinks, place=Place(Room(2_000, own=0))
        )
    assert all(sink.is_discarded for sink in sinks.opened)


async def test_unread_body_holds_nothing() -> None:
    """What leaves the connection's buffer is held by nobody, unless a form keeps it."""
    room = Room(1_000_000, own=0)
    place = Place(room)
    place.take(3_000)
    scope = {"type": "http", "headers": [(b"content-length", b"3000")], "state": {PLACE: place}}

    async def reading(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["more_body"]:
            pass

    await CloseUnread(reading)(scope, Wire([b"x" * 1_000] * 3), lambda _: asyncio.sleep(0))

    assert 0 == room.taken
