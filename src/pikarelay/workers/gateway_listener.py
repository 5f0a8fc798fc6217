"""
Keeps the accounts' Gateway sessions open and hands what they show to the observer.

When this worker takes something up, it opens a session for every account there, and for every job that was left unfinished, so
that answers to presses of the last worker are heard. After a gap in a session's stream it has the channels' histories read.
Accounts that are set up, replaced or removed meanwhile are noticed at once, or within seconds when word of it is lost.
"""

import asyncio
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from pikarelay.errors import (
    AccountUnusable,
    DiscordRateLimited,
    DiscordRefused,
    DiscordUnavailable,
    Unavailable,
)
from pikarelay.jobs.job import Job
from pikarelay.jobs.messages import FeedInterrupted, Sighting
from pikarelay.jobs.ownership import channel_name, session_name
from pikarelay.jobs.secret import Secret
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.observe_message import SightingObserver
from pikarelay.services.ports import Clock, Discord, Identity, Store
from pikarelay.services.read_history import HistoryReader
from pikarelay.workers.background import BackgroundTasks
from pikarelay.workers.loop import Loop

_log = structlog.get_logger(__name__)


#: How soon accounts are noticed that another process has changed.
_LOOK_AGAIN = timedelta(seconds=5)
#: Between word of a changed account and the look at all: thousands may be set up one after the other.
_LOOK_AFTER = timedelta(seconds=0.05)
#: How soon a store is asked again that could not say what may have been missed.
_LOOK_FOR_MISSED_AGAIN = timedelta(seconds=1)

#: A token, and a channel that it listens to.
Seat = tuple[Secret, str]


