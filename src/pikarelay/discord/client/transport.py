"""
One HTTP request to Discord: sent once, answered once, or translated into what went wrong.

Shared by all accounts, because the address that Discord counts against is ours, and its clock is one. The token is
given to each request, never to the HTTP session, so it cannot reach any other host.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import aiohttp
import structlog

from pikarelay import __version__
from pikarelay.discord.wire.ratelimit import AddressLimits, Limited
from pikarelay.discord.wire.serverclock import ServerClock
from pikarelay.errors import DiscordUnavailable
from pikarelay.jobs.secret import Secret

USER_AGENT: Final = f"pikarelay/{__version__} (+https://github.com/pikarelay/pikarelay)"

#: Connecting has its own, shorter time, so that running out of it proves that nothing was sent.
TIMEOUT: Final = aiohttp.ClientTimeout(total=15, connect=7)

#: Bytes of an answer that are read: of a refusal, and of something that was asked for.
LARGEST_REFUSAL: Final = 1024 * 1024
LARGEST_ANSWER: Final = 8 * 1024 * 1024

log = structlog.get_logger()


class Answer(NamedTuple):
    """What came back."""

    status: int
    #: Names are found in any letter case.
    headers: Mapping[str, str]
    body: bytes
    #: False when the connection broke, or the largest size was reached, before the body's end.
    is_whole: bool

    @property
    def text(self) -> str:
        """The body as errors carry it."""
        return self.body.decode(errors="replace")[:4096]


class Transport:
    """Sends requests to one base URL."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base_url: str,
        *,
        now: Callable[[], datetime],
        steady: Callable[[], datetime],
        timeout: aiohttp.ClientTimeout = TIMEOUT,
        on_done: Callable[[str, timedelta], None] = lambda _path, _duration: None,
    ) -> None:
        """
        `steady` is a clock that nobody sets, against which Discord's is measured. `on_done` is called after each request that was
        sent, or could not be, with its path and what it took.
        """
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._now = now
        self._steady = steady
        self._timeout = timeout
        self._on_done = on_done
        self.address = AddressLimits()
        self.clock = ServerClock()

    async def send(
        self,
        method: str,
        path: str,
        *,
        token: Secret | None = None,
        body: bytes | None = None,
        query: Mapping[str, str] | None = None,
        failures: int = 0,
    ) -> Answer:
        """
        Send one request and read its answer, whatever its status.

        `failures` says how often the same request failed before. Raises `DiscordUnavailable` when no answer came.
        """
        self.check_address()
        headers = _headers(token, body, failures)
        sent = self._steady()
        try:
            async with self._http.request(
                method,
                self._base_url + path,
                headers=headers,
                data=body,
                params=query,
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                self.clock.learn(response.headers.get("Date"), sent, self._steady())
                largest = LARGEST_ANSWER if response.status < 300 else LARGEST_REFUSAL
                content, is_whole = await _read(response, largest)
                return Answer(response.status, response.headers, content, is_whole)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error) from None
        finally:
            self._on_done(path, self._steady() - sent)

    def count(self, answer: Answer, limited: Limited | None) -> None:
        """Hold an answer against our address, when Discord does."""
        now = self._now().timestamp()
        if self.address.learn(answer.status, limited, now):
            log.error("discord.many_refusals", count=self.address.count(now))

    def check_address(self) -> None:
        """Raise `DiscordUnavailable` while our address must send nothing at all."""
        seconds = self.address.seconds_stopped(self._now().timestamp())
        if seconds > 0:
            raise DiscordUnavailable(
                f"Requests to Discord are stopped for {seconds:.0f} s: too many were refused",
                may_have_happened=False,
            )


def unreachable(error: Exception) -> DiscordUnavailable:
    """
    Translate what the HTTP library raised.

    The message names the kind of failure only: an exception's own text may quote what was sent.
    """
    if isinstance(error, DiscordUnavailable):
        return error
    never_sent = isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL
    )
    return DiscordUnavailable(
        f"No answer from Discord ({type(error).__name__})", may_have_happened=not never_sent
    )


def _headers(token: Secret | None, body: bytes | None, failures: int) -> dict[str, str]:
    headers = {"User-Agent": USER_AGENT}
    if token is not None:
        headers["Authorization"] = token.reveal()
    if body is not None:
        headers["Content-Type"] = "application/json"
    if failures:
        headers["X-Failed-Requests"] = str(failures)
    return headers


async def _read(response: aiohttp.ClientResponse, largest: int) -> tuple[bytes, bool]:
    """Return the body and whether it is whole. A broken one does not hide the status, which is known already."""
    content = bytearray()
    try:
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > largest:
                return bytes(content[:largest]), False
    except (aiohttp.ClientError, TimeoutError, OSError):
        return bytes(content), False
    return bytes(content), True
