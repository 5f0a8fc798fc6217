"""Bodies without files, gathered and then read in one go: `application/x-www-form-urlencoded`, and a flat JSON object."""

import json
import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import unquote_to_bytes

from pikarelay.api.fields import MALFORMED, TOO_LARGE, Form, FormRules, decode_text, given_twice
from pikarelay.errors import MalformedBody

#: Reads a body into pairs of name and text, the latter as bytes that are not judged yet; None is a value that is no text.
_Read = Callable[[bytes], list[tuple[str, bytes | None]]]

_ZERO_FRACTION = re.compile(r"\.0+\Z")


class FlatBody:
    """A `Dialect`."""

    def __init__(self, rules: FormRules, read: _Read) -> None:
        self.form = Form()
        self.limit = rules.max_body
        self.too_large = TOO_LARGE
        self.let_go = 0
        self._rules = rules
        self._read = read
        self._data = bytearray()

    async def feed(self, chunk: bytes) -> None:
        self._data += chunk

    async def finish(self) -> None:
        pairs = self._read(bytes(self._data))
        rules = self._rules
        if len(pairs) > rules.max_parts or any(len(text or b"") > rules.max_text for _, text in pairs):
            raise MalformedBody(MALFORMED)
        for name, text in pairs:
            if name in self.form.texts:
                raise given_twice(name)
            if name not in rules.texts:
                continue
            if text is None:
                raise MalformedBody("request body holds a value that is no text, number or boolean")
            self.form.texts[name] = decode_text(name, text)


def urlencoded_form(rules: FormRules) -> FlatBody:
    """Read `name=text&name=text`, percent-encoded, a plus for a space."""
    return FlatBody(rules, _read_urlencoded)


def json_form(rules: FormRules) -> FlatBody:
    """Read an object of texts, numbers and booleans. A null is as good as absent."""
    return FlatBody(rules, _read_json)


def _read_urlencoded(body: bytes) -> list[tuple[str, bytes | None]]:
    pairs = [pair.replace(b"+", b" ").partition(b"=") for pair in body.split(b"&") if pair]
    # A name that is no UTF-8 is no name of ours.
    return [
        (unquote_to_bytes(name).decode("utf-8", "replace"), unquote_to_bytes(text)) for name, _, text in pairs
    ]


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its keys as they came, repeated ones included."""


def _read_json(body: bytes) -> list[tuple[str, bytes | None]]:
    try:
        # Numbers stay as they are written: they are read where a form's texts are read.
        found = json.loads(
            body.decode(),
            object_pairs_hook=_Pairs,
            parse_int=str,
            parse_float=_without_fraction,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise MalformedBody(MALFORMED) from None
    if not isinstance(found, _Pairs):
        raise MalformedBody("request body is not a JSON object")
    return [(name, _as_text(value)) for name, value in found if value is not None]


def _as_text(value: str | bool | Collection[Any]) -> bytes | None:
    """Return a JSON value as a form would have sent it; None when no form could."""
    match value:
        case bool():
            return b"true" if value else b"false"
        case str():
            # A lone surrogate passes here, and is found where the bytes are read.
            return value.encode("utf-8", "surrogatepass")
        case _:
            return None


def _without_fraction(number: str) -> str:
    """Return `4.0` as `4`, which it is to JSON; every other number as it is written."""
    return _ZERO_FRACTION.sub("", number)


def _refuse_constant(text: str) -> None:
    """Refuse NaN and its like, which Python would read and JSON does not have."""
    raise ValueError(f"{text} is not JSON")
