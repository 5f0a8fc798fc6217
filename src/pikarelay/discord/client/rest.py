"""
Discord's REST API, as one account uses it.

Limits are honoured before a request leaves: a read waits, an interaction is refused at once with what Discord said. Reads
are repeated, three times at most; an interaction never is, since it may have been pressed. What a refusal means for
the account is remembered, and from then on nothing is asked of Discord in its name.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from pikarelay.discord.client.transport import Answer, Transport
from pikarelay.discord.wire.ratelimit import Limited, RateLimits, Route, Running, asked_delay, is_slow_mode
from pikarelay.discord.wire.refusals import read_refusal
from pikarelay.discord.wire.standing import AccountStanding, Standing
from pikarelay.errors import AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.secret import Secret
from pikarelay.services.ports import Clock

INTERACTIONS: Final = Route("POST /interactions")
#: So often a read is repeated.
REPEATS: Final = 3
#: A read does not wait for a longer limit; whoever asked should know.
LONGEST_WAIT_SECONDS: Final = 30.0
#: Discord has no answer yet, and wants to be asked again.
NOT_READY: Final = 202
#: How soon, when it does not say.
NOT_READY_SECONDS: Final = 5.0

log = structlog.get_logger()


class Rest:
    """One account's requests."""

    def __init__(
        self,
        transport: Transport,
        token: Secret,
        *,
        clock: Clock,
        jitter: Callable[[], float],
        on_unusable: Callable[[Standing], None],
    ) -> None:
        """`on_unusable` is called once, when a refusal has made the account unusable."""
        self._transport = transport
        self._token = token
        self._clock = clock
        self._jitter = jitter
        self._on_unusable = on_unusable
        self._limits = RateLimits()
        self._turns: dict[Route, asyncio.Lock] = {}
        self._standing = AccountStanding()

    @property
    def standing(self) -> AccountStanding:
        """How Discord sees the account now."""
        return self._standing.at(self._clock.now())

    @standing.setter
    def standing(self, standing: AccountStanding) -> None:
        self._standing = standing

    def check(self) -> None:
        """Raise `AccountUnusable` while Discord must not be asked anything."""
        standing = self.standing
        if not standing.is_usable(self._clock.now()):
            raise AccountUnusable(standing.reason, status=standing.status, details=standing.details)

    @property
    def limited_until(self) -> datetime | None:
        """Until when Discord refuses interactions, having said so. None while it does not."""
        until = self._limits.refused_until(INTERACTIONS, self._clock.now().timestamp())
        return None if until is None else datetime.fromtimestamp(until, UTC)

    def check_interactions(self, channel: str) -> None:
        """Raise `DiscordRateLimited` while a limit is known to refuse interactions there."""
        running = [
            limit
            for route in (INTERACTIONS, slow_mode(channel))
            if (limit := self._running(route)) is not None
        ]
        if running:
            longest = max(running, key=lambda limit: limit.seconds)
            raise DiscordRateLimited(longest.body, longest.seconds, was_sent=False)

    async def interact(self, channel: str, body: bytes) -> None:
        """
        POST one interaction, once. Returns when Discord accepted it.

        Raises `DiscordRateLimited`, `DiscordRefused`, `DiscordUnavailable` or `AccountUnusable`.
        """
        self.check()
        self.check_interactions(channel)
        answer = await self._transport.send("POST", "/interactions", token=self._token, body=body)
        route = slow_mode(channel) if answer.status == 429 and is_slow_mode(answer.body) else INTERACTIONS
        limited = self._learn(route, answer)
        if answer.status == NOT_READY:
            # Nobody promised that nothing was pressed. Its traces tell, as for an answer that never came.
            raise DiscordUnavailable("Discord was not ready to answer", may_have_happened=True)
        if answer.status < 300:
            return
        if limited is not None:
            raise DiscordRateLimited(answer.text, limited.delay)
        if answer.status >= 500:
            raise _unavailable(answer, may_have_happened=True)
        raise DiscordRefused(
            answer.status, answer.text, is_stale=read_refusal(answer.status, answer.body).is_stale
        )

    async def read(self, route: Route, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """
        GET `path`; wait for limits, and repeat what failed.

        Raises like `interact`; `may_have_happened` is always False, since nothing happens by reading.
        """
        return await self._ask(route, "GET", path, query=query)

    async def reserve(self, route: Route, path: str, body: bytes) -> bytes:
        """POST something that may be repeated, because what it makes is worth nothing unless used."""
        return await self._ask(route, "POST", path, body=body)

    async def _ask(
        self,
        route: Route,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> bytes:
        # In turn, so that a limit which one meets is known to the next before it is sent.
        async with self._turns.setdefault(route, asyncio.Lock()):
            failures = 0
            while True:
                self.check()
                await self._wait(route)
                # What another request was answered meanwhile counts for this one, too.
                self.check()
                self._transport.check_address()
                try:
                    return await self._try(route, method, path, query=query, body=body, failures=failures)
                except DiscordUnavailable as problem:
                    failures += 1
                    pause = self._pause(problem, failures)
                    if failures > REPEATS or pause > LONGEST_WAIT_SECONDS:
                        raise DiscordUnavailable(
                            str(problem),
                            may_have_happened=False,
                            status=problem.status,
                            details=problem.details,
                        ) from None
                    await self._clock.sleep(timedelta(seconds=pause))
                except DiscordRateLimited:
                    failures += 1
                    if failures > REPEATS:
                        raise

    async def _try(
        self,
        route: Route,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        body: bytes | None,
        failures: int,
    ) -> bytes:
        answer = await self._transport.send(
            method, path, token=self._token, query=query, body=body, failures=failures
        )
        limited = self._learn(route, answer)
        if limited is not None:
            raise DiscordRateLimited(answer.text, limited.delay)
        if answer.status == NOT_READY:
            raise _NotReady(answer)
        if answer.status >= 500 or (answer.status < 300 and not answer.is_whole):
            raise _unavailable(answer, may_have_happened=False)
        if answer.status >= 300:
            raise DiscordRefused(answer.status, answer.text)
        return answer.body

    def _pause(self, problem: DiscordUnavailable, failures: int) -> float:
        """Return how many seconds to wait before the next try."""
        if isinstance(problem, _NotReady):
            return problem.seconds
        return float(2 ** (failures - 1)) * self._jitter()

    async def _wait(self, route: Route) -> None:
        while (limit := self._running(route)) is not None:
            if limit.seconds > LONGEST_WAIT_SECONDS:
                raise DiscordRateLimited(limit.body, limit.seconds)
            await self._clock.sleep(timedelta(seconds=limit.seconds))

    def _running(self, route: Route) -> Running | None:
        return self._limits.running(route, self._clock.now().timestamp())

    def _learn(self, route: Route, answer: Answer) -> Limited | None:
        now = self._clock.now()
        limited = self._limits.learn(
            route, answer.status, answer.headers, answer.body, now.timestamp(), self._jitter()
        )
        self._transport.count(answer, limited)
        if limited is not None:
            log.warning(
                "discord.rate_limited",
                account=self._token.masked,
                route=route.template,
                scope=limited.scope.value,
                seconds=round(limited.delay, 3),
            )
        elif 400 <= answer.status < 500:
            self._judge(answer)
        else:
            self.standing = self.standing.after_answer(answer.status)
        return limited

    def _judge(self, answer: Answer) -> None:
        now, before = self._clock.now(), self.standing
        refusal = read_refusal(answer.status, answer.body)
        self.standing = before.after_refusal(refusal, answer.status, answer.text, now)
        if self.standing != before and not self.standing.is_usable(now):
            log.error(
                "account.unusable",
                account=self._token.masked,
                standing=self.standing.standing.value,
                reason=self.standing.reason,
                status=answer.status,
            )
            self._on_unusable(self.standing.standing)


class _NotReady(DiscordUnavailable):
    def __init__(self, answer: Answer) -> None:
        super().__init__(
            "Discord was not ready to answer",
            may_have_happened=False,
            status=answer.status,
            details=answer.text,
        )
        self.seconds = asked_delay(answer.headers, answer.body) or NOT_READY_SECONDS


def slow_mode(channel: str) -> Route:
    """Return what a channel's slow mode is counted under, apart from the account's own limit."""
    return Route("POST /interactions, slow mode", channel)


def _unavailable(answer: Answer, *, may_have_happened: bool) -> DiscordUnavailable:
    reason = (
        f"Discord answered HTTP status {answer.status}" if answer.is_whole else "Discord's answer broke off"
    )
    return DiscordUnavailable(
        reason, may_have_happened=may_have_happened, status=answer.status, details=answer.text
    )
