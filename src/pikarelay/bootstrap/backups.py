"""Backups of an embedded store: made beside a server at work, and put back where there is none."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from pikarelay import __version__
from pikarelay.bootstrap.settling import settled
from pikarelay.bootstrap.stores import database_url, key_source
from pikarelay.settings import Settings
from pikarelay.store.backup import DATABASE, BackupRefused, Draft, Manifest, putting_back, verified
from pikarelay.store.migrations import check_can_migrate, migrate, schema_state, sqlite_path, sqlite_url
from pikarelay.store.root_key import RootKey, load_root_key
from pikarelay.store.sqlite import SqliteStore, begin_anew
from pikarelay.system import SystemClock

Say = Callable[[str], None]


async def back_up(settings: Settings, folder: Path, say: Say) -> None:
    """Make a backup in `folder`. Raises `BackupRefused`, `DatabaseDamaged` or OSError."""
    path = _embedded(settings)
    if not path.exists():
        raise BackupRefused(f"There is no database at {path}.")
    # Its fingerprint is asked for now, so that nobody finds out later that the key which they keep is another one.
    root = load_root_key(key_source(settings), expected=schema_state(sqlite_url(path)).root_fingerprint)
    manifest = await asyncio.to_thread(_make, settings, path, folder)
    uploads = len(manifest.files) - 1
    size = sum(file.size for file in manifest.files)
    say(f"{folder} is a backup of {path}: {size} bytes, {uploads} {_uploads(uploads)}.")
    if manifest.missing:
        count = len(manifest.missing)
        say(
            f"{count} more {_uploads(count)} of jobs {'was' if count == 1 else 'were'} not there; the manifest names them."
        )
    say(
        f"The root key is NOT in it. Keep the one from {root.source} (fingerprint {root.fingerprint}) in another place:"
        " without it the Discord tokens in this backup cannot be read by anybody."
    )


async def restore(
    settings: Settings, folder: Path, say: Say, *, without_root_key: bool, revoke_tokens: bool = False
) -> None:
    """Put a backup back. Raises `BackupRefused`, what `load_root_key` raises, `SchemaOutdated` or OSError."""
    path = _embedded(settings)
    manifest = await asyncio.to_thread(verified, folder)
    # Before anything is made, and of the backup itself, so that it is what is named.
    await asyncio.to_thread(check_can_migrate, sqlite_url(folder / DATABASE))
    root = _root_key(settings, manifest, without_root_key=without_root_key)
    with putting_back(folder, manifest, path, settings.store.data_folder / "uploads") as aside:
        url = sqlite_url(aside)
        await asyncio.to_thread(migrate, url)
        if manifest.root_key_fingerprint not in {None, root.fingerprint}:
            await begin_anew(aside, root, SystemClock().now())
        async with SqliteStore.open(aside, root_key=root) as store:
            found = await settled(store, revoke_tokens=revoke_tokens)
    for line in (f"{path} is as it was at {manifest.created:%Y-%m-%dT%H:%M:%SZ}.", *found):
        say(line)
    say(f"The root key is the one from {root.source} (fingerprint {root.fingerprint}).")


def _make(settings: Settings, path: Path, folder: Path) -> Manifest:
    created = SystemClock().now()
    draft = Draft(folder)
    draft.take_database(path)
    draft.take_uploads(settings.store.data_folder / "uploads")
    # Of the copy: a key may have been replaced since.
    state = schema_state(sqlite_url(draft.database))
    return draft.finish(
        version=__version__,
        schema=state.current or "none",
        created=created,
        fingerprint=state.root_fingerprint,
    )


def _root_key(settings: Settings, manifest: Manifest, *, without_root_key: bool) -> RootKey:
    expected = None if without_root_key else manifest.root_key_fingerprint
    settings.store.data_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return load_root_key(key_source(settings), expected=expected)


def _embedded(settings: Settings) -> Path:
    path = sqlite_path(database_url(settings))
    if path is None:
        raise BackupRefused(
            "The database is PostgreSQL's, and the uploads are in it: back it up with pg_dump, put it back with pg_restore and"
            " `pikarelay settle`, and keep the root key in another place."
        )
    return path


def _uploads(count: int) -> str:
    return "upload" if count == 1 else "uploads"
