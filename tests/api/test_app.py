"""The ASGI application, the route table and the bearer header, without a socket."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import structlog

from pikarelay.api.app import Api
from pikarelay.api.bearer import credentials
from pikarelay.api.exchange import Exchange, Reply
from pikarelay.api.routing import Route, RouteTable
from pikarelay.errors import DiscordRateLimited, TooManyGuesses, TooManyJobs, Unauthorized

Headers = list[tuple[bytes, bytes]]


def scope(method: str, path: str, query: bytes = b"", headers: Headers | None = None) -> dict[str, Any]:
    return {"type": "http", "method": method, "path": path, "query_string": query, "headers": headers or []}


async def nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def call(api: Api, asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await api(asked, nothing, send)
    start, *bodies = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, b"".join(message.get("body", b"") for message in bodies)


def route(
    method: str, path: str, handler: Callable[[Exchange], Awaitable[Reply]], *, slash_matters: bool = False
) -> Route:
    return Route(method=method, path=path, handler=handler, slash_matters=slash_matters)


async def says_path(exchange: Exchange) -> Reply:
    return Reply(body=json.dumps([exchange.path, dict(exchange.parameters)]).encode())


def api_with(*routes: Route) -> Api:
    return Api(RouteTable(routes))


@pytest.mark.parametrize("path", ["/a", "/a/"])
async def test_a_slash_more_is_the_same_operation(path: str) -> None:
    """A path and the same with a slash are one operation, and none redirects."""
    status, _, body = await call(api_with(route("GET", "/a", says_path)), scope("GET", path))

    assert (200, [path, {}]) == (status, json.loads(body))


async def test_a_slash_can_matter() -> None:
    """Where the table says so, the path with a slash has a handler of its own."""

    async def other(_: Exchange) -> Reply:
        return Reply(body=b'"other"')

    api = api_with(
        route("GET", "/a", says_path, slash_matters=True),
        route("GET", "/a/", other, slash_matters=True),
    )

    assert b'"other"' == (await call(api, scope("GET", "/a/")))[2]
    assert b'"other"' != (await call(api, scope("GET", "/a")))[2]


@pytest.mark.parametrize("path", ["/a/17", "/a/17/"])
async def test_a_parameter(path: str) -> None:
    """The last segment of a path can be a parameter."""
    _, _, body = await call(api_with(route("GET", "/a/{channel}", says_path)), scope("GET", path))

    assert {"channel": "17"} == json.loads(body)[1]


@pytest.mark.parametrize("path", ["/", "", "/b", "/a/1/2", "/a//"])
async def test_unknown_routes(path: str) -> None:
    """What is not in the table is 404 in the contract's form."""
    status, headers, body = await call(api_with(route("GET", "/a/{x}", says_path)), scope("GET", path))

    assert (404, {"error": "Not Found", "code": 404}) == (status, json.loads(body))
    assert "application/json" == headers["content-type"]


async def test_too_many_query_parameters() -> None:
    """A query with more parameters than any operation has is a 400, and one with as many as that is read."""

    async def says_name(exchange: Exchange) -> Reply:
        return Reply(body=json.dumps(exchange.query("name")).encode())

    api = api_with(route("GET", "/a", says_name))

    status, _, body = await call(api, scope("GET", "/a", b"name=x" + b"&a=b" * 64))

    assert (400, {"error": "too many query parameters", "code": 400}) == (status, json.loads(body))

    status, _, body = await call(api, scope("GET", "/a", b"name=x" + b"&a=b" * 63))

    assert (200, "x") == (status, json.loads(body))


async def test_what_is_cut_off_names_no_secret() -> None:
    """The log names a request that the end of the server cuts off as it names others: without what is secret in its path."""

    async def cut(_: Exchange) -> Reply:
        raise asyncio.CancelledError

    api = api_with(Route(method="GET", path="/files/{capability}", handler=cut, is_secret=True))
    with structlog.testing.capture_logs() as logged:
        status, _, _ = await call(api, scope("GET", "/files/canary"))

    assert 503 == status
    assert ["/files/…"] == [line["path"] for line in logged if "request.cut" == line["event"]]


async def test_wrong_method() -> None:
    """A method that a path does not have is 405, and the answer names those that it has."""
    api = api_with(route("GET", "/a", says_path), route("DELETE", "/a", says_path))

    status, headers, body = await call(api, scope("POST", "/a"))

    assert (405, {"error": "Method Not Allowed", "code": 405}) == (status, json.loads(body))
    assert {"GET", "DELETE"} <= set(headers["allow"].split(", "))


