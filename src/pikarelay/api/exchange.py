"""One request and its reply, as handlers see them."""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qs

import msgspec
from starlette.types import ASGIApp, Receive, Scope

from pikarelay.api.room import Place
from pikarelay.errors import MalformedRequest

#: On every answer: pages of any origin may call the API.
ANY_ORIGIN = (b"access-control-allow-origin", b"*")

#: Where in a scope's state its connection's `Place` is.
PLACE = "pikarelay.place"

#: So many parameters a query may have; no operation has ten.
_MOST_PARAMETERS = 64

#: Whether a text means itself in a query.
_PLAIN = re.compile(r"[A-Za-z0-9_-]+").fullmatch


def new_request_id() -> str:
    """
    Return what names a request in the log and, as `X-Request-Id`, in its answer.

    It is ours alone: one that a client could choose would let it put its lines among another's.
    """
    return secrets.token_hex(8)


class Reply(msgspec.Struct, kw_only=True):
    """What a handler answers with."""

    status: int = 200
    #: None sends no body and no type.
    body: bytes | None = None
    media_type: bytes = b"application/json"
    headers: Sequence[tuple[bytes, bytes]] = ()
    #: What sends status, body and its headers instead, for what is too large to be held.
    stream: ASGIApp | None = None
    #: Called when the reply has left, or could not.
    after: Callable[[], None] | None = None


class Exchange:
    """A request. Nothing of its body is read before a handler asks for it."""

    __slots__ = ("_query", "logged_path", "parameters", "receive", "request_id", "route", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.request_id = new_request_id()
        #: The path as it may be logged.
        self.logged_path = str(scope["path"])
        #: The path of the route that was found, which is ours and not the client's; of none otherwise.
        self.route = "none"
        #: The path's parameters by name, once the route is found.
        self.parameters: Mapping[str, str] = {}
        self._query: dict[str, list[str]] | None = None

    @property
    def place(self) -> Place | None:
        """What its connection holds in memory; None where nobody counts that."""
        place: Place | None = self.scope.get("state", {}).get(PLACE)
        return place

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    def headers(self, name: bytes) -> list[bytes]:
        """Return the values of a header, whose name is given in lower case."""
        return [value for key, value in self.scope["headers"] if key == name]

    def query(self, name: str) -> str | None:
        """Return the first value of a query parameter; an empty one is there, and empty. Raises `MalformedRequest`."""
        if self._query is None:
            text = self.scope["query_string"].decode("latin-1")
            self._query = _parse_query(text)
        values = self._query.get(name)
        return values[0] if values else None


def _parse_query(text: str) -> dict[str, list[str]]:
    name, equals, value = text.partition("=")
    if equals and _PLAIN(name) and _PLAIN(value):
        # What polling asks: one parameter, nothing to decode.
        return {name: [value]}
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise MalformedRequest("too many query parameters") from None
