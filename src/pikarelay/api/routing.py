"""
One table of routes. It feeds the dispatch here; the operations among them also make the API's document.

Paths are looked up in a dict, not matched one after the other: a slash more or less is the same operation, for clients
use both and must never be redirected (one of them would repeat a POST as a GET).
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from pikarelay.api.exchange import Exchange, Reply
from pikarelay.contract.documentation import Documentation
from pikarelay.errors import MethodNotAllowed, RouteNotFound

Handler = Callable[[Exchange], Awaitable[Reply]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path."""

    method: str
    #: The last segment may be a parameter, `{name}`.
    path: str
    handler: Handler
    #: Whether the path with a slash more is another route, or none.
    slash_matters: bool = False
    #: Whether the path's parameter is all that it takes to be served, so that it is not logged.
    is_secret: bool = False


class Operation(Route, frozen=True, kw_only=True):
    """A route of the API. It is in the API's document."""

    summary: str
    documentation: Documentation


class RouteTable:
    """Finds the handler of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        #: Path to method to handler. A parameter's name is kept apart.
        self._fixed: dict[str, dict[str, Handler]] = {}
        #: The same by what stands before the parameter, and the parameter's name.
        self._open: dict[str, dict[str, Handler]] = {}
        self._names: dict[str, str] = {}
        self._secret: set[str] = set()
        for route in routes:
            self._add(route)

    def find(self, exchange: Exchange) -> Handler:
        """Return the handler, and note the path's parameters. Raises `RouteNotFound` or `MethodNotAllowed`."""
        methods = self._methods(exchange)
        handler = methods.get(exchange.method)
        if handler is None:
            raise MethodNotAllowed(sorted(methods))
        return handler

    def methods(self, exchange: Exchange) -> list[str]:
        """Return the methods of the request's path. Raises `RouteNotFound`."""
        return sorted(self._methods(exchange))

    def _methods(self, exchange: Exchange) -> dict[str, Handler]:
        methods = self._fixed.get(exchange.path)
        if methods is None:
            return self._find_open(exchange)
        exchange.route = exchange.path.rstrip("/") or "/"
        return methods

    def _find_open(self, exchange: Exchange) -> dict[str, Handler]:
        before, _, last = exchange.path.removesuffix("/").rpartition("/")
        methods = self._open.get(before)
        if methods is None or not last:
            raise RouteNotFound
        if before in self._secret:
            exchange.logged_path = f"{before}/…"
        exchange.route = f"{before}/{{{self._names[before]}}}"
        exchange.parameters = {self._names[before]: last}
        return methods

    def _add(self, route: Route) -> None:
        before, _, last = route.path.rpartition("/")
        if last.startswith("{"):
            self._names[before] = last.strip("{}")
            if route.is_secret:
                self._secret.add(before)
            _put(self._open, before, route)
            return
        _put(self._fixed, route.path, route)
        if not route.slash_matters:
            _put(self._fixed, route.path + "/", route)


def _put(table: dict[str, dict[str, Handler]], key: str, route: Route) -> None:
    methods = table.setdefault(key, {})
    if route.method in methods:
        raise ValueError(f"{route.method} {route.path} is listed twice")
    methods[route.method] = route.handler