def test_no_route_is_listed_twice() -> None:
    """Two handlers for one method on one path are refused when the table is made."""
    with pytest.raises(ValueError, match="listed twice"):
        RouteTable([route("GET", "/a", says_path), route("GET", "/a", says_path)])


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (Unauthorized(), {"error": "Unauthorized", "code": 401}),
        (
            TooManyJobs(2, ["j1", "j2"]),
            {
                "error": "Maximum of 2 jobs executing in parallel supported",
                "executingJobs": ["j1", "j2"],
                "code": 429,
            },
        ),
        (
            DiscordRateLimited('{"retry_after":1}'),
            {
                "error": "Discord /interactions failed with HTTP status 429",
                "errorDetails": '{"retry_after":1}',
                "code": 429,
            },
        ),
    ],
)
async def test_refusals(error: Exception, body: dict[str, Any]) -> None:
    """An expected condition is answered with its own status and body."""

    async def refuse(_: Exchange) -> Reply:
        raise error

    status, _, answered = await call(api_with(route("GET", "/a", refuse)), scope("GET", "/a"))

    assert (body["code"], body) == (status, json.loads(answered))


async def test_a_defect_is_not_shown() -> None:
    """Whatever goes wrong inside, the caller gets 500 in the contract's form and nothing of what happened."""

    async def fail(_: Exchange) -> Reply:
        raise RuntimeError("secret details")

    status, headers, body = await call(api_with(route("GET", "/a", fail)), scope("GET", "/a"))

    assert (500, {"error": "Internal Server Error", "code": 500}) == (status, json.loads(body))
    assert headers["x-request-id"]


async def test_too_many_guesses() -> None:
    """Who goes on without a valid token is told so in the form of all errors, with the whole seconds to wait."""

    async def refuse(_: Exchange) -> Reply:
        raise TooManyGuesses(timedelta(seconds=39, milliseconds=1))

    status, headers, body = await call(api_with(route("GET", "/a", refuse)), scope("GET", "/a"))

    assert (429, b'{"error":"Too Many Requests","code":429}') == (status, body)
    assert "40" == headers["retry-after"]


def test_peer_is_whoever_connected() -> None:
    """The address is that of the connection, and no header makes it another."""
    said = [(b"x-forwarded-for", b"198.51.100.7"), (b"forwarded", b"for=198.51.100.7")]
    asked = {**scope("GET", "/a", headers=said), "client": ("192.0.2.1", 4711)}

    assert (None, "192.0.2.1") == credentials(Exchange(asked, nothing))  # type: ignore[arg-type] # a test's receive is simpler


async def test_no_body_no_type() -> None:
    """A 204 has neither a body nor a type."""

    async def quiet(_: Exchange) -> Reply:
        return Reply(status=204)

    status, headers, body = await call(api_with(route("GET", "/a", quiet)), scope("GET", "/a"))

    assert (204, b"") == (status, body)
    assert "content-type" not in headers


async def test_after_is_called_when_the_caller_is_gone() -> None:
    """What waits for a reply to leave is told so also when it could not leave."""
    left: list[bool] = []

    async def reply(_: Exchange) -> Reply:
        return Reply(body=b"{}", after=lambda: left.append(True))

    async def broken(_: Any) -> None:
        raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        await api_with(route("GET", "/a", reply))(scope("GET", "/a"), nothing, broken)

    assert [True] == left


@pytest.mark.parametrize(
    ("values", "token"),
    [
        ([b"Bearer abc"], "abc"),
        ([b"bearer abc"], "abc"),
        ([b"  Bearer   abc  "], "abc"),
        ([], None),
        ([b""], None),
        ([b"Bearer"], None),
        ([b"Bearer "], None),
        ([b"Basic abc"], None),
        ([b"Bearer abc", b"Bearer abc"], None),
        ([b"Bearer " + b"x" * 10_000], None),
        (["Bearer ümlaut".encode()], None),
    ],
)
def test_bearer(values: list[bytes], token: str | None) -> None:
    """Exactly one well-formed Authorization header gives a token."""
    asked = scope("GET", "/", headers=[(b"authorization", value) for value in values])

    assert (token, "") == credentials(Exchange(asked, nothing))  # type: ignore[arg-type] # a test's receive is simpler


@pytest.mark.parametrize(
    ("query", "value"),
    [(b"jobid=a", "a"), (b"jobid=", ""), (b"", None), (b"other=1", None), (b"jobid=a&jobid=b", "a"), (b"jobid=%41", "A")],
)  # fmt: skip
def test_query(query: bytes, value: str | None) -> None:
    """The first value of a parameter counts, and an empty one is not an absent one."""
    assert value == Exchange(scope("GET", "/", query), nothing).query("jobid")  # type: ignore[arg-type] # as above
