"""
`multipart/form-data`, streamed: the one wrapper of the push parser.

The parser limits what it can itself (parts, header lines); what depends on what a part is, is counted here. A part is
a file only when it has a file name, whatever else it declares; the name itself is not used.
"""

from typing import Protocol

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from pikarelay.api.fields import (
    IMAGE_TOO_LARGE,
    INCOMPLETE,
    MALFORMED_MULTIPART,
    TOO_LARGE,
    Form,
    FormRules,
    OpenSink,
    UploadSink,
    decode_text,
    given_twice,
)
from pikarelay.errors import InvalidValue, MalformedBody

#: Real clients send one to three.
_HEADERS_PER_PART = 16
#: What a header line has besides its name and value: a colon, a space, an end of line.
_LINE_EXTRA = 4


class Multipart:
    """A `Dialect`."""

    def __init__(self, boundary: str, rules: FormRules, open_sink: OpenSink) -> None:
        self.form = Form()
        self.limit = rules.max_body_with_files if rules.files else rules.max_body
        self.too_large = IMAGE_TOO_LARGE if rules.files else TOO_LARGE
        self.let_go = 0
        self._rules = rules
        self._open_sink = open_sink
        self._part: _Part | None = None
        self._has_begun = False
        self._preamble = 0
        self._names: set[str] = set()
        self._files = 0
        try:
            # Latin-1 takes any bytes: a file's name may be in whatever its client speaks.
            self._parser = PushMultipartParser(
                boundary.encode("latin-1"),
                max_header_size=rules.max_part_headers,
                max_header_count=_HEADERS_PER_PART,
                max_segment_count=rules.max_parts,
                header_charset="latin-1",
            )
        except MultipartError:
            raise MalformedBody(MALFORMED_MULTIPART) from None

    async def feed(self, chunk: bytes) -> None:
        try:
            for event in self._parser.parse(chunk):
                await self._take(event)
        except MultipartError:
            raise MalformedBody(MALFORMED_MULTIPART) from None
        if not self._has_begun:
            self._preamble += len(chunk)
            if self._preamble > self._rules.max_part_headers:
                raise MalformedBody(MALFORMED_MULTIPART)

    async def finish(self) -> None:
        try:
            self._parser.close()
        except MultipartError:
            raise MalformedBody(INCOMPLETE) from None

    async def _take(self, event: MultipartSegment | bytes | None) -> None:
        """Take one event of the parser's: a part begins, goes on, or (None) ends."""
        if isinstance(event, MultipartSegment):
            self._has_begun = True
            self._part = self._open(event)
        elif self._part is None:
            raise AssertionError("the parser ends or fills only what it has begun")
        elif event is None:
            await self._part.finish()
            self._part = None
        else:
            await self._part.write(event)
            if not isinstance(self._part, _Text):
                self.let_go += len(event)

    def _open(self, segment: MultipartSegment) -> "_Part":
        rules = self._rules
        name: str = segment.name
        size = sum(len(key) + len(value) + _LINE_EXTRA for key, value in segment.headerlist)
        if size > rules.max_part_headers or not name or len(name) > rules.max_name:
            raise MalformedBody(MALFORMED_MULTIPART)
        if segment.filename is None:
            if name not in rules.texts:
                return _Ignored(rules.max_text)
            self._note(name)
            return _Text(name, self.form, rules.max_text)
        # Without a name and without a byte it is the empty file input of a browser's form.
        return _File(segment, self, is_named=bool(segment.filename))

    def _note(self, name: str) -> None:
        if name in self._names:
            raise given_twice(name)
        self._names.add(name)

    def open_file(self, name: str, declared_type: str | None) -> UploadSink | None:
        """Open the sink of a file that is really there. None for one that nobody asked for."""
        if name in self._rules.files:
            self._note(name)
        self._files += 1
        if self._files > max(1, len(self._rules.files)):
            raise MalformedBody(MALFORMED_MULTIPART)
        if name not in self._rules.files:
            return None
        sink = self._open_sink(declared_type)
        self.form.sinks.append(sink)
        return sink

    @property
    def max_file(self) -> int:
        return self._rules.max_file


class _Part(Protocol):
    """One part, under way."""

    async def write(self, data: bytes) -> None: ...

    async def finish(self) -> None: ...


class _Ignored:
    """A text that nobody asked for, or that came in a file's place, as some clients send an absent file."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    async def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise MalformedBody(MALFORMED_MULTIPART)

    async def finish(self) -> None:
        pass


class _Text:
    """A text field."""

    def __init__(self, name: str, form: Form, limit: int) -> None:
        self._name = name
        self._form = form
        self._limit = limit
        self._data = bytearray()

    async def write(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._limit:
            raise MalformedBody(MALFORMED_MULTIPART)

    async def finish(self) -> None:
        self._form.texts[self._name] = decode_text(self._name, bytes(self._data))


class _File:
    """A file. Its sink is opened by its first byte, or at its end when it has none but a name."""

    def __init__(self, segment: MultipartSegment, body: Multipart, *, is_named: bool) -> None:
        self._name: str = segment.name
        self._type: str | None = segment.content_type
        self._body = body
        self._is_named = is_named
        self._is_open = False
        self._sink: UploadSink | None = None
        self._left = body.max_file

    async def write(self, data: bytes) -> None:
        self._open()
        self._left -= len(data)
        if self._left < 0:
            raise InvalidValue(IMAGE_TOO_LARGE)
        if self._sink is not None:
            await self._sink.write(data)

    async def finish(self) -> None:
        if self._is_named:
            self._open()
        if self._sink is not None:
            self._body.form.files[self._name] = await self._sink.finish()

    def _open(self) -> None:
        if not self._is_open:
            self._is_open = True
            self._sink = self._body.open_file(self._name, self._type)
