"""What every node has, whatever its role: the store, and the ways out."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import aiohttp
import msgspec

from pikarelay.bootstrap.mirror import open_mirror
from pikarelay.bootstrap.offices import Offices, files_at, target_guard
from pikarelay.bootstrap.server import Worker
from pikarelay.bootstrap.shares import Shares
from pikarelay.bootstrap.stores import is_shared, open_server_store, open_uploads
from pikarelay.callbacks.names import NameServers
from pikarelay.discord.client.accounts import DiscordAccounts
from pikarelay.discord.client.gateway import OnSighting
from pikarelay.discord.client.transport import USER_AGENT
from pikarelay.outbound import open_origin_session
from pikarelay.services.answers import Answers
from pikarelay.services.answers_elsewhere import OverlappingAnswers
from pikarelay.services.board import Board
from pikarelay.services.ownership import Holdings
from pikarelay.services.ports import AccountsWatcher, Mirror
from pikarelay.services.readiness import Readiness
from pikarelay.services.refresh_links import LinkRefresher
from pikarelay.services.shared_answers import SharedAnswers
from pikarelay.settings import DiscordSettings, Settings
from pikarelay.store.sql import SqlStore
from pikarelay.store.uploads import Uploads
from pikarelay.system import SystemClock, SystemIds, free_bytes
from pikarelay.workers.hearer import Hearer
from pikarelay.workers.lookout import Lookout


class LateWatcher:
    """Passes on that accounts have changed to whoever there is by then. Implements `AccountsWatcher`."""

    def __init__(self) -> None:
        self.watcher: AccountsWatcher | None = None

    async def accounts_changed(self) -> None:
        if self.watcher is not None:
            await self.watcher.accounts_changed()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that all roles of one node share."""

    settings: Settings
    #: What it may have open.
    shares: Shares
    clock: SystemClock
    ids: SystemIds
    worker_id: str
    board: Board
    store: SqlStore
    #: What this node holds of a store that it shares. None: it shares it with nobody.
    holdings: Holdings | None
    answers: Answers
    uploads: Uploads
    names: NameServers
    discord: DiscordAccounts
    links: LinkRefresher
    mirror: Mirror | None
    readiness: Readiness
    accounts_watcher: LateWatcher
    offices: Offices
    #: What runs in the background in any role.
    loops: tuple[Worker, ...]
    #: Who is told that the end begins.
    endings: tuple[Callable[[], None], ...]


async def open_node(
    settings: Settings, shares: Shares, stack: AsyncExitStack, on_sighting: OnSighting
) -> Node:
    """Open the store and the sessions, until the stack is left. `on_sighting` is given what Discord's Gateway shows."""
    clock, board = SystemClock(), Board()
    ids = SystemIds(clock.now)
    store, alone_since = await stack.enter_async_context(open_server_store(settings, clock))
    worker_id = ids.job_id()
    holdings = Holdings(worker_id) if is_shared(settings) else None
    readiness = Readiness(
        store, lambda: free_bytes(settings.store.data_folder), settings.store.least_free, time.monotonic
    )
    answers: Answers
    loops: tuple[Worker, ...]
    endings: tuple[Callable[[], None], ...]
    if holdings is None:
        lookout = Lookout(store, board, clock)
        answers = OverlappingAnswers(store, board, clock, settings.discord.answer_wait, alone_since)
        loops, endings = (lookout,), (readiness.end, lookout.begin)
    else:
        answers = shared = SharedAnswers(store.held_by(holdings), board, clock)
        loops, endings = (shared, Hearer(store, board, clock)), (readiness.end,)
    names = await stack.enter_async_context(NameServers.open(settings.callbacks.nameservers))
    discord = DiscordAccounts(
        await stack.enter_async_context(discord_session(settings.discord)),
        clock=clock,
        on_sighting=on_sighting,
        base_url=settings.discord.api_url,
        gateway_url=settings.discord.gateway_url,
        application_id=settings.discord.application_id,
        application_name=settings.discord.application_name,
        press_interval=settings.discord.press_interval,
        session_wait=settings.discord.session_wait,
        may_listen=(lambda _: True) if holdings is None else holdings.keeps_session,
        may_connect=(lambda _: True) if holdings is None else holdings.may_connect,
        on_request=board.tally.discord_request,
    )
    guard = target_guard(settings.callbacks, names)
    watcher = LateWatcher()
    return Node(
        settings=settings,
        shares=shares,
        clock=clock,
        ids=ids,
        worker_id=worker_id,
        board=board,
        store=store,
        holdings=holdings,
        answers=answers,
        uploads=open_uploads(settings, store, clock, shares.uploads),
        names=names,
        discord=discord,
        links=LinkRefresher(store, discord, clock),
        mirror=await stack.enter_async_context(open_mirror(settings.mirror)),
        readiness=readiness,
        accounts_watcher=watcher,
        offices=Offices.of(store, clock, ids, guard, files_at(settings), watcher, board),
        loops=loops,
        endings=endings,
    )


def discord_session(settings: DiscordSettings) -> aiohttp.ClientSession:
    """
    Open the session that may reach Discord: the API's origin and, when that is Discord's own, the hosts it sends us to.

    The Gateway's address and the upload bucket's come in Discord's answers. With another API (a local Discord), they are
    on the same origin, or the operator names the Gateway.
    """
    origins = [settings.api_url]
    if settings.gateway_url is not None:
        origins.append(settings.gateway_url)
    if settings.is_discord_itself:
        origins += ["wss://*.discord.gg", "https://discord-attachments-uploads-prd.storage.googleapis.com"]
    return open_origin_session(origins, user_agent=USER_AGENT)
