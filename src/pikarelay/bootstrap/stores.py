"""Which store the settings mean: made, migrated, opened."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import structlog

from pikarelay.services.ports import Clock
from pikarelay.settings import Settings, SettingsError
from pikarelay.settings.values import DatabaseAddress, a_database
from pikarelay.store.aside import sweep_aside
from pikarelay.store.files import UploadFolder, sweep
from pikarelay.store.migrations import is_postgresql, migrate, schema_state, sqlite_path, sqlite_url
from pikarelay.store.presence import announce
from pikarelay.store.root_key import (
    KeySource,
    KeyUnusable,
    RootKey,
    load_root_key,
    make_key_file,
    read_key_file,
)
from pikarelay.store.sql import SqlStore
from pikarelay.store.sqlite import SqliteStore
from pikarelay.store.sqlite_file import READ_WHOLE_BELOW, check_structure
from pikarelay.store.uploads import SharedUploads, Uploads

_log = structlog.get_logger(__name__)


def database_url(settings: Settings) -> str:
    """Return the database's address, with its password. Raises `SettingsError` for what is in `store.database_file`."""
    store = settings.store
    if store.database_file is None:
        found = store.database
    else:
        try:
            found = a_database(store.database_file.read_text(encoding="utf-8").strip())
        except OSError as error:
            raise SettingsError([f"store.database_file cannot be read: {error.strerror}"]) from None
        except (TypeError, ValueError) as error:
            raise SettingsError([f"what store.database_file holds {error}"]) from None
    if isinstance(found, DatabaseAddress):
        return found.reveal()
    return sqlite_url(found or store.database_path)


def prepare_store(settings: Settings) -> None:
    """Make the data folder and, on the very first start, the schema. An old schema is left to `migrate_store`."""
    settings.store.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = database_url(settings)
    if schema_state(url).current is None:
        migrate(url)


def migrate_store(settings: Settings) -> str:
    """Bring the database to the current schema, and say in a sentence what that took."""
    settings.store.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = database_url(settings)
    before = schema_state(url)
    migrate(url)
    if before.is_current:
        return f"The schema is current ({before.needed}); nothing to do."
    if before.is_ahead:
        return f"The schema ({before.current}) is newer than this version's ({before.needed}), and serves it; nothing to do."
    if before.current is None:
        return f"The schema went from nothing to {before.needed}."
    done = f"The schema went from {before.current} to {before.needed}."
    if schema_state(url).serves(before.current):
        return f"{done} Servers of the version before can go on, and be started again."
    return f"{done} Servers of older versions cannot work on it: end them."


async def move_store(settings: Settings, source: Path | None, say: Callable[[str], None]) -> None:
    """Copy the SQLite file (None: the one in the data folder), and the uploads beside it, to the configured PostgreSQL database, telling how it goes."""
    url = database_url(settings)
    if not is_postgresql(url):
        raise SettingsError(
            ["store.database is no PostgreSQL address: set it to where the store is to be moved"]
        )
    from pikarelay.store.moving import move

    def progress(table: str, rows: int) -> None:
        say(f"{table}: {rows} rows")

    path = source or settings.store.database_path
    for moved in await move(path, url, path.with_name("uploads"), progress):
        say(f"{moved.table}: {moved.rows} rows are the same in both, SHA-256 {moved.digest}")


def check_roles(settings: Settings) -> None:
    """Raise `SettingsError` for roles that need others to see the store, when only this process does."""
    if not (settings.node.is_api and settings.node.is_worker) and not is_shared(settings):
        raise SettingsError(
            [
                f"node.role is {settings.node.role}, which takes a PostgreSQL database: set store.database, or node.role to all"
            ]
        )


def is_shared(settings: Settings) -> bool:
    """Whether other nodes may work with the same store."""
    return is_postgresql(database_url(settings))


def open_uploads(settings: Settings, store: SqlStore, clock: Clock, at_once: int) -> Uploads:
    """
    Return where uploaded files are kept: beside an embedded database, or in one that others see. `at_once` of them may be
    under way.
    """
    folder = UploadFolder(_upload_folder(settings), settings.store.uploads_quota, at_once=at_once)
    if is_shared(settings):
        return SharedUploads(folder, store, clock, settings.store.uploads_quota)
    return folder


