"""
The composition root: the only module that names concrete classes and puts them together.

Nothing here decides anything. What needs a setting gets the few values it needs; what needs the outside gets a port.
"""

import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address

import aiohttp
import msgspec
import structlog

from pikarelay import __version__
from pikarelay.api.account_operations import AccountOperations
from pikarelay.api.app import Api
from pikarelay.api.callback_operations import CallbackOperations
from pikarelay.api.files import Files
from pikarelay.api.forms import CloseUnread
from pikarelay.api.front_door import Limits
from pikarelay.api.health import health
from pikarelay.api.operations import PikaOperations
from pikarelay.api.pages import pages
from pikarelay.api.routing import RouteTable
from pikarelay.api.server import HttpServer
from pikarelay.bootstrap.metrics import MetricsDesk
from pikarelay.bootstrap.mirror import cdn_session, files_at, open_mirror
from pikarelay.bootstrap.server import Server, Worker
from pikarelay.bootstrap.stores import check_database, open_server_store, open_store, prepare_store
from pikarelay.callbacks.addresses import AddressPolicy
from pikarelay.callbacks.guard import GuardedResolver
from pikarelay.callbacks.names import Lookup, NameServers
from pikarelay.callbacks.sender import HttpCallbackSender
from pikarelay.contract.openapi import openapi_document
from pikarelay.discord.client.accounts import DiscordAccounts
from pikarelay.discord.client.cdn import Cdn
from pikarelay.jobs.deadlines import Deadlines
from pikarelay.jobs.messages import Sighting
from pikarelay.outbound import DNS_SECONDS, open_callback_session, open_origin_session
from pikarelay.services.account_health import HealthOffice
from pikarelay.services.answer_once import AnswerOnce
from pikarelay.services.authenticate import Authenticator
from pikarelay.services.board import Board
from pikarelay.services.channel_view import ChannelView
from pikarelay.services.clean_up import CleanUp
from pikarelay.services.configure_account import AccountOffice
from pikarelay.services.configure_caller import CallerOffice
from pikarelay.services.copy_file import FileCopier
from pikarelay.services.deliver_callback import CallbackDelivery
from pikarelay.services.expire_jobs import JobExpirer
from pikarelay.services.find_file import FileFinder
from pikarelay.services.issue_token import TokenOffice
from pikarelay.services.keep_orphans import OrphanKeeper
from pikarelay.services.manage_callbacks import CallbackOffice
from pikarelay.services.manage_copies import CopyOffice
from pikarelay.services.observe_message import BotHabits, SightingObserver
from pikarelay.services.ports import AccountsWatcher, Identity, TargetGuard
from pikarelay.services.press_button import PressButton
from pikarelay.services.press_floor import PressFloor
from pikarelay.services.prune_copies import CopyPruner
from pikarelay.services.read_history import HistoryReader
from pikarelay.services.readiness import Readiness
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.refresh_links import LinkRefresher
from pikarelay.services.rotate_keys import KeyRotation
from pikarelay.services.run_command import RunCommand
from pikarelay.services.send_press import PressSender
from pikarelay.services.submit_job import Submission
from pikarelay.settings import CallbackSettings, DiscordSettings, HttpSettings, Settings
from pikarelay.store.files import UploadFolder
from pikarelay.store.sql import SqlStore
from pikarelay.system import SystemClock, SystemIds, free_bytes, raise_descriptor_limit
from pikarelay.workers.callback_dispatcher import CallbackDispatcher
from pikarelay.workers.copier import Copier
from pikarelay.workers.gateway_listener import GatewayListener
from pikarelay.workers.health_keeper import HealthKeeper
from pikarelay.workers.key_keeper import KeyKeeper
from pikarelay.workers.lifeline import Lifeline
from pikarelay.workers.presser import Presser
from pikarelay.workers.pruner import Pruner
from pikarelay.workers.reconciler import Reconciler
from pikarelay.workers.session_keeper import SessionKeeper

#: What a server has open beside its clients' connections: files, Discord, receivers.
_OTHER_DESCRIPTORS = 1024

