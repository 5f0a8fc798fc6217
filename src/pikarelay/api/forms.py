"""
A request's body into a form: texts by field, uploaded files by field. Nothing else reads forms.

Three dialects are understood: `multipart/form-data`, which is the contract's; `application/x-www-form-urlencoded`;
and a flat JSON object. Everything is counted while it streams in, and the first byte too many ends the reading. A body
is a form only when it is whole: its last boundary and its declared length must both be there, because a cut body
that passes for a whole one would press a button that nobody asked for.

Files never are in memory: each goes to a sink as it comes. Refusals are raised in the middle of a body, and what
follows on that connection is then no request: `CloseUnread` closes it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress

from multipart import parse_options_header
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pikarelay.api.exchange import PLACE
from pikarelay.api.fields import (
    INCOMPLETE,
    MALFORMED,
    Dialect,
    Form,
    FormRules,
    OpenSink,
    UploadSink,
)
from pikarelay.api.flat import json_form, urlencoded_form
from pikarelay.api.multipart import Multipart
from pikarelay.api.room import ENDLESS, Place
from pikarelay.errors import MalformedBody, Unavailable

__all__ = ["CloseUnread", "Form", "FormRules", "OpenSink", "UploadSink", "read_form"]

#: As in ASGI's scope: names in lower case.
Headers = Iterable[tuple[bytes, bytes]]
#: Makes a deadline so many seconds from now: `asyncio.timeout`, or what a test puts in its place.
Timer = Callable[[float], asyncio.Timeout]

WRONG_TYPE = "Content-Type must be multipart/form-data, application/x-www-form-urlencoded or application/json"
#: More digits than that is beyond every limit, and may be beyond `int`.
_LENGTH_DIGITS = 15

#: What a client may still send after it was refused, for how long, and how long it may pause: an honest upload, but
#: no flood, and nobody who has nothing more to say.
_LINGER_BYTES = 64 * 1024 * 1024
_LINGER_SECONDS = 30.0
_LINGER_IDLE_SECONDS = 1.0


async def read_form(
    receive: Receive,
    headers: Headers,
    rules: FormRules,
    open_sink: OpenSink,
    timer: Timer = asyncio.timeout,
    seconds: Callable[[], float] = time.monotonic,
    place: Place | None = None,
) -> Form:
    """
    Read a whole body by ASGI's `receive`. `headers` are the request's; what stays of it in memory is held in `place`.

    Raises `MalformedBody` or `InvalidValue`, `Unavailable` without room, or what a sink raises. Then, as after a
    cancellation, no file is left.
    """
    place = place or Place(ENDLESS)
    body = _Body(receive, headers, _Patience(rules, timer, seconds))
    dialect = _dialect(body, rules, open_sink)
    deadline = timer(rules.total_seconds)
    try:
        chunks = body.chunks(dialect.limit, dialect.too_large)
        async with deadline, aclosing(chunks):
            async for chunk in chunks:
                if not place.take(len(chunk)):
                    raise Unavailable
                before = dialect.let_go
                await dialect.feed(chunk)
                place.give(dialect.let_go - before)
                # Whoever waits for the next has none of the last.
                del chunk
            await dialect.finish()
    except BaseException as error:
        await dialect.form.discard()
        if isinstance(error, TimeoutError) and deadline.expired():
            raise MalformedBody(INCOMPLETE) from None
        raise
    return dialect.form


def _dialect(body: "_Body", rules: FormRules, open_sink: OpenSink) -> Dialect:
    match body.media_type:
        case "multipart/form-data":
            return Multipart(body.boundary, rules, open_sink)
        case "application/x-www-form-urlencoded":
            return urlencoded_form(rules)
        case "application/json":
            return json_form(rules)
        case _:
            raise MalformedBody(WRONG_TYPE)


class _Patience:
    """
    How long a client may take for its next bytes.

    Only the waiting is counted against a slow client; what we take ourselves, for a slow disk say, is not its fault.
    """

    def __init__(self, rules: FormRules, timer: Timer, seconds: Callable[[], float]) -> None:
        self._rules = rules
        self._timer = timer
        self._seconds = seconds
        self._waited = 0.0
        self._received = 0

    async def next(self, receive: Receive) -> Message:
        """Receive a message. Raises TimeoutError when the client is silent, or slow all in all."""
        rules = self._rules
        earned = max(rules.grace_seconds, self._received / rules.bytes_per_second)
        if earned <= self._waited:
            raise TimeoutError
        began = self._seconds()
        async with self._timer(min(rules.idle_seconds, earned - self._waited)):
            message = await receive()
        self._waited += self._seconds() - began
        self._received += len(message.get("body", b""))
        return message


class _Body:
    """The bytes of a request's body as they come in, and what its headers say of them."""

    def __init__(self, receive: Receive, headers: Headers, patience: _Patience) -> None:
        self._receive = receive
        self._patience = patience
        self._headers = tuple(headers)
        types = self._values(b"content-type")
        kind, options = parse_options_header(types[0].decode("latin-1")) if len(types) == 1 else ("", {})
        self.media_type: str = kind
        self.boundary: str = options.get("boundary", "")

    async def chunks(self, limit: int, too_large: str) -> AsyncGenerator[bytes]:
        """Yield the body, up to `limit` bytes. Ends only when it is whole."""
        if self._values(b"content-encoding") not in ([], [b"identity"]):
            raise MalformedBody("Content-Encoding is not supported")
        length = self._length()
        if length is not None and length > limit:
            raise MalformedBody(too_large)
        received, more = 0, True
        while more:
            chunk, more = await self._next()
            received += len(chunk)
            if received > limit:
                raise MalformedBody(too_large)
            if chunk:
                yield chunk
            del chunk
        if length is not None and received != length:
            raise MalformedBody(INCOMPLETE)

    async def _next(self) -> tuple[bytes, bool]:
        """Return the next bytes, and whether more will come. Raises when the client is gone, or too slow."""
        try:
            message = await self._patience.next(self._receive)
        except TimeoutError:
            raise MalformedBody(INCOMPLETE) from None
        if message["type"] != "http.request":
            raise MalformedBody(INCOMPLETE)
        return message.get("body", b""), message.get("more_body", False)

    def _length(self) -> int | None:
        """Return the declared length. None when there is none: the body is then chunked, or empty."""
        lengths = self._values(b"content-length")
        if not lengths:
            return None
        if len(lengths) > 1 or not lengths[0].isdigit():
            raise MalformedBody(MALFORMED)
        return int(lengths[0][:_LENGTH_DIGITS])

    def _values(self, name: bytes) -> list[bytes]:
        return [value.strip() for found, value in self._headers if found == name]


