"""
Where Discord's Gateway is: asked once, for all accounts.

It is asked without a token, so every limit that it meets is our address's, and everybody waits for it together.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from pikarelay.discord.client.transport import Answer, Transport
from pikarelay.discord.wire import payloads
from pikarelay.discord.wire.payloads import WireError
from pikarelay.discord.wire.ratelimit import RateLimits, Route
from pikarelay.errors import DiscordUnavailable
from pikarelay.services.ports import Clock

ROUTE: Final = Route("GET /gateway")
#: Between two tries, whoever makes them: up to 1, 2, 4, 8. One asks for all, so more restraint would only cost time.
LONGEST_PAUSE_SECONDS: Final = 8.0


class GatewayAddress:
    """See the module."""

    def __init__(
        self, transport: Transport, *, clock: Clock, jitter: Callable[[], float], url: str | None = None
    ) -> None:
        """`url` None: ask Discord."""
        self._transport = transport
        self._clock = clock
        self._jitter = jitter
        self._url = url
        self._limits = RateLimits()
        self._failures = 0
        self._turn = asyncio.Lock()

    async def find(self) -> str:
        """
        Return the address; one asks, after any wait, and those who came meanwhile wait for the answer.

        Raises `DiscordUnavailable` after one try that failed. Who tries again waits longer each time, together with all others.
        """
        async with self._turn:
            if self._url is None:
                await self._wait()
                # Until it has succeeded: whatever ends this try, the next one is not to follow at once.
                self._failures += 1
                self._url = await self._ask()
            return self._url

    async def _wait(self) -> None:
        if self._failures:
            longest = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(self._failures - 1, 10))
            await self._clock.sleep(timedelta(seconds=longest * (0.5 + 0.5 * self._jitter())))
        while (seconds := self._seconds_limited()) > 0:
            await self._clock.sleep(timedelta(seconds=seconds))

    def _seconds_limited(self) -> float:
        now = self._clock.now().timestamp()
        limit = self._limits.running(ROUTE, now)
        return max(self._transport.address.seconds_stopped(now), 0.0 if limit is None else limit.seconds)

    async def _ask(self) -> str:
        answer = await self._transport.send("GET", "/gateway")
        self._learn(answer)
        if answer.status != 200:
            raise DiscordUnavailable(
                f"Discord answered HTTP status {answer.status}",
                may_have_happened=False,
                status=answer.status,
            )
        try:
            return payloads.read("gateway", answer.body, payloads.GatewayAddress).url
        except WireError as error:
            raise DiscordUnavailable(str(error), may_have_happened=False) from None

    def _learn(self, answer: Answer) -> None:
        limited = self._limits.learn(
            ROUTE,
            answer.status,
            answer.headers,
            answer.body,
            self._clock.now().timestamp(),
            self._jitter(),
        )
        self._transport.count(answer, limited)
