"""
All Discord accounts of this process: the `Discord` port.

An account is a token. Its Gateway session opens when somebody first asks for it, and stays. A token that Discord
refuses is remembered as such, and Discord is not asked again.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import aiohttp
import msgspec

from pikarelay.discord.client.account import DiscordAccount, Setup
from pikarelay.discord.client.gateway import OnSighting
from pikarelay.discord.client.gateway_address import GatewayAddress
from pikarelay.discord.client.transport import TIMEOUT, Transport
from pikarelay.discord.client.uploads import Uploads
from pikarelay.discord.wire.bot_messages import Pattern, Prose
from pikarelay.discord.wire.session import IdentifyPace, SessionState
from pikarelay.discord.wire.standing import Standing
from pikarelay.errors import AccountUnusable, DiscordUnavailable, SessionElsewhere
from pikarelay.jobs.health import AccountHealth, HealthState
from pikarelay.jobs.messages import BotMessage
from pikarelay.jobs.secret import UNREADABLE, Secret
from pikarelay.services.ports import (
    ButtonPress,
    Clock,
    Command,
    CommandRun,
    FileToUpload,
    Identity,
    KeptSession,
    UploadedFile,
)

BASE_URL: Final = "https://discord.com/api/v9"
API_VERSION: Final = 9


class Link(StrEnum):
    """Whether an account's Gateway session is there."""

    OFFLINE = "offline"
    CONNECTING = "connecting"
    LIVE = "live"


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """An account as an operator may see it: never its token."""

    #: The token, masked.
    account: str
    #: None until its first session began.
    user_id: str | None
    link: Link
    #: `good`, `paused`, `blocked`, `captcha`, `token_invalid` or `gateway_refused`.
    standing: str
    #: What a person has to know or do. Empty while the standing is good.
    reason: str
    #: When a pause ends by itself. None otherwise.
    until: datetime | None
    channels: tuple[str, ...]


