"""The sessions everything outbound goes through."""

import ast
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

import pikarelay
from pikarelay.callbacks.addresses import AddressPolicy
from pikarelay.callbacks.names import Found
from pikarelay.outbound import Origin, OriginRefused, open_callback_session, open_origin_session

AGENT = "pikarelay/0.1.0"


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """Serve a greeting at `/`, a redirect to another origin at `/away`, and an echo over WebSocket at `/ws`."""

    async def hello(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("Cookie", "no cookie"), headers={"Set-Cookie": "a=b"})

    async def away(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://elsewhere.example/"})

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    application = web.Application()
    application.add_routes([web.get("/", hello), web.get("/away", away), web.get("/ws", echo)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_configured_origin_is_reached(site: str) -> None:
    """A session for an origin talks to it, over HTTP and WebSocket, and keeps no cookies."""
    async with open_origin_session([site], user_agent=AGENT) as session:
        for _ in range(2):
            async with session.get(f"{site}/") as answer:
                assert await answer.text() == "no cookie"
        async with session.ws_connect(site.replace("http:", "ws:") + "/ws") as socket:
            await socket.send_str("hello")

            assert await socket.receive_str() == "hello"


@pytest.mark.parametrize("path", ["http://127.0.0.1:9/", "https://discord.com/", "ws://elsewhere.example/"])
async def test_other_origins_are_refused(site: str, path: str) -> None:
    """A request to anywhere else is refused before anything is dialled."""
    async with open_origin_session([site], user_agent=AGENT) as session:
        with pytest.raises(OriginRefused, match="is not a configured origin"):
            await session.get(path)


async def test_redirect_elsewhere_is_refused(site: str) -> None:
    """An answer cannot lead a session astray."""
    async with open_origin_session([site], user_agent=AGENT) as session:
        with pytest.raises(OriginRefused, match=r"http://elsewhere\.example is not"):
            await session.get(f"{site}/away")


@pytest.mark.parametrize(
    ("origin", "url", "covers"),
    [
        ("https://discord.com", "https://discord.com/api/v9/x", True),
        ("https://discord.com/api/v9", "https://discord.com:443/", True),
        ("https://discord.com", "http://discord.com/", False),
        ("https://discord.com", "https://discord.com:8443/", False),
        ("https://discord.com", "https://discord.com.evil.example/", False),
        ("https://discord.com", "https://www.discord.com/", False),
        ("wss://*.discord.gg", "wss://gateway-us-east1-b.discord.gg/?v=9", True),
        ("wss://*.discord.gg", "https://gateway.discord.gg/", True),
        ("wss://*.discord.gg", "wss://discord.gg/", False),
        ("wss://*.discord.gg", "wss://evildiscord.gg/", False),
        ("http://127.0.0.1:4000", "ws://127.0.0.1:4000/gateway", True),
        ("http://127.0.0.1:4000", "ws://127.0.0.1:4001/gateway", False),
    ],
)
def test_origin_covers(origin: str, url: str, *, covers: bool) -> None:
    """Scheme, host and port decide; a star stands for names below, never for the name itself."""
    assert covers == Origin.parse(origin).covers(URL(url))


@pytest.mark.parametrize("text", ["discord.com", "ftp://discord.com", "https://", ""])
def test_no_origin_is_refused(text: str) -> None:
    """A configured origin has a scheme of the web and a host."""
    with pytest.raises(ValueError, match="is not an origin"):
        Origin.parse(text)


async def nobody(_name: str, _family: int) -> list[Found]:
    return []


async def test_sessions_take_nothing_from_the_environment() -> None:
    """Neither kind of session reads proxies or credentials, inflates, or keeps cookies."""
    async with (
        open_origin_session(["https://discord.com"], user_agent=AGENT) as origin,
        open_callback_session(AddressPolicy(), nobody, user_agent=AGENT) as callback,
    ):
        for session in (origin, callback):
            assert not session.trust_env
            assert not session.auto_decompress
            assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
            assert session.version == aiohttp.HttpVersion11
        assert callback.connector is not None
        assert callback.connector.force_close
        assert origin.connector is not None
        assert not origin.connector.force_close


async def test_unverified_tls_is_refused() -> None:
    """No session can be opened that does not verify."""
    lax = ssl.create_default_context()
    lax.check_hostname = False
    lax.verify_mode = ssl.CERT_NONE

    with pytest.raises(ValueError, match="must be verified"):
        open_callback_session(AddressPolicy(), nobody, user_agent=AGENT, tls=lax)


#: What opens connections when called, by its last name or two.
OPENERS = (
    "ClientSession",
    "TCPConnector",
    "UnixConnector",
    "aiohttp.request",
    "create_connection",
    "open_connection",
    "open_unix_connection",
    "urlopen",
    "HTTPConnection",
    "HTTPSConnection",
    "DNSResolver",
)


def openings_in(source: str) -> set[str]:
    """Return the calls in a module's source that open an outbound connection."""
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}
    return {call for call in calls if call.endswith(OPENERS)}


def test_openings_are_recognised() -> None:
    """The search below finds what it looks for, and an annotation is not a call."""
    assert {"aiohttp.ClientSession"} == openings_in("import aiohttp\naiohttp.ClientSession()")
    assert {"urlopen"} == openings_in("from urllib.request import urlopen\nurlopen('http://a/')")
    assert set() == openings_in("def f(session: aiohttp.ClientSession) -> None: session.get('/')")


def test_nothing_else_opens_connections() -> None:
    """Only one module makes what goes out, and one asks name servers."""
    assert pikarelay.__file__ is not None
    root = Path(pikarelay.__file__).parent

    openings = {str(path.relative_to(root)) for path in root.rglob("*.py") if openings_in(path.read_text())}

    assert {"outbound.py", "callbacks/names.py"} == openings
