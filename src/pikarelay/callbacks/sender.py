"""
One POST to one receiver, and what became of it, as a value.

What it sends: the stored bytes, a `Content-Length` (one official receiver reads exactly that and dies without it),
who we are, and the headers of Standard Webhooks: the id, the same on every try so that receivers can drop duplicates, the
time of the try, and, when the caller has a secret, the signature. What it refuses: redirects, closed addresses, compressed
answers, and to wait longer than the whole call may take.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp
from yarl import URL

from pikarelay.callbacks.addresses import is_open_port
from pikarelay.callbacks.guard import AddressRefused, Dialled, dialled
from pikarelay.callbacks.retry_after import parse_retry_after
from pikarelay.callbacks.signing import signatures
from pikarelay.errors import Unavailable, is_shortage
from pikarelay.jobs.secret import Secret, scrub
from pikarelay.services.ports import Callback, Clock, Delivery

#: The most that is read of an answer, and the most that is kept of it.
ANSWER_LIMIT = 64 * 1024
KEPT_LIMIT = 16 * 1024
TOTAL_SECONDS = 60.0


class HttpCallbackSender:
    """
    The `CallbackSender` over HTTP.

    `session` must be a guarded one (`pikarelay.outbound.open_callback_session`): connect and DNS deadlines, address
    checks, TLS verification and the `User-Agent` are its own. The caller closes it.
    """

    def __init__(
        self, session: aiohttp.ClientSession, clock: Clock, *, total_seconds: float = TOTAL_SECONDS
    ) -> None:
        self._session = session
        self._clock = clock
        self._total_seconds = total_seconds

    async def send(self, callback: Callback, secrets: Sequence[Secret] = ()) -> Delivery:
        """
        POST the stored bytes once. A 2xx delivers, once the answer has ended or grown beyond what is read.

        An answer still dripping at the deadline is a `timeout`, whatever its status: a receiver that hangs may have
        lost the callback, and one callback twice is harmless where none leaves a caller waiting for ever. Raises `Unavailable`
        when we have nothing left to send it with, of which no receiver is to blame.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        note = Dialled()
        mark = dialled.set(note)
        try:
            seen = await self._attempt(callback, secrets)
        finally:
            dialled.reset(mark)
        return Delivery(
            status=seen.status,
            error=seen.error,
            retry_after=None if seen.error is None else parse_retry_after(seen.hint, self._clock.now()),
            address=note.address,
            duration=timedelta(seconds=loop.time() - began),
            answer=_as_text(seen.answer) if seen.status is not None else None,
        )

    async def _attempt(self, callback: Callback, secrets: Sequence[Secret]) -> "_Seen":
        seen = _Seen()
        url = _target(callback.url)
        if url is None:
            seen.error = "blocked"
            return seen
        try:
            async with (
                asyncio.timeout(self._total_seconds),
                self._session.post(
                    url, data=callback.body, headers=self._headers(callback, secrets), allow_redirects=False
                ) as answer,
            ):
                seen.status, seen.hint = answer.status, answer.headers.get("Retry-After")
                await _read_some(answer, seen.answer)
                answer.close()
        except aiohttp.ClientPayloadError:
            # The answer broke off, but its status had come: the receiver has spoken. Servers that miscount the length
            # of their "ok" would otherwise get every callback ten times.
            pass
        # RuntimeError is what uvloop raises for some sockets that die while they connect.
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:
            if is_shortage(error):
                raise Unavailable from error
            seen.error = classify(error, is_tls=url.scheme == "https")
            return seen
        seen.error = _judge(seen.status)
        return seen

    def _headers(self, callback: Callback, secrets: Sequence[Secret]) -> dict[str, str]:
        timestamp = str(int(self._clock.now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "webhook-id": callback.callback_id,
            "webhook-timestamp": timestamp,
        }
        if secrets:
            headers["webhook-signature"] = signatures(secrets, callback.callback_id, timestamp, callback.body)
        return headers


@dataclass(slots=True)
class _Seen:
    """What one POST has come to, filled in as it goes on."""

    status: int | None = None
    error: str | None = None
    #: The Retry-After header.
    hint: str | None = None
    #: The beginning of the answer.
    answer: bytearray = field(default_factory=bytearray)


def classify(error: Exception, *, is_tls: bool) -> str:
    """Return the one word for what went wrong, as in `CallbackAttempt.error`."""
    match error:
        case aiohttp.ClientConnectorError(os_error=AddressRefused()) | aiohttp.InvalidURL():
            return "blocked"
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        # A connection that is made and then reset, before anything was sent: with TLS, a handshake that the other side
        # refused; without it, a receiver that hung up.
        case (
            aiohttp.ClientSSLError()
            | ssl.SSLError()
            | aiohttp.ClientConnectorError(os_error=ConnectionResetError())
        ):
            return "tls" if is_tls else "protocol"
        # Not a `timeout`: nothing reached the receiver, so nothing there can still be at work on it.
        case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
            return "connect"
        case TimeoutError():
            return "timeout"
        case _:
            return "protocol"


def _judge(status: int | None) -> str | None:
    if status is None:
        return "protocol"
    return None if 200 <= status <= 299 else f"http_{status}"


def _target(text: str) -> URL | None:
    """Return the URL to dial. None when it is none that may be dialled, wherever it leads."""
    try:
        url = URL(text)
    except ValueError:
        return None
    is_plain = url.user is None and url.password is None and bool(url.host)
    return url if is_plain and url.scheme in {"http", "https"} and is_open_port(url.port or 0) else None


async def _read_some(answer: aiohttp.ClientResponse, kept: bytearray) -> None:
    left = ANSWER_LIMIT
    while left > 0:
        chunk = await answer.content.read(left)
        if not chunk:
            return
        left -= len(chunk)
        kept += chunk[: KEPT_LIMIT - len(kept)]


def _as_text(answer: bytearray) -> str:
    """Return a stranger's bytes as text that a database keeps and nothing secret is seen in."""
    return scrub(answer.decode("utf-8", "replace")).replace("\0", "\ufffd")