_log = structlog.get_logger(__name__)

USER_AGENT = f"pikarelay/{__version__} (+https://github.com/pikarelay/pikarelay)"


class Offices(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line works with, beside a server or without one."""

    store: SqlStore
    tokens: TokenOffice
    accounts: AccountOffice
    callers: CallerOffice
    health: HealthOffice
    orphans: OrphanKeeper
    callbacks: CallbackOffice
    copies: CopyOffice
    keys: KeyRotation

    @classmethod
    def of(
        cls,
        store: SqlStore,
        clock: SystemClock,
        ids: SystemIds,
        guard: TargetGuard,
        files_at: str | None,
        watcher: AccountsWatcher | None = None,
        board: Board | None = None,
    ) -> "Offices":
        """`board` is that of a server in this process, if there is one: it is told what has become due."""
        board = board or Board()
        return cls(
            store=store,
            tokens=TokenOffice(store, clock, ids, secrets.token_bytes),
            accounts=AccountOffice(store, clock, watcher),
            orphans=OrphanKeeper(store, EventRecorder(store, board, clock, ids, files_at)),
            callers=CallerOffice(store),
            health=HealthOffice(store, clock),
            callbacks=CallbackOffice(store, guard, clock, ids, secrets.token_bytes, board.callback_due.set),
            copies=CopyOffice(store, clock, board.copy_due.set),
            keys=KeyRotation(store.keys, clock),
        )


@asynccontextmanager
async def open_offices(settings: Settings) -> AsyncIterator[Offices]:
    """Open what administration needs, without a server."""
    prepare_store(settings)
    clock = SystemClock()
    async with open_store(settings) as store, NameServers.open(settings.callbacks.nameservers) as names:
        guard = _target_guard(settings.callbacks, names)
        yield Offices.of(store, clock, SystemIds(clock.now), guard, files_at(settings))


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[tuple[Server, Offices]]:
    """Bind the port, open the store and the outbound sessions, and put the services together."""
    check_database(settings)
    prepare_store(settings)
    clock, board = SystemClock(), Board()
    ids = SystemIds(clock.now)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_server_store(settings, clock))
        uploads = UploadFolder(settings.store.data_folder / "uploads", settings.store.uploads_quota)
        uploads.sweep()
        recorder = EventRecorder(store, board, clock, ids, files_at(settings))
        habits, floor = BotHabits(), PressFloor()
        deadlines = Deadlines(
            first_message=settings.discord.first_message_within, whole_job=settings.discord.job_within
        )
        view = ChannelView(store, clock, deadlines)
        orphans = OrphanKeeper(store, recorder)
        observer = SightingObserver(store, view, recorder, orphans, habits, floor, clock)

        # Sightings come from sessions that the listener opens by way of the accounts, which hand them to the listener.
        async def on_sighting(identity: Identity, sighting: Sighting) -> None:
            await listener.on_sighting(identity, sighting)

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
        )
        history = HistoryReader(store, discord, observer, clock)
        listener = GatewayListener(store, discord, view, observer, history, clock)
        sender = PressSender(store, discord, recorder, board, clock, uploads, floor)
        presser = Presser(store, view, history, sender, habits, board, clock)
        submission = Submission(store, board, clock, presser, settings.discord.answer_wait)
        links = LinkRefresher(store, discord, clock)
        mirror = await stack.enter_async_context(open_mirror(settings.mirror))
        operations = PikaOperations(
            store=store,
            board=board,
            authenticator=(authenticator := Authenticator(store, clock)),
            answer_once=AnswerOnce(store, clock),
            press_button=PressButton(store, submission, clock, ids),
            run_command=RunCommand(store, submission, clock, ids, random.random),
            recorder=recorder,
            open_sink=uploads.open_sink,
            links=links,
            files_at=files_at(settings),
        )
        names = await stack.enter_async_context(NameServers.open(settings.callbacks.nameservers))
        guard = _target_guard(settings.callbacks, names)
        offices = Offices.of(store, clock, ids, guard, files_at(settings), listener, board)
        account_operations = AccountOperations(
            authenticator, offices.accounts, offices.callers, offices.health
        )
        callback_operations = CallbackOperations(authenticator, offices.callbacks, clock)
        table = [*operations.table(), *account_operations.table(), *callback_operations.table()]
        readiness = Readiness(
            store,
            lambda: free_bytes(settings.store.data_folder),
            settings.store.least_free,
            time.monotonic,
        )
        more = [*Files(FileFinder(store, links, mirror, board, clock)).table(), *health(readiness)]
        metrics = MetricsDesk(settings.metrics)
        api = Api(RouteTable([*table, *more, *pages(openapi_document(table, __version__))]), metrics.meter)
        limits = Limits(connections=_connections(settings.http))
        http = HttpServer(CloseUnread(api), settings.http.host, settings.http.port, limits)
        stack.callback(http.close)
        own = metrics.open(
            stack,
            store=store,
            clock=clock,
            readiness=readiness,
            tally=board.tally,
            discord=discord,
            main=http,
            data_folder=settings.store.data_folder,
        )
        callback_session = await stack.enter_async_context(_callback_session(settings.callbacks, names, own))
        delivery = CallbackDelivery(
            store,
            HttpCallbackSender(callback_session, clock, total_seconds=settings.callbacks.total_seconds),
            board,
            clock,
            settings.callbacks.schedule,
            random.random,
        )
        outbox = CallbackDispatcher(store, delivery, board, clock)
        workers: tuple[Worker, ...] = (
            metrics,
            # First to start and last to stop, around the sessions that it keeps.
            SessionKeeper(store, discord, clock),
            discord,
            HealthKeeper(store, discord, clock),
            listener,
            presser,
            outbox,
            Lifeline(JobExpirer(store, history, recorder, board, clock, deadlines), clock),
            Reconciler(store, view, history, clock, random.random),
            KeyKeeper(offices.keys, clock),
            Pruner(
                CleanUp(
                    store,
                    uploads,
                    clock,
                    settings.store.keep_jobs,
                    CopyPruner(store, mirror, removes=settings.mirror.remove_with_jobs),
                ),
                clock,
            ),
        )
        if mirror is not None:
            source = Cdn(
                await stack.enter_async_context(cdn_session(settings.discord)),
                largest=settings.mirror.max_bytes,
            )
            copier = FileCopier(
                store,
                links,
                source,
                mirror,
                board,
                clock,
                random.random,
                total_seconds=settings.mirror.total_seconds,
            )
            workers = (*workers, Copier(store, copier, board, clock))
        yield Server(http, workers, outbox, readiness.end, board.hurry), offices


def _connections(settings: HttpSettings) -> int:
    """Return how many connections may be open at once: as many as set, or as this process has descriptors for."""
    wanted = settings.max_connections
    allowed = raise_descriptor_limit(wanted + _OTHER_DESCRIPTORS)
    possible = min(wanted, allowed - min(_OTHER_DESCRIPTORS, allowed // 2))
    if possible < wanted:
        _log.warning("server.few_descriptors", descriptors=allowed, connections=possible)
    return possible


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


def _callback_session(
    settings: CallbackSettings, names: Lookup, own: Sequence[HttpServer]
) -> aiohttp.ClientSession:
    """Open the session that may reach callers' servers, and never our own."""
    policy = AddressPolicy(
        exceptions=settings.allow_networks,
        nat64=settings.nat64,
        own=frozenset((ip_address(http.host), http.port) for http in own),
    )
    return open_callback_session(
        policy, names, user_agent=USER_AGENT, connect_seconds=settings.connect_seconds
    )


def _target_guard(settings: CallbackSettings, names: Lookup) -> GuardedResolver:
    """Return what says, before anything is sent, whether a target is closed."""
    policy = AddressPolicy(exceptions=settings.allow_networks, nat64=settings.nat64)
    return GuardedResolver(policy, names, timeout_seconds=DNS_SECONDS)
