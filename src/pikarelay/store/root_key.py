"""
Where the root key comes from.

It is 32 bytes, kept outside the database: in a file that is named, in a setting, in a credential that the service manager hands
over, or else in `root.key` in the data folder. A new server makes that last one, and nobody ever makes another: a database that
has secrets knows the fingerprint of the key which they hang on, and opens with that one only.
"""

import contextlib
import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import NamedTuple

from pikarelay.store.aside import made_aside

KEY_BYTES = 32

#: What the service manager's credential is called.
CREDENTIAL = "pikarelay-root-key"
#: Longer than any form of a key.
_READ_BYTES = 1024


class KeyUnusable(Exception):
    """The root key cannot be used as it is. The message says what to do about it."""


class WrongKey(Exception):
    """The database was sealed with another root key than the one we were given."""

    def __init__(self, source: str, *, given: str, expected: str) -> None:
        super().__init__(
            f"The root key from {source} has the fingerprint {given}, but this database was sealed with the one"
            f" of fingerprint {expected}. Put that one back."
        )
        self.source = source
        self.given = given
        self.expected = expected


class RootKey:
    """The 32 bytes that everything else hangs on. Printing it shows its source and fingerprint only."""

    __slots__ = ("_bytes", "source")

    def __init__(self, key: bytes, source: str) -> None:
        if len(key) != KEY_BYTES:
            raise KeyUnusable(f"The root key from {source} has {len(key)} bytes; it must have {KEY_BYTES}.")
        self._bytes = key
        #: The file or setting it came from, for a person.
        self.source = source

    def __repr__(self) -> str:
        return f"RootKey(source={self.source!r}, fingerprint={self.fingerprint!r})"

    def reveal(self) -> bytes:
        """Return the key itself."""
        return self._bytes

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that tell keys apart and say nothing of the key."""
        return hashlib.sha256(b"pikarelay root key\0" + self._bytes).hexdigest()[:16]


class KeySource(NamedTuple):
    """Where to look for the root key; what is None is not looked at."""

    #: The data folder, whose `root.key` is the last resort.
    folder: Path
    file: Path | None = None
    #: 64 hex digits.
    text: str | None = None
    #: The folder of the service manager's credentials. Used when the credential is there.
    credentials: Path | None = None

    @property
    def default(self) -> Path:
        """The file that is made on the first start."""
        return self.folder / "root.key"


def load_root_key(source: KeySource, *, expected: str | None = None) -> RootKey:
    """
    Return the root key: from the file, else the text, else the credential, else `root.key` in the data folder.

    `expected` is the fingerprint that the database knows. Without one there is nothing to open yet, and a `root.key` that is
    not there is made. Raises `WrongKey`, and `KeyUnusable` for a key that is missing, that others may read, that belongs to
    another user, or that is anything but 32 bytes or 64 hex digits.
    """
    try:
        key = _found(source, may_make=expected is None)
    except KeyUnusable as error:
        if expected is None:
            raise
        raise KeyUnusable(
            f"{error} This database was sealed with the one of fingerprint {expected}."
        ) from error
    if expected is not None and key.fingerprint != expected:
        raise WrongKey(key.source, given=key.fingerprint, expected=expected)
    return key


def read_key_file(path: Path) -> RootKey:
    """Return the key in a file of ours. Raises `KeyUnusable`."""
    content, facts = _read(path)
    if facts.st_uid != os.geteuid():
        raise KeyUnusable(
            f"The root key {path} belongs to user id {facts.st_uid}, and this process runs as {os.geteuid()}."
            f" Give it to that user: chown {os.geteuid()} {path}"
        )
    if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyUnusable(
            f"The root key {path} has mode {stat.S_IMODE(facts.st_mode):04o}, so others may use it."
            f" Close it: chmod 600 {path}"
        )
    return _key(content, path)


def make_key_file(path: Path) -> None:
    """
    Make the key appear whole or not at all, once: written aside, synced, then linked to its name.

    Of two processes that start together, the second finds the name taken and uses the first one's key.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with made_aside(path) as aside:
        with aside.open("wb") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(aside)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _found(source: KeySource, *, may_make: bool) -> RootKey:
    if source.file is not None:
        return read_key_file(source.file)
    if source.text is not None:
        return RootKey(_from_hex(source.text.encode(), "the setting"), "the setting")
    if source.credentials is not None and (handed := source.credentials / CREDENTIAL).exists():
        return _read_credential(handed)
    if not source.default.exists():
        if not may_make:
            raise KeyUnusable(f"There is no root key at {source.default}. Put it back.")
        make_key_file(source.default)
    return read_key_file(source.default)


def _read_credential(path: Path) -> RootKey:
    """Who owns it is the service manager's business: it is root's, with an access list for this process."""
    content, facts = _read(path)
    if facts.st_mode & stat.S_IRWXO:
        raise KeyUnusable(
            f"The root key {path} has mode {stat.S_IMODE(facts.st_mode):04o}, so everybody may use it."
        )
    return _key(content, path)


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    """Return a file's beginning and its facts, taken of the open file so that nobody can swap it in between."""
    try:
        # A pipe of that name would keep us waiting otherwise.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                raise KeyUnusable(f"The root key {path} is not a file.")
            return stream.read(_READ_BYTES), facts
    except IsADirectoryError:
        raise KeyUnusable(f"The root key {path} is a directory; it must be a file.") from None
    except OSError as error:
        raise KeyUnusable(f"The root key {path} cannot be read: {error.strerror}.") from error


def _key(content: bytes, path: Path) -> RootKey:
    key = content if len(content) == KEY_BYTES else _from_hex(content, str(path))
    return RootKey(key, str(path))


def _from_hex(content: bytes, source: str) -> bytes:
    try:
        return bytes.fromhex(content.decode("ascii"))
    except ValueError:
        # The reason would quote the key.
        raise KeyUnusable(f"The root key from {source} is neither 32 bytes nor 64 hex digits.") from None