class GatewayListener:
    """Receives every sighting of every session. Implements `AccountsWatcher`."""

    def __init__(
        self,
        store: Store,
        discord: Discord,
        view: ChannelView,
        observer: SightingObserver,
        history: HistoryReader,
        clock: Clock,
        keeps_session: Callable[[Secret], bool] = lambda _token: True,
    ) -> None:
        """`keeps_session` says whether a token's session is this worker's: others' accounts are not there, and not removed."""
        self._store = store
        self._view = view
        self._discord = discord
        self._observer = observer
        self._history = history
        self._clock = clock
        self._keeps_session = keeps_session
        self._background = BackgroundTasks("gateway_listener")
        #: The accounts that are listened to, and when each was last set up.
        self._accounts: dict[Seat, datetime] = {}
        #: Tokens of accounts that were removed or replaced, while jobs may need them.
        self._parting: set[Secret] = set()
        self._looking = asyncio.Lock()
        #: Whether a look is about to come.
        self._is_woken = False
        #: Users of whose sessions something may have been missed that is not looked for yet, and whether somebody is about to.
        self._missed: set[str] = set()
        self._is_catching_up = False
        self._loop = Loop("account_watcher", self._watch_accounts)

    async def start(self) -> None:
        await self._loop.start()

    async def take_up(self, names: Container[str]) -> None:
        """Open the sessions of what is held from now on, in the background: nobody waits for Discord to be ready."""
        unfinished = [
            job for job in await self._store.unfinished() if session_name(job.discord_token) in names
        ]
        await self.accounts_changed(unfinished)
        others = {(job.discord_token, job.channel) for job in unfinished} - set(self._accounts)
        for seat in others:
            self._background.start(self._open(seat, _of(seat, unfinished)))

    async def let_go(self, names: Container[str]) -> None:
        """Close these sessions, so that another worker can go on with them."""
        # First of all, for whoever looks at the accounts waits for the store, which may be out of reach.
        leaving = [token for token in self._discord.tokens() if session_name(token) in names]
        await asyncio.gather(*(self._discord.leave(token) for token in leaving))
        async with self._looking:
            self._accounts = {
                seat: updated
                for seat, updated in self._accounts.items()
                if session_name(seat[0]) not in names and channel_name(seat[1]) not in names
            }

    def wake(self) -> None:
        """Look at the accounts soon: some have changed. Once for all of whom there is word by then."""
        if not self._is_woken:
            self._is_woken = True
            self._background.start(self._look_soon())

    async def stop(self) -> None:
        await self._loop.stop()
        await self._background.stop()

    async def accounts_changed(self, left_open: Sequence[Job] = ()) -> None:
        """
        Open the sessions of new accounts, use those again that were set up anew, and close what nobody needs.

        `left_open` are jobs of the last worker; what was said about them is read once their session is there.
        """
        async with self._looking:
            await self._look(left_open)

    async def _look_soon(self) -> None:
        await self._clock.sleep(_LOOK_AFTER)
        async with self._looking:
            # From here on, word of another change is a reason to look again.
            self._is_woken = False
            await self._look(())

    async def _look(self, left_open: Sequence[Job]) -> None:
        current = {(a.discord_token, a.channel): a.updated for a in await self._store.accounts()}
        before, self._accounts = self._accounts, current
        changed = {seat: updated for seat, updated in current.items() if before.get(seat) != updated}
        if changed:
            self._release(changed, before)
        for seat in changed:
            self._background.start(self._open(seat, _of(seat, left_open)))
        self._parting |= {token for token, _ in before.keys() - current.keys()}
        if self._parting:
            self._parting -= {token for token, _ in current}
            await self._part()

    def _release(self, changed: Mapping[Seat, datetime], before: Mapping[Seat, datetime]) -> None:
        """
        Use those again that were set up since: a person has taken care of what Discord held against them.

        Also those that are in use without having been there: on another channel, or removed while a job still needed them.
        """
        in_use = self._discord.tokens()
        last: dict[Secret, datetime] = {}
        for (token, _), updated in before.items():
            last[token] = max(updated, last.get(token, updated))
        again = {
            seat[0]
            for seat, updated in changed.items()
            if seat in before or (seat[0] in in_use and (seat[0] not in last or updated > last[seat[0]]))
        }
        for token in again:
            self._discord.release(token)

    async def _part(self) -> None:
        """Close the sessions of former accounts, except where a job is under way."""
        needed = {job.discord_token for job in await self._store.unfinished()}
        for token in self._parting - needed:
            self._parting.discard(token)
            # What is being let go of is closed by `let_go`, which keeps what the session can be gone on with.
            if self._keeps_session(token):
                await self._discord.forget(token)

    async def _watch_accounts(self) -> None:
        await self._clock.sleep(_LOOK_AGAIN)
        await self.accounts_changed()

    async def on_sighting(self, identity: Identity, sighting: Sighting) -> None:
        """
        Take in what a session shows. Called in the session's order.

        Raises `Unavailable` when the store is out of reach: it is to be told again, for a hidden message is in no history.
        """
        if isinstance(sighting, FeedInterrupted):
            self._catch_up_soon(identity)
        else:
            try:
                await self._observer.observe(identity, sighting)
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001 - whatever it is, the session must go on
                _log.exception("sighting.not_taken_in", sighting=type(sighting).__name__)
                # The history still has it, should the trouble have passed by then.
                self._catch_up_soon(identity)

    async def _open(self, seat: Seat, left_open: Sequence[Job]) -> None:
        """Open one session, then read what the bot said about these jobs while nobody listened."""
        token, channel = seat
        try:
            await self._discord.identify(token, channel)
        except (AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable) as trouble:
            # The client goes on trying by itself where trying can help; where it cannot, the account says so.
            _log.warning("account.not_ready", channel=channel, reason=str(trouble))
        else:
            await self._history.catch_up(left_open)

    def _catch_up_soon(self, identity: Identity) -> None:
        """Look once for all of whom something was missed by then: thousands may come at once, just when the store is slow."""
        self._missed.add(identity.user_id)
        if not self._is_catching_up:
            self._is_catching_up = True
            self._background.start(self._look_for_missed())

    async def _look_for_missed(self) -> None:
        try:
            while self._missed:
                users, self._missed = self._missed, set()
                try:
                    concerned = [*await self._store.unfinished(), *await self._view.ghosts()]
                except Unavailable:
                    self._missed |= users
                    await self._clock.sleep(_LOOK_FOR_MISSED_AGAIN)
                    continue
                theirs = [job for job in concerned if job.press.user_id in users]
                if theirs:
                    # Reading takes as long as Discord does. Others need not wait for that.
                    self._background.start(self._read(theirs))
        finally:
            self._is_catching_up = False

    async def _read(self, jobs: Sequence[Job]) -> None:
        await self._history.catch_up(jobs)


def _of(seat: Seat, jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if (job.discord_token, job.channel) == seat]
