"""
The REST edge: every call passes limits, then armed faults, then its handler; every refusal becomes JSON.

Answers carry exactly `Content-Type: application/json` (libraries compare it as a string) and `Via`, without which
libraries take a 429 for a Cloudflare ban.
"""

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import web

from localdiscord.faults.model import DropConnection, Fail, RateLimit, RestDo, Slow, Truncate
from localdiscord.http.call import Call, Reply, Route, encode
from localdiscord.http.strikes import CLOUDFLARE, answer_instead, cloudflare, failure, limited
from localdiscord.limits.rest import RestLimits, Visit
from localdiscord.limits.violations import Violation
from localdiscord.wire import errors
from localdiscord.wire.errors import ApiError, RateLimited
from localdiscord.world.models import User
from localdiscord.world.world import World

PREFIXES = ("/api/v9", "/api/v10")
VIA = "1.1 localdiscord"
#: What a middleware calls on.
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAJORS = ("channel", "guild", "application", "token")


class Dropped(Exception):
    """The connection was cut; there is nobody to answer."""


class RestEdge:
    """Serves routes for one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        rules = world.rules
        self.limits = RestLimits(
            world.violations,
            with_buckets=rules.bot_buckets,
            invalid_request_limit=rules.invalid_request_limit,
            requests_per_second=rules.requests_per_second,
        )

    def definitions(self, routes: list[Route]) -> list[web.RouteDef]:
        """Return the routes for aiohttp, under both versions."""

        def serving(route: Route, prefix: str) -> web.RouteDef:
            async def serve(request: web.Request) -> web.StreamResponse:
                return await self.serve(route, request, prefix)

            return web.route(route.method, prefix + route.template, serve)

        return [serving(route, prefix) for prefix in PREFIXES for route in routes]

    async def serve(self, route: Route, request: web.Request, prefix: str) -> web.StreamResponse:
        """Answer one request."""
        world = self._world
        if self.limits.is_banned(world.monotonic()):
            return self._written(cloudflare(None), None)
        caller = self._caller(request)
        visit = _visit(route, request, caller)
        call = Call(world, request, caller)
        try:
            reply = await self._answer(route, call, visit, request.path.removeprefix(prefix))
        except (Dropped, ConnectionResetError):
            # We cut, or the client left in the middle of its request.
            return web.Response(status=HTTPStatus.BAD_GATEWAY)
        self.limits.answered(reply.status, reply.headers.get("X-RateLimit-Scope"), world.monotonic())
        return self._written(reply, visit)

    async def _answer(self, route: Route, call: Call, visit: Visit, path: str) -> Reply:
        try:
            self.limits.admit(visit, self._world.monotonic())
        except RateLimited as error:
            return refusal(error)
        facts = {
            "method": route.method,
            "route": path,
            "user_id": str(call.caller.id) if call.caller else None,
        }
        strike: RestDo | None = self._world.faults.strike("rest", RestDo, facts)
        if strike is not None:
            return await self._struck(strike, route, call, visit)
        return await self._handled(route, call)

    async def _handled(self, route: Route, call: Call) -> Reply:
        try:
            self._authorize(route, call)
            return await route.handler(call)
        except ApiError as error:
            return refusal(error)

    async def _struck(self, strike: RestDo, route: Route, call: Call, visit: Visit) -> Reply:
        """Serve the call as the armed fault will have it."""
        if isinstance(strike, RateLimit) and strike.scope != CLOUDFLARE:
            self.limits.close(visit, strike.retry_after, strike.scope, self._world.monotonic())
        instead = answer_instead(strike)
        if instead is not None:
            return replied(instead)
        when = getattr(strike, "when", "after")
        if when == "before":
            # The request is here, body and all: the client may leave now, and it takes effect nonetheless.
            await call.request.read()
            await self._disturb(strike, call, None)
        reply = await self._handled(route, call)
        return reply if when == "before" else await self._disturb(strike, call, reply)

    async def _disturb(self, strike: RestDo, call: Call, reply: Reply | None) -> Reply:
        match strike:
            case DropConnection():
                cut(call.request)
                raise Dropped
            case Truncate():
                await self._truncate(call.request, reply or Reply(204))
                raise Dropped
            case Slow(seconds=seconds):
                await asyncio.sleep(seconds)
            case Fail():
                return failure(strike)
            case RateLimit():
                return replied(limited(strike))
        return reply or Reply(204)

    @staticmethod
    async def _truncate(request: web.Request, reply: Reply) -> None:
        """Promise the whole body, send half of it, and cut."""
        response = web.StreamResponse(status=reply.status, headers={"Via": VIA})
        body = reply.body or b"{}"
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        cut(request)

    def _caller(self, request: web.Request) -> User | None:
        """Return whose token this is; bots prefix theirs with `Bot `, users do not."""
        given = request.headers.get("Authorization", "")
        token = given.removeprefix("Bot ")
        user = self._world.directory.user_of(token)
        if user is None or user.bot != given.startswith("Bot "):
            return None
        return user

    def _authorize(self, route: Route, call: Call) -> None:
        if route.auth == "nobody":
            return
        if call.caller is None:
            self._count_refused(call.request)
            raise errors.unauthorized()
        if route.auth == "user" and call.caller.bot:
            self._world.violations.count(Violation.ROUTE_NOT_ALLOWED, route=route.template, who="bot")
            raise errors.users_only()
        if route.auth == "bot" and not call.caller.bot:
            self._world.violations.count(Violation.ROUTE_NOT_ALLOWED, route=route.template, who="user")
            raise errors.bots_only()

    def _count_refused(self, request: web.Request) -> None:
        given = request.headers.get("Authorization")
        if given is None:
            self._world.violations.count(Violation.AUTHORIZATION_MISSING, path=request.path)
        elif not self._world.refused.first_time(given.removeprefix("Bot ")):
            self._world.violations.count(Violation.REFUSED_TOKEN_REUSED, path=request.path)

    def _written(self, reply: Reply, visit: Visit | None) -> web.Response:
        headers = {"Date": formatdate(self._world.clock.now(), usegmt=True), **reply.headers}
        if visit is not None and reply.headers.get("Via") != "":
            headers["Via"] = VIA
            if visit.is_global:
                world = self._world
                headers |= self.limits.headers(visit, world.monotonic(), world.clock.now())
        else:
            headers.pop("Via", None)
        if reply.body:
            headers["Content-Type"] = reply.content_type
        return web.Response(status=reply.status, body=reply.body or None, headers=headers)


def replied(answer: ApiError | Reply) -> Reply:
    return refusal(answer) if isinstance(answer, ApiError) else answer


def refusal(error: ApiError) -> Reply:
    """Return the answer of a refusal."""
    reply = Reply(error.status, encode(error.body))
    if isinstance(error, RateLimited):
        reply.headers["Retry-After"] = str(max(1, round(error.retry_after + 0.499)))
        reply.headers["X-RateLimit-Scope"] = error.scope
        if error.scope == "global":
            reply.headers["X-RateLimit-Global"] = "true"
    return reply


def cut(request: web.Request) -> None:
    """Cut the TCP connection."""
    if request.transport is not None:
        request.transport.abort()


def _visit(route: Route, request: web.Request, caller: User | None) -> Visit:
    who = str(caller.id) if caller else request.remote or "unknown"
    major = "/".join(request.match_info[name] for name in MAJORS if name in request.match_info)
    return Visit(who, caller is not None and caller.bot, route.method, route.template, major, route.is_global)


@web.middleware
async def json_errors(request: web.Request, handler: Next) -> web.StreamResponse:
    """Answer unknown API routes and wrong methods as Discord does."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if not request.path.startswith("/api/") or error.status not in {404, 405}:
            raise
        refused = errors.not_found() if error.status == 404 else errors.method_not_allowed()
        headers = {"Content-Type": "application/json", "Via": VIA}
        return web.Response(status=refused.status, body=encode(refused.body), headers=headers)