class DiscordAccounts:
    """The adapter of the port `Discord`. Sightings of one account come in order, one at a time."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        *,
        clock: Clock,
        on_sighting: OnSighting,
        base_url: str = BASE_URL,
        gateway_url: str | None = None,
        application_id: str | None = None,
        application_name: str = "Pika",
        press_interval: timedelta = timedelta(seconds=1.5),
        session_wait: timedelta = timedelta(seconds=120),
        intents: int | None = None,
        patterns: Iterable[Pattern] = (),
        may_listen: Callable[[Secret], bool] = lambda _token: True,
        may_connect: Callable[[Secret], bool] = lambda _token: True,
        resume: Mapping[bytes, KeptSession] = MappingProxyType({}),
        jitter: Callable[[], float] = random.random,
        timeout: aiohttp.ClientTimeout = TIMEOUT,
        on_request: Callable[[str, timedelta], None] = lambda _path, _duration: None,
    ) -> None:
        """
        Take what is shared; `http` stays the caller's to close.

        `gateway_url` None: ask Discord. `application_id` None: go by `application_name`. `intents` None: send none,
        as user clients do. `resume` holds what `sessions` returned, perhaps in another process.
        `may_listen` says whether a token's session is this process's to open; `may_connect`, whether it is so at this moment,
        for a connection that is about to be made, again or for the first time. `on_request` is told the path of each HTTP request
        that is over, and what it took.
        """
        self._clock = clock
        #: Our clock as it was at the start, and has not been set since.
        self._begin = clock.now() - clock.elapsed()
        self._transport = Transport(
            http, base_url, now=clock.now, steady=self._steady_time, timeout=timeout, on_done=on_request
        )
        self._accounts: dict[Secret, DiscordAccount] = {}
        #: By the user that the token's first part names.
        self._identify_paces: dict[str, IdentifyPace] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._is_stopped = False
        self._lives = 0
        self._may_listen = may_listen
        #: By the token's digest; each is gone on with once.
        self._resume = dict(resume)
        #: What there was when everything was stopped.
        self._left: dict[bytes, KeptSession] = {}
        self._setup = Setup(
            http=http,
            transport=self._transport,
            uploads=Uploads(http),
            clock=clock,
            jitter=jitter,
            prose=Prose(patterns),
            find_url=GatewayAddress(self._transport, clock=clock, jitter=jitter, url=gateway_url).find,
            on_sighting=on_sighting,
            on_live=self._count_life,
            application_id=application_id,
            application_name=application_name,
            press_interval=press_interval,
            session_wait=session_wait,
            may_connect=may_connect,
            api_version=API_VERSION,
            intents=intents,
        )

    async def start(self) -> None:
        """Allow sessions to open. None opens before it is asked for."""
        self._is_stopped = False

    async def stop(self) -> None:
        """Close all sessions so that Discord keeps them resumable."""
        self._is_stopped = True
        await asyncio.gather(*(account.stop() for account in self._accounts.values()), *self._retiring)
        self._left = self._sessions()
        self._accounts.clear()

    # The port

    async def identify(self, token: Secret, channel: str) -> Identity:
        if not self._may_listen(token):
            raise SessionElsewhere
        return await self._account(token).identify(channel)

    def turn(self, token: Secret) -> AbstractAsyncContextManager[None]:
        return self._account(token).turn()

    async def press_button(self, token: Secret, press: ButtonPress) -> None:
        await self._account(token).press_button(press)

    async def find_command(
        self, token: Secret, channel: str, name: str, *, fresh: bool = False
    ) -> Command | None:
        listed = await self._account(token).find_command(channel, name, fresh=fresh)
        if listed is None:
            return None
        return Command(
            name=listed.name,
            command_id=listed.command_id,
            version=listed.version,
            application_id=listed.application_id,
            bot_id=listed.bot_id,
            guild_id=listed.guild_id,
            options=listed.options,
        )

    async def upload(
        self, token: Secret, channel: str, files: Sequence[FileToUpload]
    ) -> tuple[UploadedFile, ...]:
        return await self._account(token).upload(channel, files)

    async def run_command(self, token: Secret, run: CommandRun) -> None:
        await self._account(token).run_command(run)

    async def read_message(self, token: Secret, channel: str, message_id: str) -> BotMessage | None:
        return await self._account(token).read_message(channel, message_id)

    async def read_history(self, token: Secret, channel: str, after: str) -> tuple[BotMessage, ...]:
        return await self._account(token).read_history(channel, after)

    async def refresh_links(self, token: Secret, links: Sequence[str]) -> Mapping[str, str]:
        return await self._account(token).refresh_links(links)

    def server_time(self) -> datetime:
        clock = self._transport.clock
        return self._steady_time() + clock.offset if clock.is_known else self._clock.now()

    # For operators

    def states(self) -> tuple[AccountState, ...]:
        """Return how every account stands that was asked for since the start."""
        return tuple(self._state(token, account) for token, account in self._accounts.items())

    def health(self) -> dict[bytes, AccountHealth]:
        """Return how every such account fares, by the SHA-256 of its token."""
        stop = self._stop()
        return {token.digest: _health_of(its, stop) for token, its in self._accounts.items()}

    def session_counts(self) -> Mapping[tuple[str, str], int]:
        """Return how many accounts there are by link and standing."""
        return Counter((state.link.value, state.standing) for state in self.states())

    def invalid_answers(self) -> tuple[int, int]:
        """Return how many refusals of the last ten minutes are held against our address, and at how many all stops."""
        address = self._transport.address
        return address.count(self._clock.now().timestamp()), address.STOP_AT

    def release(self, token: Secret) -> None:
        """Use an account again that Discord had refused, because a person has taken care of it."""
        if token in self._accounts:
            self._accounts[token].release()

    async def forget(self, token: Secret) -> None:
        """Close an account's session and forget all about it."""
        account = self._accounts.pop(token, None)
        if account is not None:
            await account.stop()

    def tokens(self) -> frozenset[Secret]:
        """Return those for which there is a session, or was asked for one."""
        return frozenset(self._accounts)

    async def leave(self, token: Secret) -> None:
        """Close an account's session, and keep what somebody else, or we again, can go on with."""
        account = self._accounts.pop(token, None)
        if account is None:
            return
        # Known all the while: with thousands to close it takes its time, and whoever asks meanwhile would take it for forgotten.
        self._keep(token, account)
        await account.stop()
        self._keep(token, account)

    def drop(self, digests: Collection[bytes]) -> None:
        """Know nothing more of these sessions: somebody else goes on with them."""
        for digest in digests:
            self._resume.pop(digest, None)

    def sessions(self) -> dict[bytes, KeptSession]:
        """
        Return what each session can be gone on with, by another process too, under the SHA-256 of its token.

        Also after `stop`, when nothing changes any more; sessions that were not taken up again yet are among them.
        """
        return dict(self._left) if self._is_stopped else self._sessions()

    def lives(self) -> int:
        """Return how many sessions have begun, or gone on, since this process did."""
        return self._lives

    def resume(self, sessions: Mapping[bytes, KeptSession]) -> None:
        """Go on with these sessions where their tokens are asked for. Call it before that."""
        # Accounts that were only read with have no session, and would not take up this one.
        for token in [t for t, account in self._accounts.items() if not account.gateway.is_running]:
            if token.digest in sessions:
                self._retire(self._accounts.pop(token))
        self._resume.update(sessions)

    # Inside

    def _steady_time(self) -> datetime:
        return self._begin + self._clock.elapsed()

    def _stop(self) -> AccountHealth | None:
        """Return how all accounts fare while our address may send nothing. None while it may."""
        until = self._transport.address.stopped_until(self._clock.now().timestamp())
        if until is None:
            return None
        return AccountHealth(
            state=HealthState.PAUSED,
            reason="Requests to Discord are stopped: too many were refused",
            until=datetime.fromtimestamp(until, UTC),
        )

    def _retire(self, account: DiscordAccount) -> None:
        """Let an account without a connection hand over what it has heard, and end."""
        task = asyncio.create_task(account.stop())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _keep(self, token: Secret, account: DiscordAccount) -> None:
        if (kept := _kept_of(account)) is not None:
            self._resume[token.digest] = kept

    def _count_life(self) -> None:
        self._lives += 1

    def _sessions(self) -> dict[bytes, KeptSession]:
        live = {
            token.digest: kept
            for token, account in self._accounts.items()
            if (kept := _kept_of(account)) is not None
        }
        return {**self._resume, **live}

    def _account(self, token: Secret) -> DiscordAccount:
        if self._is_stopped:
            raise DiscordUnavailable("This server is shutting down", may_have_happened=False)
        if not token.is_readable:
            raise AccountUnusable(UNREADABLE)
        if token not in self._accounts:
            pace = self._identify_paces.setdefault(_user_part(token), IdentifyPace())
            kept = self._resume.pop(token.digest, None)
            self._accounts[token] = DiscordAccount(token, self._setup, pace, _state_of(kept))
        return self._accounts[token]

    def _state(self, token: Secret, account: DiscordAccount) -> AccountState:
        standing = account.standing
        return AccountState(
            account=token.masked,
            user_id=account.gateway.user_id,
            link=_link_of(account),
            standing=standing.standing.value,
            reason=standing.reason,
            until=standing.until,
            channels=tuple(sorted(account.watched)),
        )


