"""
Keeps the accounts' Gateway sessions open and hands what they show to the observer.

At the start it opens a session for every account, and for every job that was left unfinished, so that answers to presses of
the last process are heard. After a gap in a session's stream it has the channels' histories read.
"""

import asyncio
from collections.abc import Coroutine, Sequence

import structlog

from pikarelay.errors import AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable
from pikarelay.jobs.job import Account, Job
from pikarelay.jobs.messages import FeedInterrupted, Sighting
from pikarelay.services.observe_message import SightingObserver
from pikarelay.services.ports import Discord, Identity, Store
from pikarelay.services.read_history import HistoryReader

_log = structlog.get_logger(__name__)


class GatewayListener:
    """Receives every sighting of every session."""

    def __init__(
        self, store: Store, discord: Discord, observer: SightingObserver, history: HistoryReader
    ) -> None:
        self._store = store
        self._discord = discord
        self._observer = observer
        self._history = history
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Open the sessions in the background; the server does not wait for Discord to be ready."""
        unfinished = await self._store.unfinished()
        seats: dict[tuple[str, str], Account | Job] = {
            (a.discord_token.reveal(), a.channel): a for a in await self._store.accounts()
        }
        seats.update({(j.discord_token.reveal(), j.channel): j for j in unfinished})
        for key, seat in seats.items():
            left_open = [j for j in unfinished if (j.discord_token.reveal(), j.channel) == key]
            self._spawn(self._open(seat, left_open))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def on_sighting(self, identity: Identity, sighting: Sighting) -> None:
        """Take in what a session shows. Called in the session's order."""
        if isinstance(sighting, FeedInterrupted):
            self._spawn(self._catch_up(identity))
        else:
            try:
                await self._observer.observe(identity, sighting)
            except Exception:  # noqa: BLE001 - whatever it is, the session must go on
                _log.exception("sighting.not_taken_in", sighting=type(sighting).__name__)
                # The history still has it, should the trouble have passed by then.
                self._spawn(self._catch_up(identity))

    async def _open(self, seat: Account | Job, left_open: Sequence[Job]) -> None:
        """Open one session, then read what the bot said about these jobs while nobody listened."""
        try:
            await self._discord.identify(seat.discord_token, seat.channel)
        except (AccountUnusable, DiscordRateLimited, DiscordRefused, DiscordUnavailable) as trouble:
            # The client goes on trying by itself where trying can help; where it cannot, the account says so.
            _log.warning("account.not_ready", channel=seat.channel, reason=str(trouble))
        else:
            await self._history.catch_up(left_open)

    async def _catch_up(self, identity: Identity) -> None:
        unfinished = await self._store.unfinished()
        await self._history.catch_up(job for job in unfinished if job.press.user_id == identity.user_id)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("listener.failed", exc_info=error)