class CloseUnread:
    """
    ASGI middleware: an answer that leaves before its request's body was read to the end says `Connection: close`.

    The server then closes the connection after the answer, rather than reading all of a refused upload only to find
    where the next request begins. It does so a little later, though: many clients look for an answer only when they
    have sent everything, and to close while they send would take the answer from them (RFC 9112, section 9.6).
    """

    def __init__(self, app: ASGIApp, timer: Timer = asyncio.timeout) -> None:
        self._app = app
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope["headers"]):
            await self._app(scope, receive, send)
            return
        is_read = False
        place: Place | None = scope.get("state", {}).get(PLACE)

        async def watching() -> Message:
            nonlocal is_read
            message = await receive()
            is_read = is_read or not message.get("more_body", False)
            if place is not None:
                # It has left the connection's buffer. Whoever keeps it asks for room anew.
                place.give(len(message.get("body", b"")))
            return message

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not is_read:
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"connection"]
                message = {**message, "headers": [*kept, (b"connection", b"close")]}
            is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
            if is_read or not is_last:
                await send(message)
                return
            # All of the answer is out; only its end, and with it the connection's, waits.
            await send({**message, "more_body": True})
            await self._linger(watching)
            await send({"type": "http.response.body", "body": b""})

        await self._app(scope, watching, closing)

    async def _linger(self, receive: Receive) -> None:
        """Throw away what still comes in, up to a limit."""
        left = _LINGER_BYTES
        with suppress(TimeoutError):
            async with self._timer(_LINGER_SECONDS):
                while left > 0:
                    async with self._timer(_LINGER_IDLE_SECONDS):
                        message = await receive()
                    if not message.get("more_body", False):
                        return
                    left -= len(message.get("body", b""))


def _has_body(headers: Headers) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0")
        for name, value in headers
    )
