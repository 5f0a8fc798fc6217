"""The role `worker`: everything between the store, Discord and callers' receivers."""

import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_address

import aiohttp
import msgspec

from pikarelay.api.server import HttpServer
from pikarelay.bootstrap.mirror import cdn_session
from pikarelay.bootstrap.node import Node
from pikarelay.bootstrap.offices import files_at
from pikarelay.bootstrap.server import Worker
from pikarelay.callbacks.addresses import AddressPolicy
from pikarelay.callbacks.sender import HttpCallbackSender
from pikarelay.discord.client.cdn import Cdn
from pikarelay.discord.client.transport import USER_AGENT
from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.ownership import session_name_of
from pikarelay.outbound import open_callback_session
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.clean_up import CleanUp
from pikarelay.services.copy_file import FileCopier
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.expire_jobs import JobExpirer
from pikarelay.services.keep_orphans import OrphanKeeper
from pikarelay.services.observe_message import BotHabits, SightingObserver
from pikarelay.services.ports import Announcement, News
from pikarelay.services.press_floor import PressFloor
from pikarelay.services.prune_copies import CopyPruner
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.send_press import PressSender
from pikarelay.workers.callback_dispatcher import CallbackDispatcher
from pikarelay.workers.copier import Copier
from pikarelay.workers.estate_keeper import EstateKeeper
from pikarelay.workers.gateway_listener import GatewayListener
from pikarelay.workers.health_keeper import HealthKeeper
from pikarelay.workers.key_keeper import KeyKeeper
from pikarelay.workers.lifeline import Lifeline
from pikarelay.workers.press_finder import PressFinder
from pikarelay.workers.press_hearer import PressHearer
from pikarelay.workers.presser import Presser
from pikarelay.workers.pruner import Pruner
from pikarelay.workers.reconciler import Reconciler
from pikarelay.workers.session_keeper import SessionKeeper
from pikarelay.workers.sole_keeper import SoleKeeper


class Works(msgspec.Struct, frozen=True, kw_only=True):
    """The background loops, in the order in which they start; between both parts, the outbox."""

    listener: GatewayListener
    presser: Presser
    first: tuple[Worker, ...]
    then: tuple[Worker, ...]

    async def open_outbox(
        self, node: Node, stack: AsyncExitStack, own: Sequence[HttpServer]
    ) -> CallbackDispatcher:
        """Put together what calls back: anybody but `own`, which are this node's."""
        settings = node.settings.callbacks
        session = await stack.enter_async_context(_callback_session(node, own))
        delivery = CallbackDelivery(
            node.store,
            HttpCallbackSender(session, node.clock, total_seconds=settings.total_seconds),
            node.answers,
            node.board.tally,
            node.clock,
            settings.schedule,
            random.random,
        )
        return CallbackDispatcher(node.store, delivery, node.board, node.clock, at_once=node.shares.tries)


async def open_works(node: Node, stack: AsyncExitStack) -> Works:
    """Put the background loops together."""
    settings, board, clock, discord = node.settings, node.board, node.clock, node.discord
    holdings = node.holdings
    # What this worker may see and change. Callbacks and copies are everybody's.
    store = node.store if holdings is None else node.store.held_by(holdings)
    recorder = EventRecorder(store, board, clock, node.ids, files_at(settings))
    deadlines = Deadlines(
        first_message=settings.discord.first_message_within, whole_job=settings.discord.job_within
    )
    view, habits, floor = ChannelView(store, clock, deadlines), BotHabits(), PressFloor()
    orphans = OrphanKeeper(store, recorder)
    observer = SightingObserver(store, view, recorder, orphans, habits, floor, board, clock)
    history = HistoryReader(store, discord, observer, clock)
    sessions = SessionKeeper(store, discord, clock)
    keeps_session = (lambda _: True) if holdings is None else holdings.keeps_session
    health = (
        HealthKeeper(store, discord, clock)
        if holdings is None
        else HealthKeeper(store, discord, clock, lambda digest: holdings.is_kept(session_name_of(digest)))
    )
    listener = GatewayListener(store, discord, view, observer, history, clock, keeps_session)
    node.accounts_watcher.watcher = listener
    sender = PressSender(store, discord, recorder, board, node.answers, clock, node.uploads, floor)
    presser = Presser(store, view, history, sender, habits, board, clock)
    tenants = (sessions, listener, presser)
    keepers: tuple[Worker, ...] = (SoleKeeper(tenants), PressFinder(store, presser, clock))
    if holdings is not None:
        estates = EstateKeeper(node.store, holdings, sessions, tenants[1:], clock, node.worker_id)
        presses = PressHearer(
            store, presser, clock, holdings.keeps_channel, holdings.keeps_seat, estates.ask_for
        )
        node.store.subscribe(_to_workers(presses, listener, estates))
        keepers = (presses, estates)
    prune_copies = CopyPruner(node.store, node.mirror, removes=settings.mirror.remove_with_jobs)
    clean_up = CleanUp(node.store, node.uploads, clock, settings.store.keep_jobs, prune_copies)
    return Works(
        listener=listener,
        presser=presser,
        # First to start and last to stop, around the sessions that it keeps.
        first=(sessions, discord, health, listener, presser, *keepers),
        then=(
            Lifeline(JobExpirer(store, history, recorder, board, clock, deadlines), clock),
            Reconciler(store, view, history, clock, random.random),
            KeyKeeper(node.offices.keys, clock),
            Pruner(clean_up, clock),
            *await _copiers(node, stack),
        ),
    )


async def _copiers(node: Node, stack: AsyncExitStack) -> tuple[Worker, ...]:
    settings = node.settings
    if node.mirror is None:
        return ()
    source = Cdn(
        await stack.enter_async_context(cdn_session(settings.discord)),
        largest=settings.mirror.max_bytes,
    )
    copier = FileCopier(
        node.store,
        node.links,
        source,
        node.mirror,
        node.board,
        node.clock,
        random.random,
        total_seconds=settings.mirror.total_seconds,
    )
    return (Copier(node.store, copier, node.board, node.clock),)


def _to_workers(
    presses: PressHearer, listener: GatewayListener, estates: EstateKeeper
) -> Callable[[Announcement], None]:
    def hear(announcement: Announcement) -> None:
        presses.hear(announcement)
        if announcement.news is News.ACCOUNTS:
            listener.wake()
        if announcement.news in {News.ACCOUNTS, News.WORKERS, News.MISSED}:
            estates.wake()

    return hear


def _callback_session(node: Node, own: Sequence[HttpServer]) -> aiohttp.ClientSession:
    """Open the session that may reach callers' servers, and never this one."""
    settings = node.settings.callbacks
    policy = AddressPolicy(
        exceptions=settings.allow_networks,
        nat64=settings.nat64,
        own=frozenset((ip_address(http.host), http.port) for http in own),
    )
    return open_callback_session(
        policy, node.names, user_agent=USER_AGENT, connect_seconds=settings.connect_seconds
    )
