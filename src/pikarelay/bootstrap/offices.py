"""Those who administer. Nothing of a server is imported here, and no HTTP client: a command begins at once."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from pikarelay.bootstrap.stores import open_store, prepare_store
from pikarelay.callbacks.addresses import AddressPolicy
from pikarelay.callbacks.guard import GuardedLookup
from pikarelay.callbacks.names import Lookup, NameServers
from pikarelay.contract.bodies import FILES_PATH
from pikarelay.services.account_health import HealthOffice
from pikarelay.services.board import Board
from pikarelay.services.configure_account import AccountOffice
from pikarelay.services.configure_caller import CallerOffice
from pikarelay.services.issue_token import TokenOffice
from pikarelay.services.keep_orphans import OrphanKeeper
from pikarelay.services.manage_callbacks import CallbackOffice
from pikarelay.services.manage_copies import CopyOffice
from pikarelay.services.ports import AccountsWatcher, TargetGuard
from pikarelay.services.record_event import EventRecorder
from pikarelay.services.rotate_keys import KeyRotation
from pikarelay.settings import CallbackSettings, Settings
from pikarelay.store.sql import SqlStore
from pikarelay.system import SystemClock, SystemIds


class Offices(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line works with, beside a server or without one."""

    store: SqlStore
    tokens: TokenOffice
    accounts: AccountOffice
    health: HealthOffice
    callers: CallerOffice
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
        callers = CallerOffice(store, clock, ids, watcher)
        return cls(
            store=store,
            tokens=TokenOffice(store, clock, ids, secrets.token_bytes),
            accounts=AccountOffice(store, clock, watcher),
            health=HealthOffice(store, clock),
            orphans=OrphanKeeper(store, EventRecorder(store, board, clock, ids, files_at)),
            callers=callers,
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
        guard = target_guard(settings.callbacks, names)
        yield Offices.of(store, clock, SystemIds(clock.now), guard, files_at(settings))


def files_at(settings: Settings) -> str | None:
    """Return what links to copies begin with. None without a mirror."""
    mirror = settings.mirror
    return None if mirror.target is None or mirror.public_url is None else f"{mirror.public_url}{FILES_PATH}/"


def target_guard(settings: CallbackSettings, names: Lookup) -> GuardedLookup:
    """Return what says, before anything is sent, whether a target is closed."""
    policy = AddressPolicy(exceptions=settings.allow_networks, nat64=settings.nat64)
    return GuardedLookup(policy, names)
