"""
A backup as a folder: the database at one moment, the uploads that its jobs have, and a manifest of both.

    backup/
        pikarelay.sqlite3     one state of the database, whole, without a log beside it
        uploads/<key>         as in the data folder
        manifest.json         written last: a folder without one is no backup

The root key is never in it. Whoever has a backup and no root key has no Discord token.

Making one reads and never waits for a writer, nor lets one wait. Putting one back never replaces anything: the database gets
its name last, and only where there is none.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from pikarelay.store.aside import made_aside, sweep_aside
from pikarelay.store.sqlite_file import check_structure, copy_database, upload_keys

DATABASE, UPLOADS, MANIFEST = "pikarelay.sqlite3", "uploads", "manifest.json"
_FORMAT = 1
_PIECE = 1024 * 1024


class BackupRefused(Exception):
    """A backup cannot be made or put back as asked; nothing was replaced. The message says why."""


class KeptFile(msgspec.Struct, frozen=True):
    """A file of a backup, by its path in it."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a backup."""

    format: int = _FORMAT
    #: Of the program that made it, and of the database's schema.
    version: str
    schema: str
    created: datetime
    #: Of the root key that it takes to open the secrets. None: there are none.
    root_key_fingerprint: str | None
    files: tuple[KeptFile, ...]
    #: Uploads that jobs in the database have, and that were not there: gone since with their jobs, or lost before.
    missing: tuple[str, ...] = ()


class Draft:
    """A backup that is being made. It is none before `finish`."""

    def __init__(self, folder: Path) -> None:
        """Raise `BackupRefused` when there is something in the folder already. It is made when it is not there."""
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BackupRefused(
                f"There is something at {folder} already. Name a folder that is not there yet."
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._files: list[KeptFile] = []
        self._missing: list[str] = []

    @property
    def database(self) -> Path:
        """Where the copy of the database is."""
        return self._folder / DATABASE

    def take_database(self, source: Path) -> None:
        """Copy the database as it is at this moment, and look whether the copy is whole. Raises `DatabaseDamaged`."""
        os.close(os.open(self.database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        copy_database(source, self.database)
        check_structure(self.database)
        self._files.append(_facts(self._folder, DATABASE))

    def take_uploads(self, source: Path) -> None:
        """Copy the uploads that the copied database knows."""
        (self._folder / UPLOADS).mkdir(mode=0o700)
        for key in upload_keys(self.database):
            try:
                file = _copied(source / key, self._folder / UPLOADS / key, f"{UPLOADS}/{key}")
            except FileNotFoundError:
                self._missing.append(key)
            else:
                self._files.append(file)

    def finish(self, *, version: str, schema: str, created: datetime, fingerprint: str | None) -> Manifest:
        """Write the manifest, and return it once all of the backup is on the disk."""
        manifest = Manifest(
            version=version,
            schema=schema,
            created=created,
            root_key_fingerprint=fingerprint,
            files=tuple(self._files),
            missing=tuple(self._missing),
        )
        for folder in (self._folder / UPLOADS, self._folder):
            _sync_folder(folder)
        aside = self._folder / f".{MANIFEST}"
        with aside.open("xb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        aside.rename(self._folder / MANIFEST)
        _sync_folder(self._folder)
        return manifest


def verified(folder: Path) -> Manifest:
    """Return a backup's manifest, after reading all that it names. Raises `BackupRefused` for what is not as it says."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BackupRefused(f"There is no backup in {folder}: {MANIFEST} is missing.") from None
    except OSError as error:
        raise BackupRefused(f"The backup {folder} cannot be read: {error.strerror}.") from None
    except msgspec.MsgspecError:
        raise BackupRefused(f"{folder / MANIFEST} is not what a backup says of itself.") from None
    if manifest.format != _FORMAT:
        raise BackupRefused(
            f"The backup {folder} has format {manifest.format}, which this version does not know."
        )
    if not any(file.path == DATABASE for file in manifest.files):
        raise BackupRefused(f"The backup {folder} has no database.")
    for file in manifest.files:
        if not _is_place(file.path):
            raise BackupRefused(f"The backup {folder} names {file.path!r}, which is no file of a backup.")
        try:
            found = _facts(folder, file.path)
        except OSError as error:
            raise BackupRefused(f"{folder / file.path} cannot be read: {error.strerror}.") from None
        if found != file:
            raise BackupRefused(f"{folder / file.path} is not what was backed up: its digest is another.")
    return manifest


@contextmanager
def putting_back(folder: Path, manifest: Manifest, database: Path, uploads: Path) -> Iterator[Path]:
    """
    Yield a copy of the database, beside its place, that may be worked on.

    When the block ends well, the uploads are put in place, and then the copy gets its name; else nothing is left of it.
    Raises `BackupRefused` when there is a database already, before and, should one have come meanwhile, after. An upload
    that is there already is the same one: its name is chance.
    """
    _refuse_to_replace(database)
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A restore that was killed may have left as much as this one needs.
    sweep_aside(database)
    with made_aside(database) as aside:
        _fill(folder / DATABASE, aside)
        yield aside
        _refuse_without_its_log(aside)
        uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in manifest.files:
            if file.path != DATABASE:
                _put_upload(folder / file.path, uploads / Path(file.path).name, file)
        _sync_folder(uploads)
        _sync_file(aside)
        try:
            database.hardlink_to(aside)
        except FileExistsError:
            _refuse_to_replace(database)
    _sync_folder(database.parent)


def _refuse_without_its_log(aside: Path) -> None:
    # A disk that was full when it was closed leaves there what was done to it, and its name alone is what it would get.
    log = aside.with_name(f"{aside.name}-wal")
    if log.exists() and log.stat().st_size:
        raise BackupRefused(
            f"What was changed in the copy of the database could not be written to {aside.parent}. Is the disk full?"
        )


def _refuse_to_replace(database: Path) -> None:
    # A log without its file would be taken for the new file's.
    for path in (database, database.with_name(f"{database.name}-wal")):
        if path.exists():
            raise BackupRefused(f"There is {path} already. Nothing was replaced; move it away first.")


def _put_upload(source: Path, target: Path, file: KeptFile) -> None:
    aside = target.with_name(f"{secrets.token_hex(16)}.part")
    try:
        _copied(source, aside, file.path)
        try:
            target.hardlink_to(aside)
        except FileExistsError:
            if _facts(target.parent, target.name).sha256 != file.sha256:
                raise BackupRefused(f"There is another {target} already. Nothing was replaced.") from None
    finally:
        aside.unlink(missing_ok=True)


def _is_place(path: str) -> bool:
    """Whether it is a file of a backup, and nothing that leads out of one."""
    return path == DATABASE or (path.startswith(f"{UPLOADS}/") and path == f"{UPLOADS}/{Path(path).name}")


def _copied(source: Path, target: Path, path: str) -> KeptFile:
    """Copy a file to a new one, synced, and return what it is."""
    with source.open("rb"):
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    size, digest = _fill(source, target)
    return KeptFile(path, size, digest)


def _fill(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file into one that is empty, synced, and return its size and digest."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as read, target.open("rb+") as write:
        for piece in _pieces(read):
            digest.update(piece)
            size += write.write(piece)
        write.flush()
        os.fsync(write.fileno())
    shutil.copystat(source, target)
    target.chmod(0o600)
    return size, digest.hexdigest()


def _facts(folder: Path, path: str) -> KeptFile:
    digest, size = hashlib.sha256(), 0
    with (folder / path).open("rb") as read:
        for piece in _pieces(read):
            digest.update(piece)
            size += len(piece)
    return KeptFile(path, size, digest.hexdigest())


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _sync_file(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
