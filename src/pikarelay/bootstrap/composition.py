"""A whole server, put together."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pikarelay.bootstrap.api import open_health, open_http
from pikarelay.bootstrap.metrics import MetricsDesk
from pikarelay.bootstrap.node import open_node
from pikarelay.bootstrap.offices import Offices
from pikarelay.bootstrap.server import Server, Worker
from pikarelay.bootstrap.shares import take_shares
from pikarelay.bootstrap.stores import check_database, check_roles, prepare_store
from pikarelay.bootstrap.workers import Works, open_works
from pikarelay.jobs.guesses import Guesses
from pikarelay.jobs.messages import Sighting
from pikarelay.services.authenticate import Authenticator
from pikarelay.services.ports import Identity
from pikarelay.settings import Settings
from pikarelay.workers.use_keeper import UseKeeper


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator[tuple[Server, Offices]]:
    """Bind the port, open the store and the outbound sessions, and put together what the node's role asks for."""
    check_roles(settings)
    check_database(settings)
    prepare_store(settings)
    works: Works | None = None

    # Sightings come from sessions that the listener opens by way of the accounts, which hand them to the listener.
    async def on_sighting(identity: Identity, sighting: Sighting) -> None:
        if works is not None:
            await works.listener.on_sighting(identity, sighting)

    async with AsyncExitStack() as stack:
        shares = take_shares(settings.http.max_connections)
        node = await open_node(settings, shares, stack, on_sighting)
        if settings.node.is_worker:
            works = await open_works(node, stack)
        metrics = MetricsDesk(settings.metrics)
        authenticator = Authenticator(node.store, node.clock, Guesses(settings.http.unauthorized_per_minute))
        if settings.node.is_api:
            http = open_http(node, works, authenticator, metrics.meter)
        else:
            http = open_health(node)
        stack.callback(http.close)
        own = metrics.open(
            stack,
            store=node.store,
            clock=node.clock,
            readiness=node.readiness,
            tally=node.board.tally,
            discord=node.discord,
            main=http,
            data_folder=settings.store.data_folder,
        )
        workers: tuple[Worker, ...] = (metrics, *node.loops, UseKeeper(authenticator, node.clock))
        outbox: Worker | None = None
        if works is not None:
            outbox = await works.open_outbox(node, stack, own)
            workers = (*workers, *works.first, outbox, *works.then)
        yield Server(http, workers, outbox, node.endings, node.board.hurry), node.offices
