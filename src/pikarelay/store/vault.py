"""
Seals secrets, so that a copy of the database gives none away, and a row cannot be passed off as another.

Two layers. The *root key*, 32 bytes that are never in the database, seals *data keys*, which are; a data key seals
the secrets. Both by AES-256-GCM, each time with a fresh nonce, bound to the table, the row, the column and the number
of the key: a sealed value that was moved does not open. The root key counts as key number 0.

A sealed value is: one byte with the format's version, four with the key's number (big-endian), twelve of nonce, then
the ciphertext with its tag.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT = 1
_KEY_BYTES = 32
_NONCE_BYTES = 12
_HEAD_BYTES = 5
_ROOT = 0


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


class Unsealable(Exception):
    """A sealed value was changed, cut, moved, or sealed by a key that is not there."""


class RootKey:
    """The 32 bytes that everything else hangs on. Printing it shows its source and fingerprint only."""

    __slots__ = ("_bytes", "source")

    def __init__(self, key: bytes, source: str) -> None:
        if len(key) != _KEY_BYTES:
            raise KeyUnusable(f"The root key from {source} has {len(key)} bytes; it must have {_KEY_BYTES}.")
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


class DataKey(NamedTuple):
    """A data key as the database keeps it."""

    number: int
    sealed: bytes
    root_fingerprint: str


class Vault:
    """Seals and opens secrets. Safe to use from several threads."""

    def __init__(self, data_keys: Mapping[int, bytes]) -> None:
        self._ciphers = {number: AESGCM(key) for number, key in data_keys.items()}
        #: New secrets are sealed by the newest key.
        self._current = max(self._ciphers)

    @classmethod
    def unlock(cls, root: RootKey, data_keys: Iterable[DataKey]) -> Self:
        """Open the data keys. Raises `WrongKey` when the root key is not theirs."""
        return cls({key.number: _open_data_key(root, key) for key in data_keys})

    def seal(self, text: str, table: str, row: str, column: str) -> bytes:
        """Seal a text for one place in the database, where alone it can be opened."""
        number = self._current
        bound = _bound_to(table, row, column, number)
        return _seal(self._ciphers[number], number, text.encode(), bound)

    def unseal(self, sealed: bytes, table: str, row: str, column: str) -> str:
        """Open what was sealed for this place. Raises `Unsealable`."""
        number = int.from_bytes(sealed[1:_HEAD_BYTES], "big")
        cipher = self._ciphers.get(number)
        if cipher is None:
            raise Unsealable(f"{table}.{column} of {row} is sealed by key {number}, which is not here")
        try:
            return _open(cipher, sealed, _bound_to(table, row, column, number)).decode()
        except InvalidTag:
            raise Unsealable(
                f"{table}.{column} of {row} does not open: changed, or not of this row"
            ) from None


def new_data_key(root: RootKey, number: int) -> DataKey:
    """Make a fresh data key, sealed by the root key."""
    bound = _bound_to("data_keys", str(number), "sealed", _ROOT)
    sealed = _seal(AESGCM(root.reveal()), _ROOT, secrets.token_bytes(_KEY_BYTES), bound)
    return DataKey(number, sealed, root.fingerprint)


def load_root_key(folder: Path, *, file: Path | None = None, text: str | None = None) -> RootKey:
    """
    Return the root key: from `file`, else from `text` (64 hex digits), else from `root.key` in the data folder.

    The last is made when it is not there. Raises `KeyUnusable` for a key file that others may read, that belongs to
    another user, or that holds anything but 32 bytes or 64 hex digits.
    """
    if file is not None:
        return _read_key_file(file)
    if text is not None:
        return RootKey(_from_hex(text.encode(), "the setting"), "the setting")
    path = folder / "root.key"
    if not path.exists():
        _make_key_file(path)
    return _read_key_file(path)


def _read_key_file(path: Path) -> RootKey:
    try:
        # The checks are made on the open file, so that nobody can swap it in between.
        with path.open("rb") as stream:
            facts = os.fstat(stream.fileno())
            content = stream.read(1024)
    except OSError as error:
        raise KeyUnusable(f"The root key {path} cannot be read: {error.strerror}.") from error
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
    key = content if len(content) == _KEY_BYTES else _from_hex(content, str(path))
    return RootKey(key, str(path))


def _from_hex(content: bytes, source: str) -> bytes:
    try:
        return bytes.fromhex(content.decode("ascii"))
    except ValueError:
        # The reason would quote the key.
        raise KeyUnusable(f"The root key from {source} is neither 32 bytes nor 64 hex digits.") from None


def _make_key_file(path: Path) -> None:
    """
    Make the key appear whole or not at all, once: written aside, synced, then linked to its name.

    Of two processes that start together, the second finds the name taken and uses the first one's key.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            path.hardlink_to(aside)
        except FileExistsError:
            return
    finally:
        aside.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_data_key(root: RootKey, key: DataKey) -> bytes:
    bound = _bound_to("data_keys", str(key.number), "sealed", _ROOT)
    try:
        return _open(AESGCM(root.reveal()), key.sealed, bound)
    except InvalidTag:
        raise WrongKey(root.source, given=root.fingerprint, expected=key.root_fingerprint) from None


def _bound_to(table: str, row: str, column: str, number: int) -> bytes:
    # Only the row is not ours to choose, and what stands around it cannot be taken for a part of it.
    return f"{table}|{row}|{column}|{number}".encode()


def _seal(cipher: AESGCM, number: int, plain: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    head = bytes((_FORMAT,)) + number.to_bytes(4, "big")
    return head + nonce + cipher.encrypt(nonce, plain, bound)


def _open(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    if len(sealed) < _HEAD_BYTES + _NONCE_BYTES or sealed[0] != _FORMAT:
        raise InvalidTag
    nonce = sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
    return cipher.decrypt(nonce, sealed[_HEAD_BYTES + _NONCE_BYTES :], bound)
