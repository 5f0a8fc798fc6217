"""
The one place where outbound HTTP sessions are made. Nothing else opens a connection to anywhere.

Both kinds of session read no proxy and no credentials from the environment, keep no cookies, verify TLS, speak
HTTP/1.1, and inflate nothing. They differ in what they may reach:

- a *callback session* goes to addresses that callers name, so every address is judged by a policy when it is
  resolved and again when it is dialled, and no connection outlives its request;
- an *origin session* goes to origins that the operator configured, and to no other, whatever an answer says.
  It keeps connections alive.
"""

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pikarelay.callbacks.addresses import AddressPolicy
from pikarelay.callbacks.answer import BoundedAnswer
from pikarelay.callbacks.guard import LOOKUP_SECONDS, GuardedLookup, GuardedSockets
from pikarelay.callbacks.names import Lookup

CONNECT_SECONDS = 5.0

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class OriginRefused(aiohttp.ClientError):
    """The request, or a redirect of it, leads to an origin that nobody configured."""

    def __init__(self, url: URL) -> None:
        super().__init__(f"{url.scheme}://{url.host} is not a configured origin")


@dataclass(frozen=True, slots=True)
class Origin:
    """
    A scheme, a host and a port. A host that starts with `*.` stands for every name below it.

    WebSocket schemes count as the HTTP schemes they are upgraded from.
    """

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Origin":
        """Read `https://discord.com` or `wss://*.discord.gg`; a path is ignored. Raises ValueError."""
        url = URL(text.replace("://*.", "://wildcard.", 1))
        if url.scheme not in _PORTS or url.host is None or url.port is None:
            raise ValueError(f"{text} is not an origin")
        host = url.host.replace("wildcard.", "*.", 1) if "://*." in text else url.host
        return cls(_http(url.scheme), host, url.port)

    def covers(self, url: URL) -> bool:
        """Whether the URL lies within."""
        if url.host is None or _http(url.scheme) != self.scheme or url.port != self.port:
            return False
        if self.host.startswith("*."):
            return url.host.endswith(self.host[1:])
        return url.host == self.host


class _Resolver(AbstractResolver):
    """A guarded lookup as aiohttp asks for it."""

    def __init__(self, lookup: GuardedLookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=found.address,
                port=port,
                family=found.family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found in await self._lookup.addresses(host, port, family)
        ]

    async def close(self) -> None:
        """Do nothing: whoever made the lookup closes it."""


def open_callback_session(
    policy: AddressPolicy,
    lookup: Lookup,
    *,
    user_agent: str,
    connect_seconds: float = CONNECT_SECONDS,
    dns_seconds: float = LOOKUP_SECONDS,
    tls: ssl.SSLContext | None = None,
) -> aiohttp.ClientSession:
    """
    Open the session for callbacks, on the running loop. The caller closes it.

    `tls` adds trust (a private CA) and must verify; `lookup` says which addresses a name has. The deadline of the whole
    call is the sender's.
    """
    connector = aiohttp.TCPConnector(
        ssl=_verifying(tls),
        resolver=_Resolver(GuardedLookup(policy, lookup, timeout_seconds=dns_seconds)),
        socket_factory=GuardedSockets(policy),
        use_dns_cache=False,
        force_close=True,
        limit=0,
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds)
    return _open(connector, user_agent, timeout, answer=BoundedAnswer)


def open_origin_session(
    origins: Iterable[str],
    *,
    user_agent: str,
    connect_seconds: float = CONNECT_SECONDS,
    total_seconds: float | None = None,
    tls: ssl.SSLContext | None = None,
) -> aiohttp.ClientSession:
    """
    Open a session for configured origins (see `Origin.parse`), on the running loop. The caller closes it.

    A request that leads elsewhere raises `OriginRefused` before anything is resolved or dialled.
    """
    allowed = tuple(Origin.parse(text) for text in origins)

    async def stay_home(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if not any(origin.covers(request.url) for origin in allowed):
            raise OriginRefused(request.url)
        return await handler(request)

    connector = aiohttp.TCPConnector(
        ssl=_verifying(tls),
        # Names that the operator chose are the system's to resolve, in every way that it knows. aiohttp would choose for
        # itself, by what is installed.
        resolver=aiohttp.ThreadedResolver(),
        limit=0,
    )
    timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds)
    return _open(connector, user_agent, timeout, stay_home)


def _open(
    connector: aiohttp.TCPConnector,
    user_agent: str,
    timeout: aiohttp.ClientTimeout,
    *middlewares: aiohttp.ClientMiddlewareType,
    answer: type[aiohttp.ClientResponse] = aiohttp.ClientResponse,
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": user_agent},
        timeout=timeout,
        middlewares=middlewares,
        response_class=answer,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        version=aiohttp.HttpVersion11,
    )


def _verifying(tls: ssl.SSLContext | None) -> ssl.SSLContext:
    context = _system_trust() if tls is None else tls
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ValueError("outbound TLS must be verified")
    return context


@cache
def _system_trust() -> ssl.SSLContext:
    """Return a context that trusts whom the system trusts. One for all: each holds its own copy of 150 certificates."""
    return ssl.create_default_context()


def _http(scheme: str) -> str:
    return {"ws": "http", "wss": "https"}.get(scheme, scheme)
