"""
The ASGI application: finds the operation, runs it, and turns whatever comes of it into a reply.

Every reply of the API with a body has the type `application/json`, errors included: clients parse JSON on every status.
Pages of any origin may call it (CORS): it knows no cookies, so a page can do nothing without being given a token.
"""

import asyncio
import math
from typing import Protocol

import structlog
from starlette.types import Message, Receive, Scope, Send

from pikarelay.api.exchange import ANY_ORIGIN, Exchange, Reply
from pikarelay.api.routing import RouteTable
from pikarelay.contract.bodies import encode, error_body
from pikarelay.errors import ApiError, MethodNotAllowed, TooManyGuesses, Unavailable

_log = structlog.get_logger(__name__)

#: What a browser is told before it makes a request with a token. Kept by it for a day, or as long as it likes.
_PREFLIGHT = (
    (b"access-control-allow-headers", b"Authorization, Content-Type, Idempotency-Key"),
    (b"access-control-max-age", b"86400"),
)


class Meter(Protocol):
    """What measures requests."""

    def started(self) -> float: ...

    def answered(self, route: str, status: int, started: float) -> None: ...


class Api:
    """Serves the operations of a route table."""

    def __init__(self, routes: RouteTable, meter: Meter | None = None) -> None:
        self._routes = routes
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"only HTTP is served here, not {scope['type']}")
        exchange = Exchange(scope, receive)
        began = 0.0 if self._meter is None else self._meter.started()
        reply = await self._reply(exchange)
        _log.debug(
            "request.answered",
            request_id=exchange.request_id,
            method=exchange.method,
            path=exchange.logged_path,
            code=reply.status,
        )
        try:
            if reply.stream is None:
                await _send(reply, exchange.request_id, send)
            else:
                await reply.stream(scope, receive, _adding(reply, exchange.request_id, send))
        finally:
            if self._meter is not None:
                self._meter.answered(exchange.route, reply.status, began)
            if reply.after is not None:
                reply.after()

    async def _reply(self, exchange: Exchange) -> Reply:
        try:
            if exchange.method == "OPTIONS":
                return _options(self._routes.methods(exchange))
            return await self._routes.find(exchange)(exchange)
        except ApiError as error:
            _log.info(
                "request.refused",
                request_id=exchange.request_id,
                path=exchange.logged_path,
                code=error.code,
                error=error.message,
            )
            return _refusal(error)
        except asyncio.CancelledError:
            # The server ends, and has waited for this as long as it may.
            _log.warning("request.cut", request_id=exchange.request_id, path=exchange.logged_path)
            return _refusal(Unavailable())
        except Exception:  # noqa: BLE001 - a defect of ours must still be answered in the contract's form
            _log.exception("request.failed", request_id=exchange.request_id, path=exchange.logged_path)
            return _refusal(ApiError())


def _options(methods: list[str]) -> Reply:
    names = ", ".join([*methods, "OPTIONS"]).encode()
    return Reply(
        status=204,
        headers=[(b"allow", names), (b"access-control-allow-methods", names), *_PREFLIGHT],
    )


def _refusal(error: ApiError) -> Reply:
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if isinstance(error, TooManyGuesses):
        headers.append((b"retry-after", b"%d" % math.ceil(error.retry_after.total_seconds())))
    return Reply(status=error.code, body=encode(error_body(error)), headers=headers)


async def _send(reply: Reply, request_id: str, send: Send) -> None:
    body = reply.body or b""
    headers = _headers(reply, request_id)
    if reply.body is not None:
        headers += [(b"content-type", reply.media_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _adding(reply: Reply, request_id: str, send: Send) -> Send:
    """Return a `send` that adds the headers that every reply has, and this one's own."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*_headers(reply, request_id), *message["headers"]]}
        await send(message)

    return sending


def _headers(reply: Reply, request_id: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-request-id", request_id.encode()), ANY_ORIGIN, *reply.headers]