_STATES = {
    Link.OFFLINE: HealthState.OFFLINE,
    Link.CONNECTING: HealthState.CONNECTING,
    Link.LIVE: HealthState.READY,
}


#: Looked at every second for each of thousands of accounts, with most of which nothing is the matter.
_WELL = {link: AccountHealth(state=state) for link, state in _STATES.items()}


def _link_of(account: DiscordAccount) -> Link:
    if account.gateway.live is not None:
        return Link.LIVE
    return Link.CONNECTING if account.gateway.is_running else Link.OFFLINE


def _health_of(account: DiscordAccount, stop: AccountHealth | None) -> AccountHealth:
    its = account.standing
    if its.standing is not Standing.GOOD:
        return AccountHealth(state=HealthState(its.standing.value), reason=its.reason, until=its.until)
    if stop is not None:
        return stop
    if (until := account.limited_until) is not None:
        return AccountHealth(
            state=HealthState.PAUSED, reason="Discord limits this account's requests", until=until
        )
    return _WELL[_link_of(account)]


def _kept_of(account: DiscordAccount) -> KeptSession | None:
    state = account.gateway.safe_state
    if state is None:
        return None
    return KeptSession(
        user_id=state.user_id,
        session_id=state.session_id,
        sequence=state.sequence,
        resume_url=state.resume_url,
    )


def _state_of(kept: KeptSession | None) -> SessionState | None:
    if kept is None:
        return None
    return SessionState(
        user_id=kept.user_id,
        session_id=kept.session_id,
        sequence=kept.sequence,
        resume_url=kept.resume_url,
    )


def _user_part(token: Secret) -> str:
    """Return what two tokens of one user have in common: the part before the first dot is the user's id, encoded."""
    return token.reveal().partition(".")[0]
