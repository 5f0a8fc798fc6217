"""
One table of operations. It feeds the dispatch here, and whatever wants to list what the server can do.

Paths are looked up in a dict, not matched one after the other: a slash more or less is the same operation, for clients
use both and must never be redirected (one of them would repeat a POST as a GET).
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from pikarelay.api.exchange import Exchange, Reply
from pikarelay.errors import MethodNotAllowed, RouteNotFound

Handler = Callable[[Exchange], Awaitable[Reply]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path."""

    method: str
    #: The last segment may be a parameter, `{name}`.
    path: str
    handler: Handler
    summary: str
    #: Whether the path with a slash more is another operation, with a handler of its own.
    slash_matters: bool = False


class RouteTable:
    """Finds the handler of a request."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = tuple(operations)
        #: Path to method to handler. A parameter's name is kept apart.
        self._fixed: dict[str, dict[str, Handler]] = {}
        #: The same by what stands before the parameter, and the parameter's name.
        self._open: dict[str, dict[str, Handler]] = {}
        self._names: dict[str, str] = {}
        for operation in operations:
            self._add(operation)

    def find(self, exchange: Exchange) -> Handler:
        """Return the handler, and note the path's parameters. Raises `RouteNotFound` or `MethodNotAllowed`."""
        methods = self._fixed.get(exchange.path)
        if methods is None:
            methods = self._find_open(exchange)
        handler = methods.get(exchange.method)
        if handler is None:
            raise MethodNotAllowed(sorted(methods))
        return handler

    def _find_open(self, exchange: Exchange) -> dict[str, Handler]:
        before, _, last = exchange.path.removesuffix("/").rpartition("/")
        methods = self._open.get(before)
        if methods is None or not last:
            raise RouteNotFound
        exchange.parameters = {self._names[before]: last}
        return methods

    def _add(self, operation: Operation) -> None:
        before, _, last = operation.path.rpartition("/")
        if last.startswith("{"):
            self._names[before] = last.strip("{}")
            _put(self._open, before, operation)
            return
        _put(self._fixed, operation.path, operation)
        if not operation.slash_matters:
            _put(self._fixed, operation.path + "/", operation)


def _put(table: dict[str, dict[str, Handler]], key: str, operation: Operation) -> None:
    methods = table.setdefault(key, {})
    if operation.method in methods:
        raise ValueError(f"{operation.method} {operation.path} is listed twice")
    methods[operation.method] = operation.handler