def _upload_folder(settings: Settings) -> Path:
    # Apart from the uploads of an embedded database that was here before: what passes through is swept.
    return settings.store.data_folder / ("receiving" if is_shared(settings) else "uploads")


def key_source(settings: Settings) -> KeySource:
    """Return where the root key is to be looked for."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    key = settings.store.root_key
    return KeySource(
        folder=settings.store.data_folder,
        file=settings.store.root_key_file,
        text=None if key is None else key.reveal(),
        credentials=Path(credentials) if credentials else None,
    )


def check_database(settings: Settings) -> None:
    """Raise `DatabaseDamaged` for a file that a server must not work on. A large one is not read as a whole."""
    path = sqlite_path(database_url(settings))
    if path is None or not path.exists():
        return
    size = path.stat().st_size
    if size < READ_WHOLE_BELOW:
        check_structure(path)
    else:
        _log.info("store.not_read_whole", bytes=size, advice="pikarelay check reads all of it")


def _key_in(file: Path) -> RootKey:
    sweep_aside(file)
    if not file.exists():
        make_key_file(file)
    return read_key_file(file)


async def change_root_key(settings: Settings, file: Path, say: Callable[[str], None]) -> None:
    """Hang the data keys on the root key in `file`, which is made when it is not there, telling what there is to do."""
    async with open_store(settings) as store:
        old = store.keys.root
        new = _key_in(file)
        if new.fingerprint == old.fingerprint:
            raise KeyUnusable(f"The root key in {file} is the one in use; nothing to do.")
        # Before it is done, so that whoever finds it done and nothing said knows the key by its name.
        say(f"The new root key is in {file}, its fingerprint {new.fingerprint}.")
        count = await store.keys.hang_on(new)
    say(
        f"{count} data {'key hangs' if count == 1 else 'keys hang'} on it from now on, and no more on that from {old.source}."
    )
    say(
        f"Set store.root_key_file to {file}, start all servers again, and keep the old key as long as backups need it."
    )


@asynccontextmanager
async def open_server_store(
    settings: Settings, clock: Clock
) -> AsyncIterator[tuple[SqlStore, datetime | None]]:
    """
    Open the configured store for a server, and say since when no server was there but this and later ones; None: unknown.

    Raises what `open_store` raises.

    The first server on a database file takes up at once what a dead one had claimed; everybody else waits for the claims
    to run out.
    """
    path = sqlite_path(database_url(settings))
    # Before the database is open here.
    await asyncio.to_thread(_sweep_aside, settings, path)
    async with open_store(settings) as store:
        uploads = _upload_folder(settings)
        if path is None:
            with announce(uploads) as presence:
                if presence.is_alone:
                    await asyncio.to_thread(_sweep_uploads, uploads, is_on_the_way=True)
                await asyncio.to_thread(presence.settle)
                yield store, None
            return
        with announce(path) as presence:
            alone_since = clock.now() if presence.is_alone else None
            if presence.is_alone:
                await asyncio.to_thread(_sweep_uploads, uploads)
                callbacks = await store.release_claims(clock.now())
                copies = await store.release_copies(clock.now())
                if callbacks or copies:
                    _log.info("claims.taken_up", callbacks=callbacks, copies=copies)
            await asyncio.to_thread(presence.settle)
            yield store, alone_since


def _sweep_aside(settings: Settings, database: Path | None) -> None:
    places = [key_source(settings).default, *([] if database is None else [database])]
    if count := sum(sweep_aside(place) for place in places):
        _log.info("store.swept", files=count)


def _sweep_uploads(folder: Path, *, is_on_the_way: bool = False) -> None:
    if count := sweep(folder, is_on_the_way=is_on_the_way):
        _log.info("uploads.swept", files=count)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[SqlStore]:
    """Open the configured store. Raises what the stores' own `open` and `load_root_key` raise; nothing was changed then."""
    url = database_url(settings)
    root_key = load_root_key(key_source(settings), expected=schema_state(url).root_fingerprint)
    path = sqlite_path(url)
    if path is not None:
        async with SqliteStore.open(path, root_key=root_key) as embedded:
            yield embedded
        return
    # Its driver is an extra, and two megabytes.
    from pikarelay.store.postgres import PostgresStore

    connections = settings.store.database_connections
    async with PostgresStore.open(url, root_key=root_key, connections=connections) as store:
        yield store
