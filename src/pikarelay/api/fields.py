"""
What a form is, and the limits within which one is read.

The sentences of refusals are here because the dialects of forms share them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pikarelay.errors import InvalidValue
from pikarelay.jobs.job import Upload

INCOMPLETE = "request body is incomplete"
MALFORMED = "malformed request body"
MALFORMED_MULTIPART = "malformed multipart body"
TOO_LARGE = "request body is too large"
IMAGE_TOO_LARGE = "image is too large"


class UploadSink(Protocol):
    """Where one uploaded file goes."""

    async def write(self, data: bytes) -> None:
        """Take the next bytes. Raises an `ApiError` as soon as the file cannot be accepted."""
        ...

    async def finish(self) -> Upload:
        """Accept the file: it is whole. Raises an `ApiError` when it is none of ours."""
        ...

    async def discard(self) -> None:
        """Leave nothing of the file behind, finished or not."""
        ...


#: Opens a sink for a file with this declared media type, None when the part declares none.
OpenSink = Callable[[str | None], UploadSink]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRules:
    """
    What a route reads, and how much of it.

    `fields` are all the names it knows; `files`, a part of them, those that are files. Other names are ignored, but
    count. Sizes are in bytes, times in seconds.
    """

    fields: frozenset[str]
    files: frozenset[str] = frozenset()
    max_parts: int = 32
    max_text: int = 16 * 1024
    max_part_headers: int = 8 * 1024
    max_name: int = 64
    max_body: int = 64 * 1024
    max_body_with_files: int = 26 * 1024 * 1024
    max_file: int = 25 * 1024 * 1024
    idle_seconds: float = 15
    total_seconds: float = 120
    #: Once a client was waited for so long, it has to have sent so much for each second of waiting.
    grace_seconds: float = 10
    bytes_per_second: float = 1000

    @property
    def texts(self) -> frozenset[str]:
        """The known names that are no files."""
        return self.fields - self.files


@dataclass(slots=True)
class Form:
    """
    A whole body: texts and finished files, by field. An empty text is there, and empty.

    When the request comes to nothing, call `discard`, or its files stay.
    """

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Upload] = field(default_factory=dict)
    sinks: list[UploadSink] = field(default_factory=list)

    async def discard(self) -> None:
        """Remove the uploaded files."""
        for sink in self.sinks:
            await sink.discard()


class Dialect(Protocol):
    """Makes a form of a body's bytes."""

    form: Form
    #: The most bytes a body may have, and what is said of one that has more.
    limit: int
    too_large: str
    #: How many bytes of it are in memory no more: they are in a sink, or nobody wanted them.
    let_go: int

    async def feed(self, chunk: bytes) -> None: ...

    async def finish(self) -> None:
        """Take note that the body has ended. Raises when it should not have."""
        ...


def decode_text(name: str, data: bytes) -> str:
    """Return a field's text. Raises `InvalidValue` naming the field."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise InvalidValue(f"{name} is not valid UTF-8") from None
    if "\x00" in text:
        raise InvalidValue(f"{name} has a NUL character")
    return text


def given_twice(name: str) -> InvalidValue:
    """Return the refusal of a field that came more than once: which of the two was meant is nobody's guess."""
    return InvalidValue(f"{name} is given more than once")
